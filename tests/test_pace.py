"""What a pace makes of servers of every kind, in virtual time."""

from collections.abc import Callable
from math import inf, log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.forge.allowance import EARNED
from cotforge.forge.pace import START, Pace
from cotforge.forge.slope import Epoch, slowdown
from tests.pacing import World

SEEDS = pytest.mark.parametrize("seed", range(2))


def world(most: int, service: Callable[[int, Random], float], *, seed: int = 0, **server: object) -> World:
    return World(Pace(most, Random(seed)), service, seed=seed, **server)  # type: ignore[arg-type]


def shaken(seconds: float, chance: Random, by: float = 0.3) -> float:
    return seconds * chance.uniform(1 - by, 1 + by)


# refusals


@pytest.mark.parametrize("seconds", [0.05, 30.0])
def test_a_server_that_refuses_above_16_is_kept_full_and_hardly_refuses(seconds: float) -> None:
    seen = world(64, lambda n, chance: seconds, refuses=lambda now, others: others >= 16).run(work=2000)
    assert seen.now <= 1.05 * 2000 * seconds / 16
    assert seen.many("refused") <= 0.012 * 2000


@SEEDS
@pytest.mark.parametrize("room", [5, 40])
def test_any_other_room_is_found_as_well(room: int, seed: int) -> None:
    seen = world(64, lambda n, chance: shaken(0.05, chance), seed=seed, refuses=lambda now, others: others >= room).run(work=4000)
    assert seen.now <= 1.1 * 4000 * 0.05 / room
    assert seen.many("refused") <= 0.012 * 4000
    assert seen.levels[-1][1] in (room, room + 1)


def test_slow_calls_and_little_room_make_no_storm() -> None:
    seen = world(64, lambda n, chance: shaken(30.0, chance), refuses=lambda now, others: others >= 5).run(work=1000)
    assert seen.now <= 1.1 * 1000 * 30 / 5
    assert seen.many("refused", until=60) <= 30
    assert seen.many("refused", since=60) <= 0.01 * 1000


def test_room_that_grows_is_used_in_the_end() -> None:
    seen = world(64, lambda n, chance: 0.05, refuses=lambda now, others: others >= (16 if now < 30 else 48)).run(until=150)
    assert seen.limit_at(29) <= 17
    assert seen.limit_at(150) >= 45


@SEEDS
@pytest.mark.parametrize("seconds", [0.2, 5.0])
def test_a_burst_of_refusals_cuts_once_and_is_soon_forgotten(seconds: float, seed: int) -> None:
    seen = world(64, lambda n, chance: shaken(seconds, chance), seed=seed, refuses=lambda now, others: now % 60 > 55).run(until=210)
    for end in (60, 120, 180):
        before = seen.limit_at(end - 5)
        assert before >= 50 or end == 60
        assert min(limit for at, limit in seen.levels if at <= end + 1 and (at > end - 5 or limit == before)) >= before // 2
        assert seen.limit_at(end + 20) >= 0.8 * before
        assert seen.many("refused", end - 5, end + 1) <= 25


def test_the_first_refused_position_is_the_new_limit_and_once_one_was_proved_half_of_it_is_the_least() -> None:
    for refused, first, later in ((12, 11, 11), (4, 3, 8)):
        pace = Pace(64)
        tickets = [pace.sent(0.0) for _ in range(START)]
        for ticket in tickets[refused - 1 :]:
            pace.refused(ticket, None, 0.1)
        assert not pace.free(0.1)
        assert pace.in_flight == first, "until the others are known to have been accepted"
        assert pace.free(2.0) is False
        assert pace.limit == first
        pace = Pace(64)
        tickets = [pace.sent(0.0) for _ in range(START)]
        pace.refused(tickets.pop(), None, 0.1)
        for ticket in tickets:
            pace.answered(ticket, 0.05, 0, 0.2)
        pace.answered(pace.sent(0.3), 0.05, 0, 0.4)
        for ticket in [pace.sent(10.0) for _ in range(START - 1)][refused - 1 :]:
            pace.refused(ticket, None, 10.1)
        assert pace.free(12.0) is False
        assert pace.limit == later


def test_retry_after_is_waited_for_before_the_limit_is_raised() -> None:
    pace = Pace(64, Random(0))
    flying = [pace.sent(0.0) for _ in range(START)]
    for _ in range(3):
        pace.refused(flying.pop(), 20.0, 0.01)
    assert not pace.free(0.02)
    assert not pace.free(0.1)
    assert pace.limit == START - 3
    now, limits = 0.0, []
    while now < 70:
        now += 0.05
        for _ in range(len(flying)):
            pace.answered(flying.pop(0), 0.05, 0, now)
        while pace.free(now):
            flying.append(pace.sent(now))
        limits.append((now, pace.limit))
    assert max(limit for at, limit in limits if at < 20.01) == START - 3
    assert limits[-1][1] == 64


def test_a_server_that_takes_nothing_is_left_alone_for_as_long_as_it_says() -> None:
    pace = Pace(8, Random(0))
    pace.refused(pace.sent(0.0), 20.0, 0.5)
    assert not pace.free(20.4)
    assert pace.pause(0.5) == 20.0
    assert pace.free(20.5)
    pace.sent(20.5)
    assert not pace.free(20.6), "one call first, to see whether it is taken"
    assert pace.pause(20.6) == pytest.approx(0.9)
    assert pace.free(21.6), "it was not refused"


@SEEDS
def test_a_server_that_refuses_for_ten_minutes_is_asked_ever_more_rarely(seed: int) -> None:
    seen = world(64, lambda n, chance: 0.2, seed=seed, refuses=lambda now, others: 10 < now < 610).run(until=700)
    assert seen.many("refused", 10, 20) <= 80
    assert seen.many("refused", 60, 610) <= 150
    assert seen.per_second(660, 700) >= 0.9 * 64 / 0.2


def test_refusals_stay_a_hundredth_where_the_room_does_not_grow() -> None:
    seen = world(64, lambda n, chance: 0.05, refuses=lambda now, others: others >= 16).run(work=20_000)
    assert seen.many("refused") * EARNED <= 20_000


def test_failures_do_not_cut_and_a_few_do_not_keep_the_limit_from_growing() -> None:
    seen = world(64, lambda n, chance: 0.05, fails=0.05).run(until=20)
    assert min(limit for _, limit in seen.levels) == START
    assert seen.limit_at(5) == 64


def test_a_server_that_often_fails_is_given_no_more() -> None:
    seen = world(64, lambda n, chance: 0.05, fails=0.6).run(until=20)
    assert {limit for _, limit in seen.levels} == {START}


# latency


@SEEDS
@pytest.mark.parametrize(
    ("service", "best"),
    [
        (lambda n, chance: 0.05 * max(1, n / 32) ** 2, 640.0),
        (lambda n, chance: 0.05 * (1 + (max(0, n - 32) / 32) ** 2), 772.0),
        (lambda n, chance: shaken(0.05 * max(1, n / 25) ** 2, chance), 500.0),
    ],
    ids=["square", "square beyond 32", "noisy, knee at 25"],
)
def test_a_silent_server_is_not_overloaded(service: Callable[[int, Random], float], best: float, seed: int) -> None:
    seen = world(256, service, seed=seed).run(until=50)
    assert seen.per_second(20, 50) >= 0.85 * best
    assert seen.latency(20, 50) <= 1.6 * 0.05


def test_a_server_of_constant_latency_gets_all_that_is_allowed_at_once() -> None:
    seen = world(64, lambda n, chance: 0.05).run(work=2000)
    assert next(at for at, limit in seen.levels if limit == 64) <= 0.3
    assert seen.now <= 1.12 * 2000 * 0.05 / 64


@SEEDS
def test_a_healthy_server_is_kept_full_whatever_the_noise(seed: int) -> None:
    for service in (lambda n, chance: shaken(0.05, chance), lambda n, chance: 0.05 * chance.lognormvariate(0, 1)):
        seen = world(64, service, seed=seed).run(until=40)
        assert next(at for at, limit in seen.levels if limit == 64) <= 0.3
        assert seen.mean_flying(1, 40) >= 60


@SEEDS
def test_replies_of_very_different_length_are_no_reason_to_slow_down(seed: int) -> None:
    seen = world(64, lambda n, chance: 0.0005, seed=seed, tokens=lambda chance: int(chance.lognormvariate(5, 1))).run(until=40)
    assert seen.mean_flying(2, 40) >= 60


@SEEDS
def test_a_client_that_can_do_no_more_does_not_strangle_the_server(seed: int) -> None:
    seen = world(64, lambda n, chance: shaken(max(0.05, n / 1000), chance), seed=seed).run(until=70)
    assert min(limit for at, limit in seen.levels if at > 1) >= 40
    assert seen.per_second(1, 70) >= 950


@SEEDS
def test_a_server_whose_steps_grow_with_the_batch_is_kept_busy(seed: int) -> None:
    seen = world(256, lambda n, chance: shaken(5 * (1 + n / 64), chance, 0.2), seed=seed).run(until=3600)
    best = 256 / (5 * (1 + 256 / 64))
    assert seen.per_second(0, 600) >= 0.75 * best
    assert seen.per_second(1800, 3600) >= 0.85 * best


@SEEDS
def test_a_server_that_works_at_few_at_a_time_and_lets_the_others_wait_is_given_few(seed: int) -> None:
    seen = world(64, lambda n, chance: shaken(1.0, chance), seed=seed, slots=4).run(until=900)
    assert seen.per_second(300, 900) >= 0.9 * 4
    assert seen.latency(600, 900) <= 8.0


@SEEDS
def test_a_server_that_others_leave_is_filled_soon(seed: int) -> None:
    """Others have 36 calls there for a minute; above 64 in all it slows down for everybody."""
    seen = world(64, lambda n, chance: shaken(0.5 * max(1.0, (n + 36 * (seen.now < 60)) / 64) ** 2, chance, 0.5), seed=seed)
    seen.run(until=100)
    assert 28 <= seen.mean_flying(12, 60) <= 40
    assert seen.mean_flying(75, 100) >= 60


def test_latencies_are_compared_at_equal_length_of_reply() -> None:
    chance, short, long = Random(0), Epoch(16), Epoch(32)
    for epoch, mean, slow in ((short, 5.0, 1.0), (long, 6.0, 1.2)):
        for _ in range(400):
            tokens = int(chance.lognormvariate(mean, 0.7))
            epoch.add(slow * 0.02 * tokens * chance.lognormvariate(0, 0.1), tokens, None)
    by, error = slowdown(short, long)
    assert by == pytest.approx(log(1.2), abs=4 * error)
    assert error < 0.02


def test_one_answer_that_hung_does_not_decide() -> None:
    quick, hung = Epoch(16), Epoch(16)
    for call in range(64):
        quick.add(0.05, 0, None)
        hung.add(3600.0 if call == 0 else 0.05, 0, log(0.05))
    assert slowdown(quick, hung)[0] < 0.05


# the server's own count


@SEEDS
@pytest.mark.parametrize("slots", [16, 128])
def test_the_count_of_waiting_requests_brings_the_limit_to_what_runs(slots: int, seed: int) -> None:
    seen = world(256, lambda n, chance: shaken(5.0, chance), seed=seed, slots=slots, poll=2.0).run(until=1200)
    later = [(waiting, running) for at, waiting, running in seen.polls if at > 120]
    assert sum(waiting > 0 for waiting, _ in later) <= 0.15 * len(later)
    assert min(running for _, running in later) >= 0.95 * slots


def test_48_waiting_of_64_become_none() -> None:
    seen = world(64, lambda n, chance: shaken(5.0, chance), poll=2.0).run(until=60)
    assert seen.limit_at(60) == 64
    seen.slots = 16
    seen.run(until=400)
    later = [(waiting, running) for at, waiting, running in seen.polls if at > 120]
    assert max(waiting for _, waiting, _ in seen.polls) >= 40
    assert sum(waiting > 0 for waiting, _ in later) <= 0.2 * len(later)
    assert min(running for _, running in later) == 16


def test_one_look_at_a_queue_is_not_enough_to_cut() -> None:
    pace = Pace(64)
    pace.queued(0, 16, 0.0)
    for moment in range(1, 9):
        pace.queued(30 if moment % 2 else 0, 16, 2.0 * moment)
    assert pace.limit == START
    pace.queued(30, 16, 18.0)
    pace.queued(30, 16, 20.0)
    assert pace.limit == START // 2


def test_a_count_that_comes_no_more_is_not_believed_for_ever() -> None:
    pace = Pace(64)
    seen = World(pace, lambda n, chance: 0.05)
    pace.queued(3, 16, 0.0)
    seen.run(until=29.0)
    assert pace.limit <= START
    seen.run(until=60.0)
    assert pace.limit == 64


# clocks, and what always holds


def test_a_clock_that_stands_still_stops_nothing() -> None:
    pace, flying = Pace(64, Random(0)), []
    for _ in range(2000):
        while pace.free(1.0):
            flying.append(pace.sent(1.0))
        assert pace.pause(1.0) in (0.0, inf)
        pace.answered(flying.pop(0), 0.0, 0, 1.0)
    assert START <= pace.limit <= 64


def test_eight_hours_asleep_teach_nothing() -> None:
    pace = Pace(64, Random(0))
    seen = World(pace, lambda n, chance: shaken(0.05, chance)).run(until=20)
    assert pace.limit == 64
    asleep = 8 * 3600.0
    seen.sleep(asleep)
    seen.run(until=asleep + 40)
    assert min(limit for at, limit in seen.levels if at > 20) >= 50
    assert max(flying for _, flying in seen.flying) <= 64
    assert seen.latency(asleep + 21, asleep + 40) < 0.06


def test_a_cancelled_call_leaves_no_trace() -> None:
    pace = Pace(4)
    for ticket in [pace.sent(0.0) for _ in range(4)]:
        assert not pace.free(0.0) or pace.in_flight < 4
        pace.dropped(ticket)
    assert (pace.in_flight, pace.limit, pace.pause(0.0)) == (0, 4, 0.0)


@settings(deadline=None, max_examples=150)
@given(
    most=st.integers(1, 300),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["send", "send", "send", "answer", "answer", "refuse", "fail", "drop", "queue"]),
            st.integers(0, 400),
            st.floats(0, 30),
        ),
        max_size=200,
    ),
)
def test_whatever_happens_the_limit_is_sound_and_a_wait_comes_to_an_end(most: int, steps: list[tuple[str, int, float]]) -> None:
    pace, now, flying = Pace(most, Random(0)), 0.0, list[int]()
    for what, which, seconds in steps:
        now += seconds / 10
        if what == "send":
            while pace.free(now):
                flying.append(pace.sent(now))
        elif what == "queue":
            pace.queued(which, which // 2 if which % 3 else None, now)
        elif flying:
            ticket = flying.pop(which % len(flying))
            if what == "answer":
                pace.answered(ticket, seconds, which, now)
            elif what == "refuse":
                pace.refused(ticket, seconds if which % 3 == 0 else None, now)
            elif what == "fail":
                pace.failed(ticket, now)
            else:
                pace.dropped(ticket)
        assert 1 <= pace.limit <= most
        assert pace.in_flight == len(flying)
        pause = pace.pause(now)
        assert pause >= 0
        assert pace.free(now) == (pause == 0)
        assert pause < inf or pace.in_flight >= pace.limit
    for ticket in flying:
        pace.dropped(ticket)
    assert pace.pause(now) <= 30.0
