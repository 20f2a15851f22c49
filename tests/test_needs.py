"""Of many clues those are told whose words a sentence has together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.measures.needs import Clue, ClueTable, read_needs

WORDS = ["a", "b", "c", "d", "e", "f"]
CLUES = [Clue("k", "one", read_needs("a b + c | d")), Clue("k", "two", read_needs("a + b + e")), Clue("k", "three", read_needs("f"))]


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("a c", ["one"]),
        ("b", []),
        ("c", []),
        ("d, then", ["one"]),
        ("a e b", ["two"]),
        ("(a) e-b; c f", ["one", "two", "three"]),
        ("", []),
    ],
)
def test_a_clue_is_met_where_a_word_of_each_of_its_sets_stands(text: str, met: list[str]) -> None:
    table = ClueTable(CLUES)
    assert [clue.what for clue in table.met(table.bits_of_text(text))] == met


@given(st.lists(st.sampled_from(WORDS)))
def test_all_clues_at_once_say_what_each_says_alone(words: list[str]) -> None:
    table = ClueTable(CLUES)
    alone = [clue for clue in CLUES if any(all(each & set(words) for each in needs) for needs in clue.needs)]
    assert list(dict.fromkeys(table.met(table.bits_of_text(" ".join(words))))) == alone
    assert table.bits_of_text(" ".join(words)) == table.bits_of(*words)
