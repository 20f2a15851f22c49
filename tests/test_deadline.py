"""How long calls may take, from how long they took."""

import heapq
from math import inf
from random import Random

import pytest

from cotforge.forge.deadline import ENOUGH, LEAST_S, Deadline, Wait


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_an_uneven_tail_is_not_cut(sigma: float) -> None:
    cut = asked = 0
    for seed in range(20):
        chance, deadline = Random(seed), Deadline(100_000.0)
        for _ in range(5000):
            seconds, allowed = 20 * chance.lognormvariate(0, sigma), deadline.seconds()
            asked += 1
            if seconds > allowed:
                cut += 1
                deadline.ran_out(allowed)
            else:
                deadline.saw(seconds)
    assert cut < 0.001 * asked


def test_the_timeout_holds_until_enough_is_known_and_is_never_passed() -> None:
    deadline = Deadline(600.0)
    for _ in range(ENOUGH - 1):
        deadline.saw(5.0)
        assert deadline.seconds() == 600.0
    deadline.saw(5.0)
    assert deadline.seconds() == 20.0
    assert deadline.seconds(1) == 40.0
    assert deadline.seconds(40) == 600.0
    assert deadline.usual == 5.0


def test_quick_answers_do_not_make_it_hasty() -> None:
    deadline = Deadline(600.0)
    for _ in range(ENOUGH):
        deadline.saw(0.01)
    assert deadline.seconds() == LEAST_S
    assert Deadline(3.0).seconds() == 3.0


def test_a_server_that_becomes_twenty_times_slower_is_heard_again_soon() -> None:
    chance, deadline, cut = Random(0), Deadline(600.0), 0
    for call in range(3000):
        seconds = (5 if call < 1500 else 100) * chance.uniform(0.7, 1.3)
        allowed = deadline.seconds()
        if seconds > allowed:
            cut += 1
            deadline.ran_out(allowed)
        else:
            deadline.saw(seconds)
    assert cut <= 10
    assert deadline.usual > 50


def test_many_calls_cut_off_together_count_as_one_lesson() -> None:
    deadline = Deadline(600.0)
    for _ in range(ENOUGH):
        deadline.saw(5.0)
    for _ in range(40):
        deadline.ran_out(20.0)
    assert deadline.seconds() == 40.0


# calls that hang


class Teacher:
    """Calls that take a while, or for ever, in virtual time: 64 at a time, each asked twice at most. Looked at every second."""

    def __init__(self, hangs: float, slow: float = 0.0, *, usual: float = 0.03, long: float = 5.0, seed: int = 0) -> None:
        self.deadline, self.chance = Deadline(600.0), Random(seed)
        self.hangs, self.slow, self.usual, self.long = hangs, slow, usual, long
        self.now, self.cut, self.lost = 0.0, 0, 0
        self.takes: dict[Wait, float] = {}

    def run(self, calls: int, places: int = 64) -> float:
        """Seconds until all have ended."""
        free, order, left = [0.0] * places, 0, [(False, 0, False)] * calls
        events: list[tuple[float, int, tuple[bool, int, bool], Wait, bool]] = []
        while left or events:
            while left and free:
                self.now = max(self.now, heapq.heappop(free)) if not events or free[0] <= events[0][0] else self.now
                hung, timeouts, slow = left.pop()
                slow = slow or self.chance.random() < self.slow
                wait = self.deadline.begin(self.now, timeouts=timeouts, hung=hung)
                takes = inf if self.chance.random() < self.hangs else self.long if slow else self.usual * self.chance.uniform(0.7, 1.3)
                order += 1
                heapq.heappush(events, (self.now + min(takes, 1.0), order, (hung, timeouts, slow), wait, takes <= 1.0))
                self.takes[wait] = takes
            self.now, _, (hung, timeouts, slow), wait, over = heapq.heappop(events)
            took = self.now - wait.begun
            cut = not over and took >= self.deadline.allowed(wait, self.now) - 1e-9
            if not over and not cut:
                order += 1
                ends = wait.begun + self.takes[wait]
                heapq.heappush(events, (min(ends, self.now + 1.0), order, (hung, timeouts, slow), wait, ends <= self.now + 1.0))
                continue
            self.deadline.ended(wait, self.now, answered=over, cut=cut)
            self.cut += cut
            if cut and timeouts == 0:
                left.append((wait.cut, 1, slow))
            self.lost += cut and timeouts > 0
            heapq.heappush(free, self.now)
        return self.now


@pytest.mark.parametrize("seed", range(3))
def test_one_call_in_a_hundred_that_hangs_does_not_double_a_run(seed: int) -> None:
    struck, whole = Teacher(0.01, seed=seed), Teacher(0.0, seed=seed)
    assert struck.run(16_000) <= 2.0 * whole.run(16_000)
    assert struck.lost <= 8


@pytest.mark.parametrize("seed", range(3))
def test_long_answers_among_quick_ones_are_not_cut_off_again_and_again(seed: int) -> None:
    honest = Teacher(0.0, 0.005, seed=seed)
    honest.run(6000)
    assert honest.lost == 0, "the second attempt waits"
    assert honest.cut <= 8, "of thirty: a few, until the first of them is answered"


def test_where_nobody_is_answered_all_are_waited_for_longer() -> None:
    deadline = Deadline(600.0)
    for _ in range(ENOUGH):
        deadline.saw(0.05)
    waits = [deadline.begin(0.0) for _ in range(16)]
    assert [deadline.allowed(wait, 9.0) for wait in waits] == [LEAST_S] * 16
    for _ in range(4 * 16):
        deadline.saw(0.05)
    cut = [deadline.allowed(wait, 9.0) == 9.0 for wait in waits]
    assert cut[0], "the others are answered again"


def test_no_more_than_a_few_are_cut_off_before_it_is_known_that_they_hang() -> None:
    deadline = Deadline(600.0)
    waits = [deadline.begin(0.0) for _ in range(8)]
    for _ in range(2 * ENOUGH):
        deadline.saw(0.05)
    cut = []
    for wait in waits:
        deadline.allowed(wait, 5.0)
        cut.append(wait.cut)
        deadline.ended(wait, 5.0, answered=not wait.cut, cut=wait.cut)
    assert cut == [True] * 3 + [False] * 5
