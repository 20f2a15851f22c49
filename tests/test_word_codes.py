"""The words of a text tell what it may set off, and one that was met before tells the same again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.measures import cues
from cotforge.measures.texts import mark_answer, parts_of
from cotforge.measures.word_codes import find_codes


@pytest.mark.parametrize("text", ["The answer is near.", "An ANSWER, then", '"Answer": awe', "the answer\u2014awe", "(answer)"])
def test_a_word_is_seen_whatever_stands_around_it(text: str) -> None:
    assert "answer" in find_codes(text).cues
    assert "answer" in find_codes(f"{text} ").cues


def test_a_text_of_common_words_sets_off_nothing() -> None:
    codes = find_codes("A dog runs over the grass, and its tail is up.")
    assert codes == (frozenset(), frozenset(), False)
    assert find_codes("Some **bold** words.").markup


@given(st.lists(st.sampled_from([*cues.PROMPT, "dog", "As", "re", ". ", "\n", "XY"])).map("".join))
def test_a_text_with_a_stem_of_the_prompt_is_always_told(text: str) -> None:
    assert find_codes(text).prompt == {stem for word in text.lower().split() for stem in cues.PROMPT if stem in word}


def test_an_answer_is_marked_where_it_stands_as_a_word() -> None:
    assert mark_answer("awe, awesome and awe-struck: an awe.", "awe") == "@, awesome and @-struck: an @."
    assert mark_answer("nothing", "") == "nothing"
    assert parts_of("it can't be reverse-engineered, 42!") == ["it", "can", "t", "be", "reverse", "engineered", "42"]
