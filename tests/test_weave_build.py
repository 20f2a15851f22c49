"""A build that weaves, over real HTTP: what is asked, what the lessons hold, and that it is asked once."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cotforge.followups.woven_parts import PARTS
from cotforge.records import SENTENCES
from cotforge.train.data.lessons import NEEDED, Lessons
from tests.project import ran, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Teacher
from tests.test_forge import picture_of
from tests.test_weave import written
from tests.test_woven_text import AWE_ONE, AWE_TWO, FEAR

ROWS = 8
TEXTS = {"ann": AWE_ONE, "bob": AWE_TWO, "cyd": FEAR}


def is_doubtful(body: dict[str, Any]) -> bool:
    """Whether cyd sees fear in a picture."""
    return hashlib.sha256(picture_of(body).encode()).digest()[0] % 4 > 0


def says(name: str) -> Any:
    def answer(body: dict[str, Any]) -> str:
        text = json.dumps(body["messages"])
        if "<right>" in text:
            return written()
        if name == "cyd" and "<reasoning>" not in text and is_doubtful(body):
            return f"<think>{FEAR}</think>\n<answer>fear</answer>"
        return f"<think>{AWE_TWO if name == 'cyd' else TEXTS[name]}</think>\n<answer>awe</answer>"

    return answer


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Teacher]]]:
    """A folder in which `pipeline.yaml` weaves by a writer, and its servers."""
    folder = tmp_path_factory.mktemp("project")
    write_rows(folder, ROWS)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Teacher(says(name))) for name in TEXTS}
        teachers = [teacher(server, name) for name, server in servers.items()]
        write_pipeline(folder, *teachers, consensus={"label": "ignore"}, weave={"teacher": "bob"})
        yield folder, servers


@pytest.fixture(scope="module")
def run(project: tuple[Path, dict[str, Teacher]]) -> Path:
    ended = ran("build", "pipeline.yaml", cwd=project[0])
    assert ended.returncode == 0, ended.stderr
    return project[0] / "runs" / "feelings"


def doubtful(run: Path) -> set[str]:
    return {row["id"] for row in table(run, "traces") if row["answer"] == "fear"}


def test_a_woven_lesson_has_its_parts_and_a_completion_without_their_tags(run: Path) -> None:
    lessons = {row["id"]: row for row in table(run, "data")}
    assert 0 < len(doubtful(run)) < len(lessons) == ROWS
    for id, row in lessons.items():
        assert row["origin"] == ("woven" if id in doubtful(run) else "solve")
        if row["origin"] == "solve":
            assert row["segments"] is None
            continue
        assert [part["kind"] for part in row["segments"]] == [*PARTS]
        said = row["completion"][0]["content"]
        assert all(part["text"] in said for part in row["segments"])
        assert not any(f"<{kind}>" in said for kind in PARTS)
        assert said.endswith("<answer>awe</answer>")


def test_each_woven_text_takes_a_call_of_the_writer_and_one_of_a_reader(run: Path) -> None:
    rows = [row for row in table(run, "traces") if row["id"] in doubtful(run)]
    assert {row["teacher"] for row in rows if row["origin"] == "woven"} == {"bob"}
    assert {row["teacher"] for row in rows if row["origin"] == "verify"} == {"cyd"}  # that said something else
    told = summary(run)
    assert told["calls"] == told["calls_total"] == 3 * ROWS + len({row["call"] for row in rows if row["origin"] != "solve"})
    losses = {row["id"]: row["reason"] for row in table(run, "losses") if row["stage"] == "weave"}
    assert losses == {f"row-{number}": "no_wrong" for number in range(ROWS) if f"row-{number}" not in doubtful(run)}


def test_a_second_build_asks_nothing_and_leaves_the_same_dataset(project: tuple[Path, dict[str, Teacher]], run: Path) -> None:
    before = sum(len(server.ledger) for server in project[1].values())
    dataset = sorted(path.name for path in (run / "dataset").rglob("*.parquet"))
    assert ran("build", "pipeline.yaml", cwd=project[0]).returncode == 0
    assert sum(len(server.ledger) for server in project[1].values()) == before
    assert sorted(path.name for path in (run / "dataset").rglob("*.parquet")) == dataset


def test_training_and_export_read_woven_lessons_as_any_other(run: Path, project: tuple[Path, dict[str, Teacher]]) -> None:
    files = tuple(sorted((run / "dataset" / "data").glob("*.parquet")))
    rows = list(Lessons(files, run / "cache").rows(NEEDED))
    assert [sorted(row) for row in rows] == [sorted(NEEDED)] * ROWS
    ended = ran("export", "runs/feelings", "--to", "trl", "--out", "rows", cwd=project[0])
    assert ended.returncode == 0, ended.stderr


def test_without_a_writer_the_journal_alone_gives_joined_sentences_that_are_no_reply(
    run: Path, project: tuple[Path, dict[str, Teacher]]
) -> None:
    words = ("--set", "weave={verify: 0}", "--out", "runs/joined")
    before = sum(len(server.ledger) for server in project[1].values())
    ended = ran("build", "pipeline.yaml", *words, cwd=project[0])
    assert ended.returncode == 0, ended.stderr
    joined = project[0] / "runs" / "joined"
    assert sum(len(server.ledger) for server in project[1].values()) - before == 3 * ROWS  # a run of its own, and no call to weave
    told = summary(joined)
    assert told["calls_total"] == 3 * ROWS
    assert sum(one["calls"] for one in told["teachers"].values()) == 3 * ROWS
    made = [row for row in table(joined, "traces") if row["read_as"] == SENTENCES]
    assert told["read_as"][SENTENCES] == len(made) == len(doubtful(joined))
    assert {(row["origin"], row["cost_usd"], row["output_tokens"]) for row in made} == {("woven", 0.0, 0)}
    lessons = [row for row in table(joined, "data") if row["origin"] == "woven"]
    assert {row["call"] for row in lessons} == {row["call"] for row in made}
    assert all(row["segments"] for row in lessons)
    assert "no model wrote them as a whole" in (joined / "dataset" / "README.md").read_text()
    assert "no model wrote them as a whole" not in (run / "dataset" / "README.md").read_text()


def test_without_the_section_there_is_no_column_of_parts(run: Path, project: tuple[Path, dict[str, Teacher]]) -> None:
    assert ran("build", "pipeline.yaml", "--set", "weave=null", "--out", "runs/plain", cwd=project[0]).returncode == 0
    assert all("segments" not in row for row in table(project[0] / "runs" / "plain", "data"))


def test_a_writer_that_is_not_there_is_told_before_anything_is_asked(project: tuple[Path, dict[str, Teacher]], run: Path) -> None:
    ended = ran("check", "pipeline.yaml", "--offline", "--set", "weave.teacher=dee", cwd=project[0])
    assert ended.returncode == 2
    assert "weave.teacher: no teacher 'dee'" in ended.stderr
