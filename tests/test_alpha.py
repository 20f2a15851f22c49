"""Krippendorff's alpha: the values that were published for it, and its laws."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.followups.alpha import Agreement

TWELVE_UNITS = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Four observers, twelve units. Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C."""
THREE_CODERS = """
. . . . . 3 4 1 2 1 1 3 3 . 3
1 . 2 1 3 3 4 3 . . . . . . .
. . 2 1 3 4 4 . 2 1 1 3 3 . 4
"""
"""Source: Wikipedia, "Krippendorff's alpha", a computational example."""
UNITS = st.lists(st.lists(st.integers(1, 5), min_size=2, max_size=4), min_size=2, max_size=12)


def agreement(units: "list[list[int]]") -> Agreement:
    made = Agreement()
    for unit in units:
        made.add(unit)
    return made


def units_of(table: str) -> list[list[int]]:
    rows = [line.split() for line in table.strip().splitlines()]
    return [[int(mark) for mark in unit if mark != "."] for unit in zip(*rows, strict=True)]


def test_the_published_example_has_its_published_values() -> None:
    found = agreement(units_of(TWELVE_UNITS))
    assert found.alpha("ordinal") == pytest.approx(0.815, abs=0.0005)
    assert found.alpha("interval") == pytest.approx(0.849, abs=0.0005)
    assert found.units == 11


def test_the_example_of_three_coders_has_its_value() -> None:
    assert agreement(units_of(THREE_CODERS)).alpha("interval") == pytest.approx(0.811, abs=0.0005)


def test_judges_that_always_agree_have_alpha_1_and_opposite_ones_less_than_0() -> None:
    assert agreement([[1, 1], [5, 5], [3, 3]]).alpha("ordinal") == pytest.approx(1)
    assert (agreement([[1, 5], [5, 1]]).alpha("interval") or 0) < 0


@pytest.mark.parametrize("units", [[], [[3]], [[1, 2]], [[4, 4], [4, 4], [4, 4]]])
def test_too_few_units_or_one_mark_for_all_tell_nothing(units: "list[list[int]]") -> None:
    assert agreement(units).alpha("ordinal") is agreement(units).alpha("interval") is None


@given(UNITS, st.randoms())
def test_neither_the_order_of_units_nor_that_of_judges_matters(units: "list[list[int]]", chance: random.Random) -> None:
    mixed = [chance.sample(unit, len(unit)) for unit in chance.sample(units, len(units))]
    assert [agreement(units).alpha("ordinal"), agreement(units).alpha("interval")] == [
        agreement(mixed).alpha("ordinal"),
        agreement(mixed).alpha("interval"),
    ]


@given(UNITS)
def test_alpha_is_at_most_1_and_the_ordinal_one_needs_only_the_order_of_marks(units: "list[list[int]]") -> None:
    found = agreement(units).alpha("ordinal")
    stretched = agreement([[mark**3 for mark in unit] for unit in units]).alpha("ordinal")
    assert found == pytest.approx(stretched)
    assert found is None or found <= 1 + 1e-9
