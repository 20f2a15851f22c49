"""Teachers on `vllm.LLM`, in a Python that has vLLM for CPUs: see tests/vllm_cpu/README.md."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from tests.project import Running, environment, summary, table, write_pipeline

PYTHON = os.environ.get("COTFORGE_VLLM_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="COTFORGE_VLLM_PYTHON names no Python with vLLM: see tests/vllm_cpu/README.md")

ROOT = Path(__file__).parents[1]
ENVIRONMENT = environment({"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"})
COLOURS = ["red", "green", "blue", "white"]
RED = "<think>Warm.</think>\n<answer>red</answer>"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, as vLLM loads it."""
    folder = tmp_path_factory.mktemp("vlm") / "tiny"
    subprocess.run([PYTHON, "-m", "tests.vllm_cpu.model", folder], cwd=ROOT, env=ENVIRONMENT, check=True, timeout=900)
    return folder


@pytest.fixture(scope="module")
def found(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `tests.vllm_cpu.engine` found out, in one life of the engine: it takes half a minute to come up."""
    folder = tmp_path_factory.mktemp("engine")
    with (folder / "log").open("w+b") as log:
        command = [PYTHON, "-m", "tests.vllm_cpu.engine", model, folder]
        subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdout=log, stderr=log, check=False, timeout=900)
        log.seek(0)
        lines = log.read().decode("utf-8", "replace").splitlines()
    line = next((line for line in lines if line.startswith("FOUND ")), None)
    assert line is not None, "\n".join(lines[-30:])
    return json.loads(line.removeprefix("FOUND "))  # type: ignore[no-any-return]


def test_an_answer_comes_whole_with_its_tags_and_its_counts(found: dict[str, Any]) -> None:
    (said,) = found["alone"]
    assert (said["content"], said["finish_reason"], said["error"]) == (RED, "stop", "")
    assert said["input_tokens"] > 10
    assert said["output_tokens"] > 5


def test_requests_are_answered_together_in_as_many_steps_as_the_longest_has_tokens(found: dict[str, Any]) -> None:
    assert [tokens for step in found["steps"] for tokens in step] == [32] * 8
    assert len(found["steps"]) <= 40


def test_a_picture_may_be_a_file_several_or_none_and_body_is_read_as_the_server_reads_it(found: dict[str, Any]) -> None:
    by_file, two, none, drawn, unbounded = found["others"]
    assert by_file == found["alone"][0]
    assert (two["finish_reason"], two["output_tokens"]) == ("length", 5)
    assert none["output_tokens"] == 7
    assert drawn["output_tokens"] == 32
    assert unbounded["input_tokens"] + unbounded["output_tokens"] == 2048


def test_what_cannot_be_answered_is_refused_alone_with_its_reason(found: dict[str, Any]) -> None:
    too_long, too_many, wrong, unreadable = found["refused"]
    assert too_long.startswith("too_long: This model's maximum context length is 2048 tokens.")
    assert too_many.startswith("refused: max_completion_tokens=5000 cannot be greater than")
    assert wrong.startswith("refused: top_k must be")
    assert unreadable.startswith("image_unreadable: image: ")


def test_a_dropped_request_is_not_answered_and_the_others_are(found: dict[str, Any]) -> None:
    assert found["kept"] == [1]


def test_an_engine_that_is_killed_is_noticed_at_once(found: dict[str, Any]) -> None:
    assert found["killed"] == "vLLM's own process was killed; was there not enough memory?"


def test_a_model_that_cannot_be_loaded_is_told_with_its_cause(found: dict[str, Any]) -> None:
    assert found["no_images"].endswith("no_images is no vision-language model")
    assert found["no_weights"].startswith("Cannot find any model weights with")


def project(folder: Path, model: Path, rows: int, **engine: Any) -> None:
    (folder / "images").mkdir()
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(rows):
            Image.new("RGB", (48, 32 + number), COLOURS[number % 4]).save(folder / "images" / f"{number}.jpg", quality=95)
            file.write(json.dumps({"id": f"row-{number}", "image": f"images/{number}.jpg", "label": COLOURS[number % 4]}) + "\n")
    engine = {"enforce_eager": True, "dtype": "float32", **engine}
    one = {"name": "one", "model": str(model), "kind": "vllm", "temperature": 0, "max_tokens": 900, "concurrency": 4, "engine": engine}
    task = {"kind": "classify", "question": "Which colour is this?", "labels": COLOURS}
    (folder / "ask.jinja").write_text("{{ question }} {{ options|join(', ') }}")
    write_pipeline(folder, one, task=task, prompts={"solve": "ask.jinja"})


def workers(build: psutil.Process) -> list[psutil.Process]:
    return [process for process in build.children() if "cotforge.teachers.local.worker" in " ".join(process.cmdline())]


def test_a_worker_that_is_killed_is_started_again_and_nothing_is_left_behind(model: Path, tmp_path: Path) -> None:
    project(tmp_path, model, rows=40, logits_processors=["tests.vllm_cpu.hold:Hold"])
    (hold := tmp_path / "hold").touch()
    command = [PYTHON, "-c", "from cotforge.cli import main; main()", "build", "pipeline.yaml"]
    journal = tmp_path / "runs/feelings/journal.sqlite"
    variables = ENVIRONMENT | {"COTFORGE_TEST_HOLD": str(hold)}
    with Running(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) as build:
        family: set[psutil.Process] = set()
        while build.poll() is None and not count(journal, "error IS NULL"):
            family |= set(psutil.Process(build.pid).children(recursive=True))
            time.sleep(0.05)
        assert build.returncode is None, build.stderr and build.stderr.read()
        (worker,) = workers(psutil.Process(build.pid))
        worker.send_signal(signal.SIGKILL)  # it holds its engine: four Calls are in it, and most have not been asked
        hold.unlink()
        _, said = build.communicate(timeout=900)
    assert build.returncode == 0, said
    found = summary(tmp_path / "runs/feelings")
    assert (found["calls"], found["calls_failed"], found["accepted"]) == (40, 0, 40)
    assert {row["answer"] for row in table(tmp_path / "runs/feelings", "data")} == set(COLOURS)
    assert (count(journal, "error IS NULL"), count(journal, "error = 'engine'") > 0) == (40, True)
    assert len(family) >= 2
    assert not [process for process in family if process.is_running()]


def count(journal: Path, which: str) -> int:
    """Attempts in the journal so far that ended in a certain way."""
    if not journal.exists():
        return 0
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as rows:
        if not rows.execute("SELECT count(*) FROM sqlite_master WHERE name = 'replies'").fetchone()[0]:
            return 0
        return int(rows.execute(f"SELECT count(*) FROM replies WHERE {which}").fetchone()[0])
