"""A disk that is full in the middle of a run: what was served is kept, and nothing is asked twice."""

import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cotforge.errors import JournalError
from cotforge.journal import Journal
from cotforge.replies.attempt import unsent_attempt
from tests.attempts import attempt
from tests.project import command, cotforge, environment, ran, sees, summary, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

RUN = Path("runs/feelings")
ALONE = {"label": "ignore"}
LIMIT = 400_000
"""Bytes that a file may have: the journal's log soon wants more."""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def limited(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command whose files cannot grow beyond LIMIT, as on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    return subprocess.run(command(*words), cwd=folder, env=environment(), preexec_fn=limit, capture_output=True, text=True, timeout=120)


def test_replies_that_a_full_disk_has_no_room_for_are_kept_elsewhere_and_taken_up_by_the_next_run(tmp_path: Path, elsewhere: Path) -> None:
    write_rows(tmp_path, 120)
    long = lambda body: sees(body).replace("</think>", " word" * 3000 + "</think>")  # noqa: E731 - 15 kB
    with Teacher(long, latency=0.1) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=16), consensus=ALONE)
        assert ran("check", "pipeline.yaml", cwd=tmp_path).returncode == 0  # what is known of the pictures has its own file
        ended = limited(tmp_path, "build", "pipeline.yaml")
        served = len(server.ledger)
        assert ended.returncode == 2, ended.stderr
        lines = ended.stderr.splitlines()
        assert "replies are kept in" in lines[-1]
        assert lines[-1].startswith("runs/feelings/journal.sqlite: disk I/O error; "), "which is what SQLite makes of this limit"
        assert any("cannot be written; nothing more is asked" in line for line in lines)
        assert "Traceback" not in ended.stderr
        kept = list(elsewhere.glob("cotforge-replies-*"))
        assert kept
        assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
        assert 0 < served < 120
        again = cotforge("build", "pipeline.yaml", cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert "are taken up from" in again.stderr
        assert len(server.ledger) == 120, "nothing that was served is asked a second time"
    assert summary(tmp_path / RUN)["accepted"] == 120
    assert not list(elsewhere.glob("cotforge-replies-*"))


# the journal alone


def filled(
    path: Path,
    elsewhere: Path,
    *,
    pages: int = 20,
    count: int = 30,
    patience: float = 20.0,
    room: Callable[[Journal], object] | None = None,
) -> tuple[list[str], Journal]:
    """The ends of 30 replies that were to be kept by a journal that may have 20 pages; `room` is called once it is stuck."""
    ended: list[str] = []

    async def run(journal: Journal) -> None:
        numbers = [journal.begin(f"{number:02}" * 32, "one", "m") for number in range(30)]
        await asyncio.gather(*(kept for _, kept in numbers))
        journal._writer.execute("PRAGMA max_page_count = 20")
        if room is not None:
            journal.changed = lambda: room(journal) if journal.stuck else None
        ends = [
            journal.end(replace(attempt(number, body="x" * 5000), key=bytes.fromhex(f"{place:02}" * 32)))
            for place, (number, _) in enumerate(numbers)
        ]
        ended.extend("kept" if each is None else str(each) for each in await asyncio.gather(*ends, return_exceptions=True))

    with Journal(path, patience=patience, elsewhere=[elsewhere]) as journal:
        asyncio.run(run(journal))
    return ended, journal


def test_what_cannot_be_kept_elsewhere_is_told_with_the_number_that_is_lost(tmp_path: Path) -> None:
    ended, journal = filled(tmp_path / "j.sqlite", tmp_path / "nowhere", patience=0)
    assert "30 replies are lost" in str(journal.gave_up)
    assert all("30 replies are lost" in each for each in ended)


def test_a_disk_that_is_given_room_in_time_keeps_everything_where_it_belongs(tmp_path: Path, elsewhere: Path) -> None:
    path = tmp_path / "j.sqlite"
    ended, journal = filled(path, elsewhere, room=lambda journal: journal._writer.execute("PRAGMA max_page_count = 100000"))
    assert (ended, journal.gave_up, journal.stuck) == (["kept"] * 30, None, None)
    assert not list(elsewhere.iterdir())


def test_the_journal_goes_on_trying_while_replies_are_awaited(tmp_path: Path, elsewhere: Path) -> None:
    path, begun = tmp_path / "j.sqlite", time.monotonic()

    def room(journal: Journal) -> None:
        journal.awaited = lambda: time.monotonic() < begun + 3

    ended, journal = filled(path, elsewhere, patience=0, room=room)
    assert time.monotonic() > begun + 3
    assert ended == ["kept"] * 30
    assert "30 replies are kept in" in str(journal.gave_up)


def test_what_still_waits_when_a_journal_is_closed_is_kept_elsewhere_too(tmp_path: Path, elsewhere: Path) -> None:
    path = tmp_path / "j.sqlite"

    async def run(journal: Journal) -> None:
        number, kept = journal.begin("01" * 32, "one", "m")
        await kept
        journal._writer.execute("PRAGMA max_page_count = 20")
        journal.end(replace(attempt(number, body="x" * 200_000), key=bytes.fromhex("01" * 32)))
        withdrawn, _ = journal.begin("02" * 32, "one", "m")
        journal.end(unsent_attempt(withdrawn, "02" * 32))  # its begin does not come to the disk either, so there is nothing to keep
        await asyncio.sleep(0.2)

    with pytest.raises(JournalError, match="1 reply is kept in"), Journal(path, elsewhere=[elsewhere]) as journal:
        asyncio.run(run(journal))
    Journal(path, tell=lambda line: None, elsewhere=[elsewhere]).close()
    assert count(path) == 1


@pytest.fixture
def spilled(tmp_path: Path, elsewhere: Path) -> tuple[Path, Path]:
    """A journal that lacks 30 replies, and the file that has them."""
    path = tmp_path / "j.sqlite"
    filled(path, elsewhere, patience=0)
    (file,) = elsewhere.iterdir()
    return path, file


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as reader:
        return int(reader.execute("SELECT count(*) FROM replies").fetchone()[0])


def test_replies_are_taken_up_once_and_are_what_they_were(spilled: tuple[Path, Path], tmp_path: Path) -> None:
    path, file = spilled
    copy = file.read_bytes()
    told: list[str] = []
    with Journal(path, tell=told.append, elsewhere=[file.parent]) as journal:
        found = journal.replies([f"{number:02}" * 32 for number in range(30)])
        assert [each.body for each in found.values()] == ["x" * 5000] * 30
    assert told == [f"{path}: 30 replies that it had no room for are taken up from {file}"]
    assert not file.exists()
    file.write_bytes(copy)
    moved = tmp_path / "moved.sqlite"
    path.rename(moved)
    Journal(moved, tell=told.append, elsewhere=[file.parent]).close()
    assert (count(moved), told[1:]) == (30, [f"{moved}: 0 replies that it had no room for are taken up from {file}"])


def test_rows_that_belong_to_no_attempt_or_are_not_as_they_were_written_are_left_out(spilled: tuple[Path, Path]) -> None:
    path, file = spilled
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    lines[0][0] = 999
    lines[1][13] = "forged"
    lines[2] = lines[2][:5]
    file.write_text("\n".join([*map(json.dumps, lines), '{"torn']) + "\n[1]\nnull\n")
    Journal(path, tell=lambda line: None, elsewhere=[file.parent]).close()
    assert count(path) == 27


@pytest.mark.parametrize("how", ["link", "second name", "fifo", "another user"])
def test_a_file_that_is_not_ours_is_left_alone(spilled: tuple[Path, Path], tmp_path: Path, how: str) -> None:
    path, file = spilled
    if how == "link":
        file.rename(tmp_path / "target")
        file.symlink_to(tmp_path / "target")
    elif how == "second name":
        os.link(file, tmp_path / "second")
    elif how == "fifo":
        file.unlink()
        os.mkfifo(file)
    elif os.getuid():
        pytest.skip("only root can give a file away")
    else:
        os.chown(file, 12345, 12345)
    Journal(path, tell=lambda line: None, elsewhere=[file.parent]).close()
    assert (count(path), file.exists()) == (0, True)
