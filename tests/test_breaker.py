"""When a server is not asked any more, and when again."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cotforge.forge.breaker import LAST, REST_MOST_S, Breaker


class Most(Random):
    """Draws the upper bound, always."""

    def uniform(self, a: float, b: float) -> float:
        return b


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(Most())
    for _ in range(3):
        breaker.failed(now, unreached=True)
    return breaker


def test_three_connections_in_a_row_that_are_not_made_open_it() -> None:
    breaker = Breaker(Most())
    for unreached in (True, True, False, True, True):
        breaker.failed(1.0, unreached=unreached)
        assert breaker.may(1.0)
    breaker.failed(1.0, unreached=True)
    assert not breaker.may(1.0)
    assert breaker.open_since == 1.0
    assert breaker.until(1.0) == 1.25


def test_eight_failures_in_a_row_open_it_and_seven_do_not() -> None:
    breaker = Breaker(Most())
    for _ in range(7):
        breaker.failed(1.0, unreached=False)
    breaker.succeeded(1.0)
    for _ in range(7):
        breaker.failed(1.0, unreached=False)
    assert breaker.may(1.0)
    breaker.failed(1.0, unreached=False)
    assert not breaker.may(1.0)


def test_half_of_the_last_twenty_open_it_but_not_of_fewer() -> None:
    breaker = Breaker(Most())
    for end in range(LAST - 1):
        breaker.succeeded(1.0) if end % 2 else breaker.failed(1.0, unreached=False)
    assert breaker.may(1.0)
    breaker.failed(1.0, unreached=False)
    assert not breaker.may(1.0)


def test_a_tenth_of_failures_never_opens_it() -> None:
    breaker = Breaker(Most())
    for end in range(1000):
        breaker.succeeded(1.0) if end % 10 else breaker.failed(1.0, unreached=False)
        assert breaker.may(1.0)


def test_after_the_rest_one_call_goes_and_closes_or_opens_it() -> None:
    breaker = opened()
    assert not breaker.may(0.24)
    assert breaker.may(0.25)
    breaker.sent(0.25)
    assert not breaker.may(0.26)
    breaker.failed(0.3, unreached=True)
    assert breaker.until(0.3) == 0.3 + 0.5
    assert breaker.open_since == 0.0
    breaker.sent(0.8)
    breaker.succeeded(1.0)
    assert breaker.may(1.0)
    assert breaker.open_since is None
    assert breaker.until(1.0) == 1.0


def test_rests_double_up_to_half_a_minute() -> None:
    breaker, now, rests = opened(), 0.0, []
    for _ in range(12):
        rests.append(breaker.until(now) - now)
        now = breaker.until(now)
        breaker.sent(now)
        breaker.failed(now, unreached=True)
    assert rests[:4] == [0.25, 0.5, 1.0, 2.0]
    assert max(rests) == REST_MOST_S


def test_calls_that_were_in_flight_when_it_opened_do_not_prolong_the_rest() -> None:
    breaker = opened()
    for _ in range(60):
        breaker.failed(0.1, unreached=True)
    assert breaker.until(0.1) == 0.25


def test_a_first_call_that_takes_long_does_not_keep_the_next_one_waiting_for_ever() -> None:
    breaker = opened()
    breaker.sent(1.0)
    assert breaker.until(1.0) == 1.5
    assert breaker.may(1.5)


def test_a_first_call_that_is_cancelled_makes_room_for_another() -> None:
    breaker = opened()
    breaker.sent(1.0)
    breaker.dropped()
    assert breaker.may(1.0)


def test_eight_hours_asleep_make_it_half_open_and_no_more() -> None:
    breaker = opened()
    now = 8 * 3600.0
    assert breaker.until(now) == now
    breaker.sent(now)
    assert not breaker.may(now)


@given(st.lists(st.tuples(st.sampled_from(["sent", "succeeded", "failed", "unreached", "dropped"]), st.floats(0, 60)), max_size=100))
def test_it_always_opens_again_within_half_a_minute(steps: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(Random(0)), 0.0
    for what, seconds in steps:
        now += seconds
        if what in ("failed", "unreached"):
            breaker.failed(now, unreached=what == "unreached")
        elif what == "dropped":
            breaker.dropped()
        else:
            getattr(breaker, what)(now)
        assert now <= breaker.until(now) <= now + REST_MOST_S
        assert breaker.may(now) == (breaker.until(now) == now)
        assert breaker.may(breaker.until(now))
