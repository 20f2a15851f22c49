"""Ceilings per minute hold over every window, and are used up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.forge.rate import Rate


def taken(per_minute: float, amounts: list[float], pauses: list[float]) -> list[tuple[float, float]]:
    """(moment, amount) of a client that always wants more, but looks away now and then."""
    rate, now, found = Rate(per_minute), 0.0, []
    for amount, pause in zip(amounts, pauses, strict=True):
        now += pause
        while wait := rate.take(amount, now):
            assert wait > 0
            now += wait
        found.append((now, amount))
    return found


@given(
    st.floats(1, 1e6),
    st.lists(st.tuples(st.floats(0.5, 5000), st.sampled_from([0.0, 0.0, 0.0, 0.3, 7.0, 3600.0])), min_size=1, max_size=120),
)
def test_no_minute_has_more_than_allowed_and_one_seconds_worth(per_minute: float, wanted: list[tuple[float, float]]) -> None:
    found = taken(per_minute, [amount for amount, _ in wanted], [pause for _, pause in wanted])
    once = max(1.0, per_minute / 60, *(amount for _, amount in found))
    for start, _ in found:
        minute = sum(amount for at, amount in found if start <= at < start + 60)
        assert minute <= (per_minute + once) * (1 + 1e-6)


@pytest.mark.parametrize("per_minute", [30, 600, 60_000])
def test_the_ceiling_is_used_and_there_is_no_rush_at_the_start(per_minute: int) -> None:
    found = taken(
        per_minute, [1.0] * (2 * per_minute if per_minute < 1000 else 5000), [0.0] * (2 * per_minute if per_minute < 1000 else 5000)
    )
    assert found[0][0] == 0
    assert sum(at < 1 for at, _ in found) <= per_minute / 60 + 2
    assert found[-1][0] == pytest.approx((len(found) - 1) * 60 / per_minute, rel=0.01)


def test_a_call_greater_than_a_seconds_worth_goes_and_is_paid_off() -> None:
    rate = Rate(6000)
    assert rate.take(5000, 10.0) == pytest.approx(0.99)
    assert rate.take(5000, 11.0) == 0.0
    assert rate.take(1, 11.0) == pytest.approx(49.01, abs=0.02)


def test_what_was_not_used_is_given_back() -> None:
    rate = Rate(6000)
    rate.take(0, 0.0)
    assert rate.take(5000, 1.0) == 0.0
    rate.give_back(4900)
    assert rate.take(100, 2.0) == 0.0
    rate.give_back(1e9)
    assert rate.take(100, 2.0) == 0.0
    assert rate.take(100, 2.0) == pytest.approx(1.0), "no more than one second's worth is ever saved up"


def test_neither_a_sleep_nor_a_clock_that_stands_or_goes_back_makes_a_rush() -> None:
    rate = Rate(600)
    assert rate.take(1, 0.0) == 0.0
    assert rate.take(1, 0.0) > 0
    assert rate.take(1, -5.0) > 0
    asleep = 8 * 3600.0
    assert sum(rate.take(1, asleep) == 0.0 for _ in range(100)) == 10


def test_who_waits_as_told_is_not_told_to_wait_again() -> None:
    rate, now = Rate(7.3), 1e6 / 3
    for _ in range(200):
        if wait := rate.take(1, now):
            now += wait
            assert rate.take(1, now) == 0.0
