"""The journal is tried as a real file: killed, cut, filled up and read beside its writer."""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cotforge.errors import JournalError
from cotforge.journal import MIGRATIONS, VERSION, Journal
from cotforge.journal.leaves import FRAME, PAGE, leaf_rows
from cotforge.replies.attempt import Attempt
from tests.attempts import attempt


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def stored(number: int, place: int = 0, **changes: Any) -> Attempt:
    return attempt(place, bytes.fromhex(key(number)), **changes)


async def put(journal: Journal, number: int, **changes: object) -> None:
    place, begun = journal.begin(key(number), "t", "m")
    await begun
    await journal.end(stored(number, place, **changes))


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
    with pytest.raises(JournalError, match=r"j\.sqlite: no journal can be read in this file; it is left as it is") as caught:
        Journal(tmp_path / "j.sqlite")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["j.sqlite"]


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


# Damage


def filled(path: Path, rows: int, *, open_log: bool = False) -> dict[str, Attempt]:
    """A journal with so many replies, short and long; with `open_log` as a killed process leaves it."""
    bodies = {number: json.dumps("wörd " * random.Random(number).choice([10, 700, 7000])) for number in range(rows)}

    async def run() -> dict[str, Attempt]:
        with Journal(path) as journal:
            for start in range(0, rows, 20):
                await asyncio.gather(*(put(journal, number, body=bodies[number]) for number in range(start, start + 20)))
            if open_log:
                for end in ("", "-wal"):
                    shutil.copy(f"{path}{end}", f"{path}{end}.copy")
            return journal.replies(map(key, range(rows)))

    kept = asyncio.run(run())
    if open_log:
        for end in ("", "-wal"):
            os.replace(f"{path}{end}.copy", f"{path}{end}")
    return kept


def spoil(path: Path, *places: int) -> None:
    """Zero pages of a file."""
    with path.open("rb+") as file:
        for place in places:
            file.seek(place * PAGE)
            file.write(bytes(PAGE))


@pytest.mark.parametrize(
    "change", ["body = replace(body, 'x', 'y')", "finish_reason = 'length'", "cost_usd = 7", "body = CAST(x'fffe' AS TEXT)"]
)
def test_a_reply_that_is_not_as_it_was_written_is_damaged_and_may_be_asked_again(tmp_path: Path, change: str) -> None:
    async def write() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            await put(journal, 1, body="first")
            await put(journal, 1, body="x of one")
            await put(journal, 2, body="x of two", cost_usd=-0.0, seconds=3)
            await put(journal, 3, body="whole ä \u2028", detail="ü", error="400")

    asyncio.run(write())
    with contextlib.closing(sqlite3.connect(tmp_path / "j.sqlite")) as disk, disk:
        disk.execute(f"UPDATE replies SET {change} WHERE id IN (2, 3)")
    with Journal(tmp_path / "j.sqlite") as journal:
        found = journal.replies([key(1), key(2), key(3)])
    assert found[key(1)].body == "first", "an earlier whole reply is better than a damaged one"
    assert (found[key(2)].error, found[key(2)].settles(100), found[key(2)].final) == ("damaged", False, True)
    assert found[key(3)] == stored(3, 4, body="whole ä \u2028", detail="ü", error="400")


def test_replies_from_before_there_were_checksums_are_believed(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "j.sqlite")) as old, old:
        old.executescript("".join(MIGRATIONS[:2]) + "PRAGMA user_version = 2")
        old.execute("INSERT INTO replies VALUES (1, ?, 200, NULL, '', 0, 1, 'stop', 1, 1, 0, 1, 9, 'said', '')", (bytes.fromhex(key(1)),))
    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.replies([key(1)])[key(1)].body == "said"


@pytest.mark.parametrize("open_log", [False, True])
def test_the_leaves_of_a_sound_file_are_what_sqlite_finds_in_it(tmp_path: Path, open_log: bool) -> None:
    path = tmp_path / "j.sqlite"
    filled(path, 100, open_log=open_log)
    found = {
        (rowid, *values[1:]) for rowid, values in leaf_rows(path, tmp_path / "j.sqlite-wal") if rowid is not None and len(values) == 17
    }
    with Journal(path) as journal:
        assert {row[0] for row in found} == set(range(1, 101))
        assert found == set(journal.rows("SELECT * FROM replies"))


@pytest.mark.parametrize("open_log", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_whole_of_a_damaged_journal_is_there_and_the_damaged_file_is_kept(tmp_path: Path, seed: int, open_log: bool) -> None:
    path, chance, told = tmp_path / "j.sqlite", random.Random(seed), list[str]()
    whole = filled(path, 100, open_log=open_log)
    harm = bytearray(path.read_bytes())
    for _ in range(2):
        at = chance.randrange(len(harm) // PAGE) * PAGE
        harm[at : at + PAGE] = chance.choice([bytes(PAGE), chance.randbytes(PAGE)])
    path.write_bytes(harm)
    with Journal(path, tell=told.append) as journal:
        assert journal.rows("PRAGMA integrity_check") == [("ok",)]
        found, totals = journal.replies(map(key, range(100))), journal.totals()
    assert all(found[each] == whole[each] for each in found)
    assert len(found) >= (100 if open_log else 60), "a page holds a few replies or a part of one"
    assert totals["unknown"] == totals["attempts"] - len(found) <= 100 - len(found)
    if told:
        assert told[0].startswith(f"{path}: was damaged; ")
        assert f" {len(found):,} replies were saved" in told[0]
        assert (tmp_path / "j.damaged-1.sqlite").read_bytes() == harm
    Journal(path, tell=told.append).close()
    assert len(told) <= 1


@pytest.mark.parametrize("place", [20, 60, 100])
def test_a_log_with_a_fault_in_its_middle_loses_what_the_fault_hit_and_nothing_behind_it(tmp_path: Path, place: int) -> None:
    path, log, told = tmp_path / "j.sqlite", tmp_path / "j.sqlite-wal", list[str]()
    whole = filled(path, 100, open_log=True)
    harm = bytearray(log.read_bytes())
    harm[place * (PAGE + FRAME)] ^= 4
    log.write_bytes(harm)
    with Journal(path, tell=told.append) as journal:
        found = journal.replies(whole)
    assert all(found[each] == whole[each] for each in found)
    assert len(found) >= 98
    assert len(told) == 1
    assert (tmp_path / "j.damaged-1.sqlite-wal").read_bytes() == harm


def test_a_salvage_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    path, told = tmp_path / "j.sqlite", list[str]()
    whole = filled(path, 40)
    spoil(path, 1)
    Journal(path, tell=told.append).close()
    path.replace(tmp_path / "j.salvaged.sqlite")
    (tmp_path / "j.damaged-1.sqlite").replace(path)
    (tmp_path / "j.sqlite-wal").write_bytes(b"of the damaged file")
    with Journal(path, tell=told.append) as journal:
        assert journal.replies(whole) == whole
    assert len(told) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["j.damaged-1.sqlite", "j.damaged-1.sqlite-wal", "j.sqlite"]


def test_damage_met_while_reading_is_told_and_salvaged_at_the_next_opening(tmp_path: Path) -> None:
    path, told = tmp_path / "j.sqlite", list[str]()
    whole = filled(path, 100)
    with Journal(path) as journal:
        spoil(path, *range(20, 40))
        with pytest.raises(JournalError, match="malformed; run the same command again: it saves what is whole"):
            journal.rows("SELECT sum(length(body)) FROM replies")
        assert (tmp_path / "j.sqlite-damaged").exists()
    with Journal(path, tell=told.append) as journal:
        found = journal.replies(whole)
        assert all(found[each] == whole[each] for each in found)
    assert len(told) == 1
    assert not (tmp_path / "j.sqlite-damaged").exists()


def test_damage_met_while_writing_is_told_at_once_and_nobody_is_asked_to_make_room(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    filled(path, 100)

    async def run() -> None:
        with Journal(path) as journal:
            spoil(path, *range(1, path.stat().st_size // PAGE))
            begun = time.monotonic()
            with pytest.raises(JournalError, match="malformed; run the same command again") as caught:
                await asyncio.gather(*(put(journal, number) for number in range(100, 200)))
            assert "make room" not in str(caught.value)
            assert time.monotonic() - begun < 9, "and not after the 10 s in which a full disk may be given room"

    asyncio.run(run())


def test_a_damaged_journal_that_another_process_has_open_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    filled(path, 40)
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM asked').fetchall(); print(1, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        spoil(path, 4)
        with pytest.raises(JournalError, match="is damaged, and open in another process"):
            Journal(path)
        other.communicate("\n")
    Journal(path, tell=lambda line: None).close()
    assert (tmp_path / "j.damaged-1.sqlite").exists()


def test_closing_folds_the_log_into_the_file_though_other_threads_have_read(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"

    async def run(pool: ThreadPoolExecutor) -> None:
        with Journal(path) as journal:
            await put(journal, 1)
            assert await asyncio.get_running_loop().run_in_executor(pool, journal.replies, [key(1)])
            await put(journal, 2)

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(run(pool))
        assert [each.name for each in tmp_path.iterdir()] == ["j.sqlite"]
    with Journal(path) as journal:
        assert len(journal.replies([key(1), key(2)])) == 2
