"""`build --retry REASONS`: exactly the Calls that came to nothing for these reasons are asked anew."""

import base64
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.project import files, ran, replay, said, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Answer, Failure, Teacher

Body = dict[str, Any]
FAILURES: dict[int, Failure] = {0: 400, 1: "hang", 2: (400, "content_filter"), 3: "truncated", 4: 404}
"""By row; row 5 answers what cannot be read, and rows 6 and 7 are well."""


@pytest.fixture
def lost(tmp_path: Path) -> Path:
    """A run in which rows 0 to 5 came to nothing, each for another reason."""
    write_rows(tmp_path, 8)
    with Teacher(by_row(tmp_path, {5: "I cannot tell."}), fail=failing(tmp_path, FAILURES)) as server:
        write_pipeline(tmp_path, teacher(server, timeout=0.5, listed=False), max_failures=1)
        assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert reasons(tmp_path) == {0: "400", 1: "timeout", 2: "content_filter", 3: "truncated", 4: "404", 5: "no_answer"}
    return tmp_path


def row_of(folder: Path, body: Body) -> int:
    """The row whose picture a request shows."""
    url = next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url")
    shown = base64.b64decode(url.partition(",")[2])
    return next(int(path.stem) for path in (folder / "images").iterdir() if path.read_bytes() == shown)


def by_row(folder: Path, answers: dict[int, str]) -> Callable[[Body], Answer]:
    return lambda body: answers.get(row_of(folder, body)) or sees(body)


def failing(folder: Path, failures: dict[int, Failure]) -> Callable[[Body], Failure]:
    return lambda body: failures.get(row_of(folder, body))


def reasons(folder: Path) -> dict[int, str]:
    """Row to why its Call came to nothing, as `losses.parquet` has it."""
    losses = [loss for loss in table(folder / "runs/feelings", "losses") if loss["call"] is not None]
    return {int(loss["id"].partition("-")[2]): loss["reason"] for loss in losses if loss["stage"] in ("ask", "read", "forge")}


def retried(folder: Path, given: str, fail: dict[int, Failure] | None = None, answers: dict[int, str] | None = None) -> Counter[int]:
    """How often each row is asked of a server that is well by now, but for `fail` and `answers`."""
    asked: Counter[int] = Counter()

    def noted(body: Body) -> Failure:
        row = row_of(folder, body)
        asked[row] += 1
        return (fail or {}).get(row)

    with Teacher(by_row(folder, answers or {}), fail=noted) as server:
        built = ran("build", "pipeline.yaml", "--retry", given, "--set", f"teachers.0.url={server.url}", cwd=folder)
        assert (built.returncode, built.stderr) == (0, "")
    return asked


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ("timeout", {1}),
        ("400", {0}),
        ("content_filter", {2}),
        ("timeout,404, 400", {0, 1, 4}),
        ("truncated", {3}),
        ("no_answer,400", {0, 5}),
    ],
)
def test_exactly_the_calls_with_these_reasons_are_asked_again(lost: Path, given: str, rows: set[int]) -> None:
    assert retried(lost, given) == dict.fromkeys(rows, 1)
    assert set(reasons(lost)) == {0, 1, 2, 3, 4, 5} - rows
    assert summary(lost / "runs/feelings")["accepted"] <= 2 + len(rows)


def test_calls_that_were_never_asked_are_asked_as_always(lost: Path) -> None:
    write_rows(lost, 2, start=8)
    assert retried(lost, "404") == {4: 1, 8: 1, 9: 1}


def test_a_retried_call_that_fails_again_keeps_the_reply_it_had(lost: Path) -> None:
    run = lost / "runs/feelings"
    assert retried(lost, "no_answer", fail={5: 400}) == {5: 1}
    assert reasons(lost)[5] == "no_answer", "the reply, and not the newer error"
    assert next(trace for trace in table(run, "traces") if trace["id"] == "row-5")["fate"] == "unread:no_answer"
    assert retried(lost, "truncated,no_answer") == {3: 1, 5: 1}
    assert not {3, 5} & set(reasons(lost)), "a good one wins"


def test_a_reason_that_nothing_ever_had_names_those_there_are_and_asks_nothing(lost: Path) -> None:
    before = files(lost / "runs/feelings/dataset")
    wrong = ran("build", "pipeline.yaml", "--retry", "timeout,500,timeot", cwd=lost)
    there = "there are: 400, 404, content_filter, no_answer, timeout, truncated"
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines() == [f"--retry {reason}: no call ended so; {there}" for reason in ("500", "timeot")]
    assert files(lost / "runs/feelings/dataset") == before
    write_rows(lost, 1)
    fresh = ran("build", "pipeline.yaml", "--retry", "500", "--out", "runs/fresh", cwd=lost)
    assert (fresh.returncode, fresh.stderr) == (2, "--retry 500: no call ended so; there are: none\n")


def test_a_reply_without_a_reasoning_can_be_asked_anew(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    write_pipeline(
        tmp_path, replay(tmp_path, "one", {"row-0": "<answer>awe</answer>", "row-1": said("awe")}), consensus={"label": "ignore"}
    )
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    assert reasons(tmp_path) == {0: "no_reasoning"}
    replay(tmp_path, "one", {"row-0": said("awe"), "row-1": said("fear")})
    assert ran("build", "pipeline.yaml", "--retry", "no_reasoning", cwd=tmp_path).returncode == 0
    assert [lesson["answer"] for lesson in table(tmp_path / "runs/feelings", "data")] == ["awe", "awe"]


def test_every_lost_call_stands_in_losses_with_its_reason_and_what_was_said(lost: Path) -> None:
    losses = {loss["id"]: loss for loss in table(lost / "runs/feelings", "losses") if loss["stage"] in ("ask", "read")}
    assert {row: loss["stage"] for row, loss in losses.items()} == {
        **dict.fromkeys(("row-0", "row-1", "row-2", "row-4"), "ask"),
        **dict.fromkeys(("row-3", "row-5"), "read"),
    }
    assert losses["row-5"]["detail"].endswith("finish_reason=stop: I cannot tell.")
    assert ": <think>The picture is one even" in losses["row-3"]["detail"]
    assert all("\n" not in loss["detail"] and len(loss["detail"]) < 350 for loss in losses.values())


def test_a_call_that_nobody_was_asked_stands_in_losses_as_not_asked(tmp_path: Path) -> None:
    write_rows(tmp_path, 5)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), teacher(server, "two"))
        assert ran("build", "pipeline.yaml", "--limit", 3, cwd=tmp_path).returncode == 0
        offline = ran("build", "pipeline.yaml", "--offline", cwd=tmp_path)
    run = tmp_path / "runs/feelings"
    losses = [(loss["id"], loss["teacher"], loss["reason"]) for loss in table(run, "losses") if loss["stage"] == "forge"]
    unasked = sorted({row for row, _, _ in losses})
    assert losses == [(row, name, "not_asked") for row in unasked for name in ("one", "two")]
    assert len(unasked) == 2
    assert summary(run)["calls_missing"] == 4
    assert "\n4 calls are not asked yet" in offline.stdout
    assert summary(run)["teachers"]["one"]["failed"] == 0
    assert summary(run)["rejected"]["vote:no_replies"] == 2
    twin = next(line for line in (tmp_path / "rows.jsonl").read_text().splitlines() if f'"{unasked[0]}"' in line)
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write(twin.replace(unasked[0], "twin") + "\n")
    again = ran("build", "pipeline.yaml", "--offline", "--out", run, cwd=tmp_path)
    assert sum(loss["stage"] == "forge" for loss in table(run, "losses")) == 6
    assert "\n4 calls are not asked yet" in again.stdout, "what two samples lead to is asked once"
