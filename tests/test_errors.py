"""What an exception of a library comes to where a person reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import LONGEST, in_words


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
