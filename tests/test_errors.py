"""What an exception of a library comes to where a person reads it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import LONGEST, LONGEST_LINE, SHOWN, PipelineError, in_words, printable, shown


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
    assert shown(value) == said


def test_a_value_without_a_text_and_one_that_holds_itself_are_shown() -> None:
    assert shown(10**100_000) == "a whole number of 332,193 bits"
    itself: list[object] = []
    itself.append(itself)
    assert len(shown(itself)) < 100
    assert len(shown([["x" * 9_999] * 9] * 9)) < 600


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_a_printable_line_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    line = printable(text * 50)
    assert line.isprintable()
    assert line.encode().decode() == line


def test_a_long_error_loses_its_middle_and_many_are_counted() -> None:
    (line,) = PipelineError("p.yaml: " + "x" * 1_000_000 + "; write it like 'y'").faults
    assert line.startswith("p.yaml: x")
    assert line.endswith("x; write it like 'y'")
    assert len(line) < LONGEST_LINE + 100
    many = PipelineError(*map(str, range(1_000)))
    assert many.faults[-1] == "and 950 faults more"
    assert pickle.loads(pickle.dumps(many)).faults == many.faults


@given(st.text())
def test_whatever_it_says_comes_on_one_line(text: str) -> None:
    said = in_words(ValueError(text))
    assert said
    assert len(said) <= LONGEST
    assert "\n" not in said
