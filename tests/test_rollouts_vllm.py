"""Rollouts by vLLM on a CPU: in the trainer's process and by a server, with the weights of each step; see tests/vllm_cpu/README.md.

A vLLM for CPUs packs its weights, and no CPU has NCCL, so `tests.vllm_cpu.rollouts` hands weights over in another way; the rest is real.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from cotforge.train.students import tiny
from tests import squares
from tests.project import environment

PYTHON = os.environ.get("COTFORGE_VLLM_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="COTFORGE_VLLM_PYTHON names no Python with vLLM: see tests/vllm_cpu/README.md")

ROOT = Path(__file__).parents[1]
TRAINING = ("accelerate", "peft", "transformers", "trl")
"""What is taken from the environment of the tests; all else, torch among it, is that of vLLM."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two students, of which vLLM begins with one and the other is trained, and their lessons."""
    folder = tmp_path_factory.mktemp("rollouts")
    squares.write(folder / "dataset", 16)
    for seed, name in enumerate(("begin", "student")):
        size = tiny.TinySize(side=16, patch=8, vocabulary=400, context=512, seed=seed)
        template = tiny.make_llava(folder / name, squares.TEXTS, size) / "chat_template.jinja"
        template.write_text(template.read_text().replace("<image>{%", "<image>\n{%"))  # two pictures are two runs of tokens
    (folder / "libraries").mkdir()
    for name in TRAINING:
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        for path in (package, *package.parent.glob(f"{name}-*.dist-info")):
            (folder / "libraries" / path.name).symlink_to(path)
    return folder


def variables(*paths: Path) -> dict[str, str]:
    kept = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return environment(kept | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths))), "VLLM_NO_USAGE_STATS": "1"})


def rollouts(place: Path, *words: str) -> dict[str, Any]:
    command = [PYTHON, "-W", "ignore", "-m", "tests.vllm_cpu.rollouts", str(place), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=variables(place / "libraries"), capture_output=True, text=True, errors="replace", check=False, timeout=900
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    assert line is not None, done.stdout[-2_000:] + done.stderr[-6_000:]
    return json.loads(line.removeprefix("FOUND "))  # type: ignore[no-any-return]


def check(found: dict[str, Any]) -> None:
    first, second = found["rollouts"]
    assert len(set(first["own"])) > 1
    for rollout in (first, second):
        assert rollout["vllm"] == rollout["own"]
        assert len(set(rollout["sampled"])) == len(rollout["sampled"]) == 8
    assert first["own"] != second["own"]  # the weights are those after the first step
    for row in found["log"]:
        assert row["grad_norm"] > 0
        assert row["sampling/sampling_logp_difference/max"] < 0.01  # vLLM's know of the tokens of pictures that are kept out
        assert row["sampling/importance_sampling_masked"] == 0


def test_rollouts_in_the_same_process_are_of_the_weights_of_each_step(place: Path) -> None:
    check(rollouts(place))


@pytest.fixture
def url(place: Path) -> Iterator[str]:
    """A server of the student that is not trained, as TRL wants it."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
    plugin = place / "plugin" / "file_transfer-1.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: file-transfer\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[vllm.general_plugins]\nfile_transfer = tests.vllm_cpu.transfer:register\n")
    flags = ["--weight-transfer-config", '{"backend": "file"}', "--enable-scale-out", "--logprobs-mode", "processed_logprobs"]
    more = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_VENV": str(Path(PYTHON).parents[1])}
    with (place / "server.log").open("wb") as log:
        server = subprocess.Popen(
            ["tests/vllm_cpu/serve.sh", place / "begin", str(port), "tiny", "--max-num-seqs", "4", *flags, "--max-logprobs", "-1"],
            cwd=ROOT, env=variables(place / "plugin") | more, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        while not answers(address):
            assert server.poll() is None, (place / "server.log").read_text(errors="replace")[-4_000:]
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=10) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def test_rollouts_by_a_server_are_of_the_weights_of_each_step(place: Path, url: str) -> None:
    check(rollouts(place, url))
