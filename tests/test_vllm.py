"""vLLM's own server is asked as it wants to be, and what it says is kept: see tests/vllm_cpu/README.md for how to start one."""

import json
import os
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from cotforge.images import Sending
from cotforge.pipeline import Loaded
from cotforge.teachers.metrics import queue_of
from cotforge.train.evaluation.askers import Asker, CheckpointAsker, Endpoint, Question
from cotforge.train.evaluation.held_out import HeldOutSamples
from tests.project import ran, summary, teacher, write_pipeline, write_rows

URL = os.environ.get("COTFORGE_VLLM_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="COTFORGE_VLLM_URL names no vLLM server: see tests/vllm_cpu/README.md")

STUDENT = os.environ.get("COTFORGE_VLLM_STUDENT", "")
"""The project that `tests.vllm_cpu.student` made, whose student is the one that is served."""
ROWS = 12


def served() -> dict[str, Any]:
    with urlopen(f"{URL}/models", timeout=60) as answer:
        return json.load(answer)["data"][0]  # type: ignore[no-any-return]


def metrics() -> str:
    with urlopen(URL.removesuffix("/v1") + "/metrics", timeout=60) as answer:
        return answer.read().decode()  # type: ignore[no-any-return]


def answered() -> float:
    """Requests that the server has answered so far, by its own count."""
    return sum(float(count) for count in re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", metrics(), re.MULTILINE))


def project(folder: Path, *, rows: int = ROWS, prompt: str = "{{ question }} {{ options|join(', ') }}?", **fields: Any) -> None:
    """A pipeline that asks the served model, in few words: it reads one byte at a time."""
    if not (folder / "rows.jsonl").exists():
        write_rows(folder, rows)
    (folder / "ask.jinja").write_text(prompt)
    fields = {"temperature": 0, "max_tokens": 12, "listed": True, **fields}
    images = fields.pop("images", {})
    one = teacher(URL) | {"model": served()["id"], **fields}
    write_pipeline(folder, one, prompts={"solve": "ask.jinja"}, images=images, max_failures=1)


def attempts(folder: Path) -> list[dict[str, Any]]:
    """Every attempt that ended, as the journal has it."""
    with sqlite3.connect(folder / "runs/feelings/journal.sqlite") as journal:
        journal.row_factory = sqlite3.Row
        return [dict(row) for row in journal.execute("SELECT * FROM replies ORDER BY id")]


def built(folder: Path) -> dict[str, Any]:
    done = ran("build", "pipeline.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return summary(folder / "runs/feelings")


def test_check_passes_for_the_served_model_and_names_it_where_another_is_asked_for(tmp_path: Path) -> None:
    project(tmp_path)
    before = answered()
    assert ran("check", "pipeline.yaml", cwd=tmp_path).returncode == 0
    project(tmp_path, model="org/no-such-model")
    for command in ("check", "build"):
        done = ran(command, "pipeline.yaml", cwd=tmp_path)
        assert done.returncode == 2
        assert f"teacher 'one': {URL} does not serve 'org/no-such-model'; served there: {served()['id']!r}" in done.stderr
    assert answered() == before


def test_every_reply_is_kept_whole_with_its_counts_and_a_second_build_asks_nothing(tmp_path: Path) -> None:
    project(tmp_path)
    before = answered()
    found = built(tmp_path)
    assert (found["calls"], found["calls_failed"], answered() - before) == (ROWS, 0, ROWS)
    for row in attempts(tmp_path):
        body = json.loads(row["body"])
        assert (row["error"], row["status"], row["final"]) == (None, 200, 1)
        assert row["finish_reason"] == body["choices"][0]["finish_reason"] in ("stop", "length")
        assert (row["input_tokens"], row["output_tokens"]) == (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"])
        assert row["input_tokens"] > 0
    assert found["tokens"] == {kind: sum(row[f"{kind}_tokens"] for row in attempts(tmp_path)) for kind in ("input", "output")}
    assert sum(found["rejected"].values()) + found["accepted"] == found["samples"] == ROWS
    assert built(tmp_path)["calls"] == 0
    assert answered() - before == ROWS


def test_a_reply_that_max_tokens_cut_off_ended_by_length_and_is_asked_again_with_more(tmp_path: Path) -> None:
    cut = {"rows": 3, "body": {"ignore_eos": True}}
    project(tmp_path, max_tokens=5, **cut)
    built(tmp_path)
    assert {(row["finish_reason"], row["output_tokens"], row["max_tokens"]) for row in attempts(tmp_path)} == {("length", 5, 5)}
    project(tmp_path, max_tokens=4, **cut)
    assert built(tmp_path)["calls"] == 0
    project(tmp_path, max_tokens=9, **cut)
    assert built(tmp_path)["calls"] == 3
    assert {row["output_tokens"] for row in attempts(tmp_path)[3:]} == {9}


def test_a_prompt_longer_than_the_context_is_refused_for_good_and_never_asked_again(tmp_path: Path) -> None:
    project(tmp_path, rows=3, prompt="{{ question }}" + " word" * 3000)
    assert built(tmp_path)["calls_failed"] == 3
    rows = attempts(tmp_path)
    assert {(row["error"], row["passing"], row["final"]) for row in rows} == {("400", 0, 1)}
    assert all("maximum context length" in row["detail"] for row in rows)
    assert len(rows) == 3
    assert built(tmp_path)["calls"] == 0


def test_a_model_that_is_not_served_and_not_looked_for_is_not_asked_for_row_after_row(tmp_path: Path) -> None:
    project(tmp_path, rows=30, model="org/no-such-model", listed=False, concurrency=2)
    found = built(tmp_path)
    assert found["accepted"] == 0
    assert {row["error"] for row in attempts(tmp_path) if row["status"]} == {"404"}
    assert sum(row["status"] == 404 for row in attempts(tmp_path)) <= 2 * 4


def test_what_body_says_reaches_the_server_and_what_it_says_to_that_is_kept(tmp_path: Path) -> None:
    project(tmp_path, rows=2, body={"logprobs": True, "top_logprobs": 2, "seed": 3, "min_p": 0.1, "ignore_eos": True}, max_tokens=4)
    built(tmp_path)
    for row in attempts(tmp_path):
        tokens = json.loads(row["body"])["choices"][0]["logprobs"]["content"]
        assert [len(token["top_logprobs"]) for token in tokens] == [2, 2, 2, 2]
    project(tmp_path, body={"n": 4})
    done = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert (done.returncode, "body may not hold 'n'" in done.stderr) == (2, True)


def test_a_body_that_the_server_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    project(tmp_path, rows=2, body={"top_k": -7})
    built(tmp_path)
    assert {(row["error"], row["passing"]) for row in attempts(tmp_path)} == {("400", 0)}
    assert all("top_k" in row["detail"] for row in attempts(tmp_path))


def test_images_named_by_file_are_read_by_the_server_and_answered_as_those_in_base64(tmp_path: Path) -> None:
    said = []
    for via in ("data", "file"):
        project(tmp_path, rows=4, images={"via": via}, body={"seed": 1, "ignore_eos": True})
        (tmp_path / "runs/feelings").rename(tmp_path / "runs/earlier") if said else None
        assert built(tmp_path)["calls"] == 4
        bodies = [json.loads(row["body"]) for row in attempts(tmp_path)]
        said.append(sorted(body["choices"][0]["message"]["content"] + str(body["usage"]["prompt_tokens"]) for body in bodies))
    assert said[0] == said[1]


def test_the_queue_is_read_from_the_page_of_metrics() -> None:
    model, many = served()["id"], 10
    body = {"model": model, "max_tokens": 200, "ignore_eos": True, "messages": [{"role": "user", "content": "Which?"}]}
    request = Request(f"{URL}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})

    def ask(_: int) -> int:
        with urlopen(request, timeout=120) as answer:
            return int(answer.status)

    with ThreadPoolExecutor(many) as pool:
        asking = pool.map(ask, range(many))
        seen = []
        while not seen or seen[-1] != (0, 0) or max(seen) == (0, 0):
            queue = queue_of(metrics(), model)
            assert queue is not None
            seen.append(queue)
        assert list(asking) == [200] * many
    assert max(waiting + running for waiting, running in seen) == many
    assert max(running for _, running in seen) > 1


def test_a_trained_student_that_is_served_in_float32_answers_as_eval_of_its_folder_says() -> None:
    if not STUDENT:
        pytest.skip("COTFORGE_VLLM_STUDENT names no project of tests.vllm_cpu.student: see tests/vllm_cpu/README.md")
    run, held = Path(STUDENT) / "run", HeldOutSamples.of(Loaded.load(f"{STUDENT}/pipeline.yaml"), Path(STUDENT) / "run")

    def says(asker: Asker) -> list[tuple[str, str | None, int]]:
        questions = [Question(sample, held.messages(sample)) for sample in held.samples]
        replies = asker.answers(questions, max_tokens=96, done=bool)
        return [(reply.content, reply.finish_reason, reply.output_tokens) for reply in replies]

    here = says(CheckpointAsker.load(str(run / "train" / "student")))
    assert here == says(Endpoint.at(URL, None, sending=Sending(Loaded.load(f"{STUDENT}/pipeline.yaml").pipeline.images, run)))
    assert len({text for text, _, _ in here}) > 4

    figures = []
    for name, arguments in (("student", ()), (served()["id"], ("--url", URL))):
        done = ran("eval", "pipeline.yaml", "--out", "run", *arguments, cwd=Path(STUDENT))
        assert done.returncode == 0, done.stderr
        figures.append(json.loads((run / "eval" / f"{name}.json").read_text()))
    folder, server = (
        {name: value for name, value in each.items() if name not in ("model", "dtype", "engine", "seconds")} for each in figures
    )
    assert folder == server
    assert 0 < folder["accuracy"] < 1
