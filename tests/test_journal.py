"""The journal is tried as a real file: killed, cut, filled up and read beside its writer."""

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cotforge.errors import JournalError
from cotforge.journal import VERSION, Journal, Stored


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def stored(number: int, attempt: int = 0, **changes: object) -> Stored:
    whole = Stored(
        attempt=attempt, key=bytes.fromhex(key(number)), status=200, error=None, detail="", passing=False, final=True, finish_reason="stop",
        input_tokens=10, output_tokens=20, cost_usd=0.5, seconds=1.0, max_tokens=100, body="{}",
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]


async def put(journal: Journal, number: int, **changes: object) -> None:
    attempt, begun = journal.begin(key(number), "t", "m")
    await begun
    await journal.end(stored(number, attempt, **changes))


def test_a_reply_can_be_read_as_soon_as_its_end_returns(tmp_path: Path) -> None:
    async def run() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            await put(journal, 1, body='{"ä": "\\u2028"}')
            assert journal.replies([key(1), key(2)]) == {key(1): stored(1, 1, body='{"ä": "\\u2028"}')}

    asyncio.run(run())


def test_a_whole_reply_wins_over_one_cut_off_and_over_any_error_and_the_latest_over_earlier_ones(tmp_path: Path) -> None:
    async def run() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            await put(journal, 1, body="first")
            await put(journal, 1, body="second")
            await put(journal, 1, body="cut", finish_reason="length")
            await put(journal, 1, error="500", passing=True)
            await put(journal, 2, error="500", passing=True, final=False)
            assert journal.replies([key(1)])[key(1)].body == "second"
            assert journal.replies([key(2)]) == {}

    asyncio.run(run())


def test_raising_max_tokens_unsettles_only_what_was_cut_off() -> None:
    assert stored(1, max_tokens=100).settles(4096)
    cut = stored(1, finish_reason="length", max_tokens=100)
    assert [cut.settles(limit) for limit in (50, 100, 101, None)] == [True, True, False, False]
    assert stored(1, finish_reason="length", max_tokens=None).settles(4096)


def test_what_the_server_refused_stays_settled_and_what_failed_in_passing_does_not() -> None:
    assert stored(1, error="400").settles(100)
    assert not stored(1, error="400").settles(50), "a smaller max_tokens may be what the server asked for"
    assert not stored(1, error="timeout", passing=True).settles(100)


def test_totals_count_distinct_calls_and_attempts_of_unknown_outcome(tmp_path: Path) -> None:
    async def run() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            await put(journal, 1)
            await put(journal, 1)
            await put(journal, 2, error="500", passing=True, final=False, input_tokens=0, output_tokens=0, cost_usd=0.0)
            await journal.begin(key(3), "t", "m")[1]
            assert journal.totals() == {"calls_total": 1, "attempts": 4, "unknown": 1, "input": 20, "output": 40, "cost_usd": 1.0}

    asyncio.run(run())


def test_many_at_once_are_all_kept_in_far_fewer_commits(tmp_path: Path) -> None:
    async def run() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            await asyncio.gather(*(put(journal, number) for number in range(500)))
            assert len(journal.replies(map(key, range(500)))) == 500

    asyncio.run(run())


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "j.sqlite").close()
    assert (tmp_path / "j.sqlite").stat().st_mode & 0o077 == 0


def test_a_newer_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Journal(tmp_path / "j.sqlite").close()
    with sqlite3.connect(tmp_path / "j.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(JournalError, match="newer cotforge"):
        Journal(tmp_path / "j.sqlite")


def test_a_file_that_is_no_database_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(JournalError, match=r"j\.sqlite: .*recover") as caught:
        Journal(tmp_path / "j.sqlite")
    assert "\n" not in str(caught.value)


WRITER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from tests.test_journal import put
    from cotforge.journal import Journal

    async def one(journal, number):
        await put(journal, number, body="x" * 3000)
        print(number, flush=True)

    async def main():
        with Journal(Path(sys.argv[1])) as journal:
            for start in range(0, 100_000, 8):
                await asyncio.gather(*(one(journal, number) for number in range(start, start + 8)))
    asyncio.run(main())
""")


@pytest.mark.parametrize("seconds", [0.05, 0.11, 0.23])
def test_after_sigkill_every_reply_that_was_acknowledged_is_there(tmp_path: Path, seconds: float) -> None:
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", WRITER, str(tmp_path / "j.sqlite"), root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root}) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        said = [int(line) for line in (first + writer.stdout.read()).splitlines(keepends=True) if line.endswith("\n")]
    with Journal(tmp_path / "j.sqlite") as journal:
        assert said
        assert all(key(number) in journal.replies([key(number)]) for number in said)
        assert journal.totals()["unknown"] <= 8


def test_a_log_cut_anywhere_opens_with_whole_transactions(tmp_path: Path) -> None:
    async def run() -> bytes:
        journal = Journal(tmp_path / "j.sqlite")
        for number in range(20):
            await put(journal, number)
        log = (tmp_path / "j.sqlite-wal").read_bytes()
        whole = (tmp_path / "j.sqlite").read_bytes()
        journal.close()
        (tmp_path / "copy").mkdir()
        (tmp_path / "copy/base").write_bytes(whole)
        return log

    log = asyncio.run(run())
    for cut in range(0, len(log), max(1, len(log) // 25)):
        path = tmp_path / "copy" / f"{cut}.sqlite"
        path.write_bytes((tmp_path / "copy/base").read_bytes())
        path.with_name(path.name + "-wal").write_bytes(log[:cut])
        with Journal(path) as journal:
            have = [number for number in range(20) if journal.replies([key(number)])]
            assert have == list(range(len(have))), "a reply was lost before one that was kept"
