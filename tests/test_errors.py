"""What an exception of a library comes to where a person reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import LONGEST, grouped, in_words


class NoRoomLeftError(Exception):
    """One that says nothing."""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (ValueError("the file\nis cut"), "the file is cut"),
        (KeyError("images"), "'images' is missing"),
        (NoRoomLeftError(), "no room left"),
        (RecursionError(), "recursion"),
        (MemoryError("9 GB"), "9 GB"),
    ],
)
def test_an_exception_is_told_in_words_and_not_by_its_class(fault: Exception, words: str) -> None:
    assert in_words(fault) == words


@given(st.text())
def test_whatever_it_says_comes_on_one_line(text: str) -> None:
    said = in_words(ValueError(text))
    assert said
    assert len(said) <= LONGEST
    assert "\n" not in said


def test_faults_that_differ_in_their_place_alone_are_one_line_from_three_on() -> None:
    rows = [f"x.csv:{line}: answer: is missing" for line in (3, 4, 9)]
    keys = [f"x.yaml: teachers[{place}].rpm: 0: is too small" for place in range(9)]
    assert grouped([rows[0], "y.csv:3: other", rows[1], *keys, rows[2]]) == [
        "x.csv:3: answer: is missing; and 2 more of the same, at 4, 9",
        "y.csv:3: other",
        "x.yaml: teachers[0].rpm: 0: is too small; and 8 more of the same, at [1], [2], [3], [4], [5], ...",
    ]
    assert grouped(rows[:2]) == rows[:2]


@given(st.lists(st.sampled_from(["a:1: x", "a:2: x", "a[3]: y", "z", ""])))
def test_grouping_loses_no_kind_of_fault_and_its_order(faults: list[str]) -> None:
    lines = grouped(faults)
    assert len(lines) <= len(faults)
    assert {line.partition("; and ")[0] for line in lines} <= set(faults)
