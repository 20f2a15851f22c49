"""The calls that wait for one teacher: what happens to them where the run is stopped between two steps."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cotforge.budget import Budget, Hold, Purse
from cotforge.endings import Closing
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import TeacherCounts
from cotforge.forge.queued_call import Job
from cotforge.forge.teacher_queue import TeacherQueue
from cotforge.history import unanswered_attempts
from cotforge.journal import Journal
from cotforge.records import Call, Fault
from cotforge.replies.attempt import Attempt
from cotforge.teachers.teacher import Teacher
from tests.test_budget import TEACHER, call


class SilentPlace:
    """A server that would answer; the attempts that reach it are counted."""

    addresses, most, adaptive = ("here",), 8, False

    def __init__(self) -> None:
        self.asked: list[int] = []

    def prepare(self, images: object) -> None: ...

    async def ask(self, call: Call, images: object, address: str, *, number: int, timeout: object) -> Attempt:
        self.asked.append(number)
        await asyncio.sleep(60)
        raise AssertionError("nobody waits for so long")


class House:
    """What the queues of a run share, with a budget."""

    def __init__(self, journal: Journal, purse: Purse) -> None:
        self.journal, self.chance, self.stopped, self.purse = journal, random.Random(1), False, purse
        self.ends: list[Attempt | None] = []
        self.faults: list[Exception] = []
        self.seen: Callable[[], object] = lambda: None

    def admit(self, teacher: Teacher, call: Call) -> Hold | None:
        self.seen()
        return self.purse.admit(teacher, call)

    def bounded(self, teacher: Teacher) -> bool:
        return True

    def retry_in(self) -> float:
        return 0.0

    def settled(self, meter: TeacherCounts, job: Job, attempt: Attempt | None) -> None:
        self.ends.append(attempt)

    def lost(self, job: Job, fault: Fault) -> None:
        raise fault

    def tell(self, line: str) -> None: ...

    def broke(self, fault: Exception) -> None:
        self.faults.append(fault)

    def look(self) -> None: ...


def ends(folder: Path) -> list[tuple[Any, ...]]:
    """(attempt, error) of every attempt in the journal; None where it has no end."""
    with Journal(folder / "journal.sqlite") as journal:
        assert unanswered_attempts(journal) == {}
        return journal.rows("SELECT asked.id, error FROM asked LEFT JOIN replies ON replies.id = asked.id ORDER BY 1")


def queue_of(house: House, place: SilentPlace) -> TeacherQueue:
    return TeacherQueue(TEACHER, place, house, TeacherCounts())  # type: ignore[arg-type]


def test_an_attempt_whose_note_is_on_its_way_to_the_disk_when_the_run_ends_is_noted_as_not_sent(tmp_path: Path) -> None:
    place = SilentPlace()

    async def stop_at_once() -> House:
        with Journal(tmp_path / "journal.sqlite") as journal:
            house = House(journal, Purse(Budget(usd=10)))
            queue = queue_of(house, place)
            queue.put(call(), PendingSample(call().sample, [], []), counted=False)
            house.stopped = True
            queue.close(Closing.OVER)
            return house  # and no turn of the loop in between: the commit of the note is heard of by nobody

    house = asyncio.run(stop_at_once())
    assert (house.ends, house.faults, house.purse.in_flight.calls, place.asked) == ([None], [], 0, [])
    assert ends(tmp_path) == [(1, "not_sent")]


def test_a_run_that_is_stopping_begins_nothing_in_the_queues_that_are_not_closed_yet(tmp_path: Path) -> None:
    place = SilentPlace()

    async def stop_first() -> House:
        with Journal(tmp_path / "journal.sqlite") as journal:
            house = House(journal, Purse(Budget(usd=10)))
            queue, house.stopped = queue_of(house, place), True
            queue.put(call(), PendingSample(call().sample, [], []), counted=False)
            queue.pump()
            queue.close(Closing.OVER)
            return house

    house = asyncio.run(stop_first())
    assert (house.ends, ends(tmp_path), place.asked) == ([None], [], [])


def test_an_attempt_counts_as_in_flight_before_its_task_has_run(tmp_path: Path) -> None:
    """So whoever stops the run in between waits for its end, and does not cancel it after it was sent."""
    place, seen = SilentPlace(), list[tuple[int, int]]()

    async def begin_some() -> None:
        with Journal(tmp_path / "journal.sqlite") as journal:
            house = House(journal, Purse(Budget(calls=100)))
            queue = queue_of(house, place)
            house.seen = lambda: seen.append((queue.in_flight, len(place.asked)))
            for _ in range(8):
                queue.put(call(), PendingSample(call().sample, [], []), counted=False)
            while len(place.asked) < 8:
                await asyncio.sleep(0.001)
            await queue.cancel()

    asyncio.run(begin_some())
    assert (seen[0], seen[-1][0] > 0, seen[-1][1]) == ((0, 0), True, 0), "the last were admitted after the first was handed to its task"
