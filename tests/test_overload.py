"""Refusals that depend on what is in flight are obeyed, and those that do not are retried: in virtual time, with seeded servers."""

from collections.abc import Callable
from functools import cache
from math import inf
from random import Random

import pytest

from cotforge.forge.overload import ACCEPTED_S, SPAN, UNKNOWN_S, OverloadFinding, OverloadTest
from cotforge.forge.pace import Pace
from tests.pacing import World

Limit = Callable[[float], int]


def run(
    background: float,
    *,
    limit: Limit = lambda now: 10_000,
    seconds: float = 0.03,
    work: int = 6000,
    seed: int = 0,
    until: float = inf,
    after: float | None = None,
) -> World:
    """A server that answers in `seconds`, give or take 30 %, refuses a share of all calls at random, and all above its limit."""
    chance = Random(1000 + seed)

    def refuses(now: float, others: int) -> bool | float:
        if others >= limit(now):
            return True
        return (True if after is None else after) if chance.random() < background else False

    service = lambda n, drawn: seconds * drawn.uniform(0.7, 1.3)  # noqa: E731
    return World(Pace(64, Random(seed)), service, seed=seed, refuses=refuses).run(work=work, until=until)


@cache
def without(seconds: float, work: int) -> float:
    return run(0.0, seconds=seconds, work=work).now


def wasted(world: World) -> float:
    return world.many("refused") / len(world.events)


SEEDS = pytest.mark.parametrize("seed", range(3))


@SEEDS
@pytest.mark.parametrize("after", [None, 1.0])
@pytest.mark.parametrize(("share", "most"), [(0.01, 1.1), (0.03, 1.35), (0.1, 1.5)])
def test_refusals_at_random_hardly_slow_a_run_down(share: float, most: float, after: float | None, seed: int) -> None:
    assert run(share, seed=seed, after=after).now <= most * without(0.03, 6000)


@SEEDS
def test_slow_calls_are_no_different(seed: int) -> None:
    assert run(0.02, seconds=5.0, work=1500, seed=seed).now <= 1.4 * without(5.0, 1500)


@SEEDS
@pytest.mark.parametrize("limit", [4, 16, 40])
def test_a_limit_is_found_within_today_s_share_of_refusals(limit: int, seed: int) -> None:
    seen = run(0.0, limit=lambda now: limit, seconds=0.05, work=2000, seed=seed)
    assert seen.now <= 1.1 * 2000 * 0.05 / limit
    assert wasted(seen) <= 0.0128


@SEEDS
@pytest.mark.parametrize("limit", [4, 16, 40])
def test_a_limit_is_found_under_a_background_as_well(limit: int, seed: int) -> None:
    seen = run(0.02, limit=lambda now: limit, seconds=0.05, work=4000, seed=seed)
    assert seen.now <= 1.5 * 4000 * 0.05 / limit
    assert wasted(seen) <= 0.02 + 0.0228


@SEEDS
@pytest.mark.parametrize("share", [0.0, 0.01])
def test_a_limit_that_moves_is_followed(share: float, seed: int) -> None:
    seen = run(share, limit=lambda now: 48 if now < 20 else 12, seconds=0.05, work=10**6, until=60.0, seed=seed)
    assert seen.mean_flying(10, 20) >= 0.8 * 48
    assert seen.limit_at(22) <= 14
    assert seen.many("refused", 20, 40) <= 60 + 1.5 * share * 20 * 12 / 0.05
    assert seen.mean_flying(40, 60) >= 8


@SEEDS
def test_a_rate_limit_is_kept_with_few_refusals(seed: int) -> None:
    """A bucket of 100 calls a second, of which 128 would be made."""
    level = [100.0, 0.0]

    def refuses(now: float, others: int) -> bool:
        level[0], level[1] = min(100.0, level[0] + 100 * (now - level[1])), now
        if level[0] < 1:
            return True
        level[0] -= 1
        return False

    seen = World(Pace(64, Random(seed)), lambda n, drawn: drawn.uniform(0.35, 0.65), seed=seed, refuses=refuses).run(until=120)
    assert seen.per_second(20, 120) >= 80
    assert seen.many("refused", since=20) <= 0.03 * 100 * 100


def test_a_background_that_begins_in_the_middle_does_not_throttle() -> None:
    chance = Random(3)
    seen = World(Pace(64, Random(3)), lambda n, drawn: 0.05, refuses=lambda now, others: now > 10 and chance.random() < 0.03).run(until=40)
    assert seen.mean_flying(12, 40) >= 45


# the test itself


def told(positions: list[int], refused: set[int]) -> list[OverloadFinding]:
    """What is found where calls with so many in flight are sent at once, and some of them refused."""
    test = OverloadTest(64)
    tickets = [serial * SPAN + position for serial, position in enumerate(positions)]
    for ticket in tickets:
        test.sent(ticket, 0.0)
    for place in refused:
        test.refused(tickets[place], None, 0.001)
    for place in set(range(len(tickets))) - refused:
        test.accepted(tickets[place])
    return [found for _, _, found in test.judged(0.05)]


def test_refusals_in_a_row_above_what_is_accepted_are_overload() -> None:
    found = told(list(range(1, 33)), set(range(16, 32)))
    assert OverloadFinding.OVERLOAD not in found[:18]
    assert found[18] is OverloadFinding.OVERLOAD, "the third"


def test_refusals_among_calls_that_are_accepted_with_as_many_in_flight_are_none() -> None:
    assert set(told([32] * 100, {10, 50, 90})) == {OverloadFinding.NOTHING}
    assert set(told([32] * 100, {50, 51})) == {OverloadFinding.NOTHING}


def test_a_call_is_judged_only_when_all_that_were_sent_before_it_are_known_or_old() -> None:
    test = OverloadTest(64)
    for serial in range(3):
        test.sent(serial * SPAN + serial + 1, 0.0)
    test.accepted(SPAN + 2)
    assert list(test.judged(UNKNOWN_S - 0.01)) == []
    assert len(list(test.judged(UNKNOWN_S))) == 3

    for serial in range(3, 6):
        test.sent(serial * SPAN + 1, 10.0)
    test.refused(5 * SPAN + 1, None, 10.001)
    assert list(test.judged(10.002)) == []
    assert [fate.refused for _, fate, _ in test.judged(10.001 + ACCEPTED_S)] == [False, False, True], "refusals take a millisecond here"


def test_a_call_that_failed_is_no_evidence() -> None:
    test = OverloadTest(64)
    test.sent(1, 0.0)
    test.ended(1)
    assert list(test.judged(100.0)) == []
