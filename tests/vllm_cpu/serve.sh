#!/usr/bin/env bash
# vLLM's own server on 127.0.0.1, in the foreground: serve.sh MODEL_FOLDER PORT SERVED_NAME [more of vLLM's flags]
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: serve.sh MODEL_FOLDER PORT SERVED_NAME [vLLM's flags]" >&2; exit 2; }
model=$1 port=$2 name=$3; shift 3
venv=$("$(dirname "$0")/install.sh")
# one thread, wherever there is room: by itself vLLM would bind a core that others need as well
export VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
# not the `vllm` command: it asks for a package of the name `vllm`, and the one for CPUs is `vllm-cpu`
exec "$venv/bin/python" -m vllm.entrypoints.openai.api_server --model "$model" --host 127.0.0.1 --port "$port" --served-model-name "$name" \
  --dtype float32 --enforce-eager "$@"
