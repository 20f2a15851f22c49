"""How often a reply's body is parsed: once by the run that asks, once by a run that curates."""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cotforge.forge import Progress, TeacherCounts
from cotforge.replies.chat import read_completion
from cotforge.session import RunSession
from tests.guide import by_hand, forge
from tests.project import sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Failure, Teacher

NAMES = ("ann", "bob", "cyd")
ROWS = 12


@contextmanager
def parsed() -> Iterator[Counter[str]]:
    """How often each body is parsed while the block lasts, in this thread and in those that begin in it."""
    bodies = Counter[str]()

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is read_completion.__code__:
            bodies[frame.f_locals["body"]] += 1

    before = sys.getprofile()
    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        yield bodies
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


@contextmanager
def three() -> Iterator[dict[str, Teacher]]:
    """Servers of three teachers: one of them breaks its first body, and another does not answer about some pictures."""
    broken: list[bool] = []

    def once(body: dict[str, Any]) -> Failure:
        broken.append(True)
        return "garbage" if len(broken) == 1 else None

    def answer(body: dict[str, Any]) -> str:
        return "I cannot tell." if "fear" in sees(body) else sees(body)

    with ExitStack() as stack:
        servers = Teacher(sees), Teacher(sees, fail=once), Teacher(answer)
        yield {name: stack.enter_context(server) for name, server in zip(NAMES, servers, strict=True)}


def came(servers: dict[str, Teacher]) -> int:
    """Bodies with status 200."""
    return sum(entry.status in (200, "garbage") for server in servers.values() for entry in server.ledger)


def pipeline(folder: Path, servers: dict[str, Teacher], rule: str) -> Path:
    write_rows(folder, ROWS)
    return write_pipeline(folder, *(teacher(server, name) for name, server in servers.items()), consensus={"rule": rule})


def progress() -> Progress:
    return Progress({name: TeacherCounts() for name in NAMES})


# passes over the journal: a rule that must see all ballots before it decides reads every reply twice, so that none need be kept in memory
@pytest.mark.parametrize(("rule", "passes"), [("majority", 1), ("unanimous", 1), ("weighted", 2), ("dawid_skene", 2)])
def test_a_body_is_parsed_once_while_asking_and_once_in_each_pass_of_curating(tmp_path: Path, rule: str, passes: int) -> None:
    with three() as servers:
        path = pipeline(tmp_path, servers, rule)
        with parsed() as asking, RunSession.open(path, out=tmp_path / "run") as run:
            run.forge(progress(), {})
        assert asking.total() == came(servers) == len(NAMES) * ROWS + 1, "also of a body that nobody can read"
    with parsed() as curating, RunSession.open(path, out=tmp_path / "run") as run:
        run.build(offline=True)
    assert curating.total() == passes * len(NAMES) * ROWS
    unread = [row for row in table(tmp_path / "run", "losses") if row["stage"] == "read"]
    assert unread, "whose text their losses show"
    assert all(row["detail"].endswith("finish_reason=stop: I cannot tell.") for row in unread)
    assert summary(tmp_path / "run")["traces"] == len(NAMES) * ROWS


def test_a_run_that_goes_on_does_not_parse_what_is_settled(tmp_path: Path) -> None:
    with three() as servers:
        path = pipeline(tmp_path, servers, "majority")
        with RunSession.open(path, out=tmp_path / "run", limit=ROWS // 2) as run:
            run.forge(progress(), {})
        before = came(servers)
        with parsed() as asking, RunSession.open(path, out=tmp_path / "run") as run:
            run.forge(progress(), {})
        assert asking.total() == came(servers) - before


def test_a_teacher_that_is_added_does_not_have_what_the_others_said_parsed_again(tmp_path: Path) -> None:
    with three() as servers:
        teachers = [teacher(server, name) for name, server in servers.items()]
        write_rows(tmp_path, ROWS)
        with RunSession.open(write_pipeline(tmp_path, *teachers[:2]), out=tmp_path / "run") as run:
            run.forge(progress(), {})
        before = came(servers)
        with parsed() as asking, RunSession.open(write_pipeline(tmp_path, *teachers), out=tmp_path / "run") as run:
            run.forge(progress(), {})
        assert asking.total() == came(servers) - before == ROWS


def test_a_body_is_parsed_once_where_teachers_are_asked_one_after_another(tmp_path: Path) -> None:
    write_rows(tmp_path, 80 - ROWS, start=ROWS)
    with three() as servers:
        path = pipeline(tmp_path, servers, "sequential")
        with parsed() as asking:
            told = forge(path, tmp_path / "run", by_hand())
        assert told.asked < len(NAMES) * 80, "not everybody is asked about everything"
        assert asking.total() == came(servers)
