"""A promised precision: fixed-sequence testing on checked answers, the shortfall in words, and what `decide` makes of it."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.consensus.claim import Count, lower_bound
from cotforge.consensus.promise import STEPS, Promised, Wish, needed, shows, steps, walk_down

WISH = Wish(0.95, 0.95)


def walked(shown: dict[float, tuple[int, int]], wish: Wish = WISH) -> Promised:
    """The walk over these targets, each with (right, checked)."""
    return walk_down(wish, lambda target: Count(*reversed(shown[target])), sorted(shown, reverse=True))


# the walk


def test_the_least_target_before_the_first_failure_is_taken() -> None:
    found = walked({0.99: (60, 60), 0.98: (80, 80), 0.97: (100, 101), 0.96: (110, 120), 0.95: (400, 400)})
    assert (found.target, found.shown, found.kept) == (0.97, (101, 100), True)


def test_where_the_first_test_fails_nothing_is_promised() -> None:
    found = walked({0.99: (60, 62), 0.98: (300, 300)})
    assert (found.target, found.tried, found.kept) == (None, 0.99, False)


def test_a_target_at_which_no_result_could_pass_is_no_test() -> None:
    found = walked({0.99: (10, 12), 0.98: (58, 58), 0.97: (59, 59), 0.96: (70, 75)})
    assert found.target == 0.97


def test_targets_end_with_the_least_and_none_is_left_out() -> None:
    assert list(steps(0.9)) == [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.9]
    assert list(steps(0.925))[-2:] == [0.93, 0.925]
    assert list(steps(0.995)) == [0.995]
    assert list(steps(0.5)) == list(STEPS)


def test_no_target_behind_the_failure_is_looked_at() -> None:
    looked: list[float] = []

    def shown(target: float) -> Count:
        looked.append(target)
        return Count(100, 100) if target > 0.97 else Count(110, 90)

    assert walk_down(WISH, shown, steps(0.9)).target == 0.98
    assert looked == [0.99, 0.98, 0.97]


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 0.995), st.floats(0.5, 0.995), st.integers(0, 6))
def test_what_is_needed_is_the_fewest_that_show_the_wish(precision: float, confidence: float, wrong: int) -> None:
    wish = Wish(precision, confidence)
    least = needed(wish, wrong)
    assert shows(wish, Count(least, least - wrong))
    assert least == max(wrong, 1) or not shows(wish, Count(least - 1, least - 1 - wrong))


def test_what_is_needed_is_the_textbook_number() -> None:
    assert [needed(WISH, wrong) for wrong in range(4)] == [59, 93, 124, 153]
    assert lower_bound(59, 59) >= 0.95 > lower_bound(58, 58)


def test_too_much_is_promised_no_oftener_than_the_wish_allows() -> None:
    """Precision falls with the target and crosses the wish: whoever goes past the crossing has promised too much."""
    chance, runs, broken = random.Random(0), 1500, 0
    for _ in range(runs):
        top, slope, gold = chance.uniform(0.94, 0.99), chance.uniform(0, 0.5), chance.choice((100, 200, 300))
        posteriors = [1 - chance.random() ** 2 * 0.3 for _ in range(gold)]
        right = [chance.random() < top - slope * (1 - posterior) for posterior in posteriors]

        def shown(target: float, posteriors: list[float] = posteriors, right: list[bool] = right) -> Count:
            found = [true for posterior, true in zip(posteriors, right, strict=True) if posterior >= target]
            return Count(len(found), sum(found))

        target = walk_down(WISH, shown, steps(0.7)).target
        if target is not None:
            # 1 - posterior = .3 u^2 with u uniform: its mean below a bound b is b / 3
            broken += top - slope * min(1 - target, 0.3) / 3 < WISH.precision
    allowed = 1 - WISH.confidence
    assert 0 < broken <= runs * allowed + 2 * math.sqrt(runs * allowed * (1 - allowed))


# in words


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({0.99: (20, 20), 0.9: (41, 41)}, "59 checked without an error would do; 41 are there"),
        ({0.9: (0, 0)}, "59 checked without an error would do; 0 are there"),
        ({0.99: (67, 70)}, "3 of 70 checked answers from confidence 0.99 on are wrong; with 3 wrong, 153 checked would do"),
        ({0.99: (60, 70)}, "10 of 70 checked answers from confidence 0.99 on are wrong; that many errors need better teachers"),
        ({0.99: (60, 60), 0.98: (99, 100)}, "holds from confidence 0.98 on: 99 of 100 checked answers are right"),
    ],
)
def test_the_promise_is_told_in_numbers(shown: dict[float, tuple[int, int]], words: str) -> None:
    told = walked(shown).told()
    assert words in told
    assert told.startswith("promise: precision of at least 0.95 with 95 % confidence ")
    assert ("no answer that nobody checked is accepted" in told) == (not walked(shown).kept)
