"""Asking servers that fail, refuse, stall and die: everything paid for is kept, nothing is asked more often than it may be."""

import asyncio
import contextlib
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from cotforge.budget import Budget, Purse
from cotforge.forge import Forge, Progress, TeacherCounts
from cotforge.forge.lookahead import LOOKAHEAD
from cotforge.forge.tries import ATTEMPTS, TIMEOUTS
from cotforge.images import Images, Sending
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Picture, Sample
from tests.project import LABELS, Running, command, environment, ran, sees, summary, table, teacher, write_pipeline, write_rows
from tests.teacher import Failure, Teacher

ALONE = {"label": "ignore"}


def picture_of(body: dict[str, Any]) -> str:
    return str(next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"))


def at_first(count: int, failure: Failure) -> Callable[[dict[str, Any]], Failure]:
    """Each picture fails so many times, and never again."""
    seen: Counter[str] = Counter()

    def fail(body: dict[str, Any]) -> Failure:
        seen[picture_of(body)] += 1
        return failure if seen[picture_of(body)] <= count else None

    return fail


def build(folder: Path) -> dict[str, Any]:
    """The summary of a build that ends well."""
    ended = ran("build", "pipeline.yaml", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return summary(folder / "runs/feelings")


def until(true: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


# Failures that pass


def test_what_fails_once_is_asked_again_and_arrives(tmp_path: Path) -> None:
    """In every way in which an attempt can end, a picture each."""
    write_rows(tmp_path, 14)
    failures: tuple[Failure, ...] = (500, 408, "reset", "cut", "html", "garbage", "empty")
    ways: dict[str, Failure] = {}

    def fail(body: dict[str, Any]) -> Failure:
        seen = picture_of(body) in ways
        return None if seen else ways.setdefault(picture_of(body), failures[len(ways) % len(failures)])

    with Teacher(sees, fail=fail) as server:
        write_pipeline(tmp_path, teacher(server), consensus=ALONE)
        told = build(tmp_path)
        assert set(Counter(entry.call for entry in server.ledger).values()) == {2}
    assert set(ways.values()) == set(failures)
    assert (told["calls"], told["calls_failed"], told["attempts"], told["accepted"]) == (14, 0, 28, 14)
    assert table(tmp_path / "runs/feelings", "losses") == []


def test_what_is_turned_away_waits_as_it_is_told_and_loses_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, 8)
    with Teacher(sees, limit=0, retry_after=1) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4), consensus=ALONE)
        turned = []

        def open_up() -> None:
            until(lambda: server.refused)
            turned.append(time.time())
            time.sleep(0.5)
            server.limit = None

        thread = threading.Thread(target=open_up)
        thread.start()
        told = build(tmp_path)
        thread.join()
        assert min(entry.started for entry in server.ledger) >= turned[0] + 0.9
        assert server.refused <= 4, "each slot learns it once, nobody insists"
        assert len(server.ledger) == 8
    assert (told["calls_failed"], told["accepted"]) == (0, 8)


def test_a_server_with_a_small_limit_gets_everything_done(tmp_path: Path) -> None:
    write_rows(tmp_path, 20)
    with Teacher(sees, limit=2, retry_after=0.1, latency=0.02) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=8), consensus=ALONE)
        told = build(tmp_path)
        assert server.most_in_flight <= 2
        assert len(server.ledger) == 20, "who was turned away was never asked twice at once"
    assert (told["calls_failed"], told["accepted"]) == (0, 20)


def test_a_quota_that_is_used_up_stops_its_teacher_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with Teacher(sees, fail=lambda body: (429, "insufficient_quota") if len(poor.ledger) > 5 else None) as poor, Teacher(sees) as rich:
        write_pipeline(tmp_path, teacher(poor, "poor", concurrency=2), teacher(rich, "rich"), consensus=ALONE)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        asked = len(poor.ledger)
        assert asked <= 5 + 2
        assert len(rich.ledger) == 30
        assert ended.returncode == 3
        assert "teacher 'poor': paused: quota" in ended.stderr
        told = summary(tmp_path / "runs/feelings")
        assert (told["teachers"]["rich"]["answered"], told["teachers"]["poor"]["answered"]) == (30, 5)
        poor.fail = None
        assert build(tmp_path)["calls"] == 25
        assert len(poor.ledger) == asked + 25


# Servers that stall or go away


def test_a_server_that_hangs_is_asked_twice_and_then_given_up(tmp_path: Path) -> None:
    write_rows(tmp_path, 4)
    with Teacher(sees, fail=lambda body: "hang") as server:
        write_pipeline(tmp_path, teacher(server, timeout=0.3), max_failures=1)
        told = build(tmp_path)
        assert set(Counter(entry.call for entry in server.ledger).values()) == {TIMEOUTS} == {2}
    losses = [loss for loss in table(tmp_path / "runs/feelings", "losses") if loss["stage"] == "ask"]
    assert {(loss["teacher"], loss["reason"]) for loss in losses} == {("one", "timeout")}
    assert (told["calls_failed"], told["rejected"], len(losses)) == (4, {"vote:no_replies": 4}, 4)


def test_one_request_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    stuck: list[str] = []

    def first_hangs(body: dict[str, Any]) -> Failure:
        stuck[:] = stuck or [picture_of(body)]
        return "hang" if picture_of(body) in stuck else None

    with Teacher(sees, fail=first_hangs) as server:
        write_pipeline(tmp_path, teacher(server, timeout=1.5, concurrency=2), consensus=ALONE)
        told = build(tmp_path)
        done = [entry.finished - server.ledger[0].started for entry in server.ledger if entry.finished]
    assert (told["calls_failed"], told["accepted"], len(done)) == (1, 29, 29)
    assert max(done) < 1.5, "the others were done before the first timeout"


def test_a_server_that_dies_and_comes_back_on_its_port_loses_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    served: list[str] = []
    with contextlib.ExitStack() as stack:
        first = Teacher(sees, latency=0.05)
        first.__enter__()
        write_pipeline(tmp_path, teacher(first, concurrency=4), consensus=ALONE)

        def die_and_come_back() -> None:
            until(lambda: len(first.ledger) >= 12)
            first.__exit__()
            time.sleep(0.7)
            stack.enter_context(second)

        second = Teacher(sees, port=first.port)
        thread = threading.Thread(target=die_and_come_back)
        thread.start()
        told = build(tmp_path)
        thread.join()
        served = [entry.call for entry in (*first.ledger, *second.ledger)]
    assert (told["calls_failed"], told["accepted"]) == (0, 40)
    assert len(set(served)) == 40
    assert len(served) <= 44, "only what was in flight at its death is asked again"


def test_two_teachers_go_each_at_their_own_pace(tmp_path: Path) -> None:
    write_rows(tmp_path, 30)
    with Teacher(sees, latency=0.15) as slow, Teacher(sees) as quick:
        write_pipeline(tmp_path, teacher(slow, "slow", concurrency=4), teacher(quick, "quick", concurrency=4))
        assert build(tmp_path)["calls"] == 60
        begun = min(entry.started for entry in (*slow.ledger, *quick.ledger))
        ends = [max(entry.finished or 0.0 for entry in server.ledger) - begun for server in (slow, quick)]
    assert ends[0] > 1.0
    assert ends[1] < ends[0] / 2


def test_the_quicker_of_two_replicas_does_more(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with Teacher(sees, latency=0.2) as slow, Teacher(sees, latency=0.02) as quick:
        write_pipeline(tmp_path, teacher(slow, concurrency=2) | {"url": [slow.url, quick.url]}, consensus=ALONE)
        assert build(tmp_path)["calls"] == 40
        assert len(slow.ledger) + len(quick.ledger) == 40
        assert len(quick.ledger) > 2 * len(slow.ledger) > 0


# Ends before the end


def test_many_failures_stop_a_run_long_before_everything_was_tried(tmp_path: Path) -> None:
    write_rows(tmp_path, 300)
    with Teacher(sees, fail=lambda body: 400) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4), max_failures=0.2)
        ended = ran("build", "pipeline.yaml", cwd=tmp_path)
        assert len(server.ledger) < 80
    assert ended.returncode == 3
    assert "max_failures 0.2" in ended.stderr
    assert summary(tmp_path / "runs/feelings")["stopped"] == "failures"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_keeps_what_is_in_flight_and_a_second_interrupt_drops_it(tmp_path: Path, number: signal.Signals) -> None:
    write_rows(tmp_path, 60)
    with Teacher(sees, latency=0.3) as server:
        write_pipeline(tmp_path, teacher(server, concurrency=4), consensus=ALONE)
        with Running(command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as run:
            until(lambda: server.in_flight == 4)
            run.send_signal(number)
            if number == signal.SIGINT:
                server.latency = 60.0
                time.sleep(0.1)
                run.send_signal(number)
            begun = time.monotonic()
            _, said = run.communicate(timeout=90)
        assert time.monotonic() - begun < 30, "and not the 60 s of the server"
        assert run.returncode == 130, said
        assert re.search(r"interrupted; what was paid for is kept \(\d+ calls ended now\): run the same command again", said)
        asked = len(server.ledger)
        server.latency = 0.0
        assert build(tmp_path)["accepted"] == 60
        repeated = len(server.ledger) - 60
        assert 4 <= asked <= 8
        assert repeated == 0 if number == signal.SIGTERM else repeated <= 4


# The forge without the command


def endless(drawn: list[int]) -> Iterator[Sample]:
    for number in range(100_000):
        drawn.append(number)
        data = b"\xff\xd8" + number.to_bytes(4, "big") + b"\xff\xd9"
        picture = Picture(f"{number:064x}", "image/jpeg", 8, 8, len(data), lambda data=data: data)  # type: ignore[misc]
        yield Sample(f"row-{number}", (picture,), "Which?", tuple(LABELS))


async def abandon(asking: Forge, full: Callable[[], bool]) -> None:
    """Drops everything a second after it is full, in which a forge that reads on would show it."""
    end = time.monotonic() + 60
    while time.monotonic() < end and not full():
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    asking.abandon()


def forge(folder: Path, samples: Iterator[Sample], *, full: Callable[[], bool] = lambda: False) -> Progress:
    """The counts of a forge that asks until a second after it is `full`, or for a minute, and then drops everything."""
    loaded = Loaded.load(folder / "pipeline.yaml")
    progress = Progress({one.name: TeacherCounts() for one in loaded.pipeline.teachers})

    async def run(journal: Journal) -> None:
        asking = Forge(loaded, journal, progress, sending=Sending(Images(), folder), purse=Purse(Budget()), tell=print)
        ending = asyncio.create_task(abandon(asking, full))
        await asking.run(lambda: samples)
        ending.cancel()

    with Journal(folder / "journal.sqlite") as journal:
        asyncio.run(run(journal))
    return progress


def test_a_server_that_stalls_does_not_make_the_source_be_read_ahead(tmp_path: Path) -> None:
    drawn: list[int] = []
    with Teacher(fail=lambda body: "hang") as server:
        write_pipeline(tmp_path, teacher(server, concurrency=3))
        progress = forge(tmp_path, endless(drawn), full=lambda: server.in_flight == 3)
        assert server.most_in_flight == 3
    room = 2 * 3 + 64
    assert 3 <= len(drawn) <= room + 3 * LOOKAHEAD
    assert (progress.asked, progress.stopped) == (0, "interrupted")


class AbandoningJournal(Journal):
    """On a slow disk: while the first attempts are on their way to it, everything is dropped."""

    asking: Forge

    def begin(self, key: str, teacher: str, model: str, *, about: Sample | None = None) -> tuple[int, asyncio.Future[None]]:
        loop = asyncio.get_running_loop()
        loop.call_soon(self.asking.abandon)
        attempt, kept = super().begin(key, teacher, model, about=about)
        late: asyncio.Future[None] = loop.create_future()
        kept.add_done_callback(lambda _: loop.call_later(60, late.set_result, None))
        return attempt, late


def test_what_was_about_to_be_asked_as_everything_was_dropped_does_not_count_as_lost(tmp_path: Path) -> None:
    with Teacher(sees) as server, AbandoningJournal(tmp_path / "journal.sqlite") as journal:
        loaded = Loaded.load(write_pipeline(tmp_path, teacher(server, concurrency=4)))
        progress = Progress({one.name: TeacherCounts() for one in loaded.pipeline.teachers})
        journal.asking = Forge(loaded, journal, progress, sending=Sending(Images(), tmp_path), purse=Purse(Budget()), tell=print)
        asyncio.run(journal.asking.run(lambda: endless([])))
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.latest() > 1, "of several it was noted that they would be asked"
        assert (journal.totals()["unknown"], journal.totals()["attempts"]) == (0, len(server.ledger)) == (0, 0)


def test_attempts_that_were_interrupted_never_count(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    with Teacher(sees, fail=lambda body: "hang") as server:
        write_pipeline(tmp_path, teacher(server), consensus=ALONE)
        for _ in range(ATTEMPTS + 1):
            begun = len(server.ledger)
            with Running(
                command("build", "pipeline.yaml"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            ) as killed:
                until(lambda begun=begun: len(server.ledger) == begun + 3)
                killed.kill()
        server.fail = at_first(ATTEMPTS - 1, 500)
        told = build(tmp_path)
    assert (told["calls"], told["calls_failed"], told["accepted"]) == (3, 0, 3)
    assert told["attempts"] == 3 * ATTEMPTS
    assert told["attempts_unknown"] == 3 * (ATTEMPTS + 1)
    assert told["attempts_charged"] == {"unknown": 3 * (ATTEMPTS + 1)}


def test_a_bug_in_reading_ends_the_run_with_its_traceback_and_not_never(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield from islice(endless([]), 5)
        raise ZeroDivisionError

    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server))
        with pytest.raises(ZeroDivisionError):
            forge(tmp_path, broken())
