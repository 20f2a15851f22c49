"""A student evaluated in vLLM, in a Python that has vLLM for CPUs: see tests/vllm_cpu/README.md."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.project import environment

PYTHON = os.environ.get("COTFORGE_VLLM_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="COTFORGE_VLLM_PYTHON names no Python with vLLM: see tests/vllm_cpu/README.md")

ROOT = Path(__file__).parents[1]
ENVIRONMENT = environment(
    {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "WORLD_SIZE": "1", "RANK": "0"}
)
"""As a process that torchrun started has it."""


def test_vllm_says_what_transformers_says_and_what_it_does_not_serve_is_one_line(tmp_path: Path) -> None:
    from tests.sharing import answered

    model, empty = tmp_path / "tiny", tmp_path / "empty"
    subprocess.run([PYTHON, "-m", "tests.vllm_cpu.model", model], cwd=ROOT, env=ENVIRONMENT, check=True, timeout=900)
    empty.mkdir()
    words = json.loads((model / "config.json").read_text())["text_config"] | {"architectures": ["Qwen2ForCausalLM"]}
    (empty / "config.json").write_text(json.dumps(words))  # a model of words alone, which is seen before an engine is started
    done = subprocess.run(
        [PYTHON, "-m", "tests.vllm_cpu.evaluation", model, empty], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False,
        timeout=900,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    assert line is not None, done.stderr[-3000:]
    found = json.loads(line.removeprefix("FOUND "))
    assert found["said"] == answered(model)["said"]
    assert (found["told"], found["engine"]) == (23, "vllm")
    assert found["ended"].startswith(("red", "green", "blue", "white"))
    assert found["drawn"] == found["drawn_again"]
    assert found["drawn"][0::2] == found["drawn"][1::2]
    assert len({*found["drawn"]}) > 2
    assert found["refusal"].startswith("eval.engine: vLLM cannot run this student: ")
    assert found["refusal"].endswith("; set it to auto or transformers")
    assert "\n" not in found["refusal"]
