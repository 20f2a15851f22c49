"""What an exception of a library comes to where a person reads it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import LONGEST, LONGEST_LINE, SHOWN, PipelineError, group_faults, in_words, printable_line, show_value


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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("awe", "'awe'"),
        ("\x1b[31mred\u202e", r"'\x1b[31mred\u202e'"),
        ("\ud800", r"'\ud800'"),
        ("x" * 1_000_000, f"'{'x' * SHOWN}'... (1,000,000 characters)"),
        (7, "7"),
        (None, "None"),
        ([1, "a"], "[1, 'a']"),
        (list(range(1_000_000)), "[0, 1, 2, 3, 4, 5, ...]"),
        ({"a": {"b": {"c": {"d": 1}}}}, "{'a': {'b': {'c': {...}}}}"),
    ],
)
def test_a_strangers_value_is_shown_in_short_and_with_escapes(value: object, said: str) -> None:
    assert show_value(value) == said


def test_a_value_without_a_text_and_one_that_holds_itself_are_shown() -> None:
    assert show_value(10**100_000) == "a whole number of 332,193 bits"
    itself: list[object] = []
    itself.append(itself)
    assert len(show_value(itself)) < 100
    assert len(show_value([["x" * 9_999] * 9] * 9)) < 600


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_a_printable_line_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    line = printable_line(text * 50)
    assert line.isprintable()
    assert line.encode().decode() == line


def test_a_long_error_loses_its_middle_and_many_are_counted() -> None:
    (line,) = PipelineError("p.yaml: " + "x" * 1_000_000 + "; write it like 'y'").faults
    assert line.startswith("p.yaml: x")
    assert line.endswith("x; write it like 'y'")
    assert len(line) <= LONGEST_LINE
    many = PipelineError(*map(str, range(1_000)))
    assert many.faults[-1] == "and 950 faults more"
    assert pickle.loads(pickle.dumps(many)).faults == many.faults


@given(st.text())
def test_whatever_it_says_comes_on_one_line(text: str) -> None:
    said = in_words(ValueError(text))
    assert said
    assert len(said) <= LONGEST
    assert "\n" not in said


def test_faults_that_differ_in_their_place_alone_are_one_line_from_three_on() -> None:
    rows = [f"x.csv:{line}: answer: is missing" for line in (3, 4, 9)]
    keys = [f"x.yaml: teachers[{place}].rpm: 0: is too small" for place in range(9)]
    assert group_faults([rows[0], "y.csv:3: other", rows[1], *keys, rows[2]]) == [
        "x.csv:3: answer: is missing; and 2 more of the same, at 4, 9",
        "y.csv:3: other",
        "x.yaml: teachers[0].rpm: 0: is too small; and 8 more of the same, at [1], [2], [3], [4], [5], ...",
    ]
    assert group_faults(rows[:2]) == rows[:2]


@given(st.lists(st.sampled_from(["a:1: x", "a:2: x", "a[3]: y", "z", ""])))
def test_grouping_loses_no_kind_of_fault_and_its_order(faults: list[str]) -> None:
    lines = group_faults(faults)
    assert len(lines) <= len(faults)
    assert {line.partition("; and ")[0] for line in lines} <= set(faults)
