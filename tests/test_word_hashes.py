"""Words that are hashed are the words that `str.split` gives, and n-grams are counted as if they were compared."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from cotforge.measures import word_codes
from cotforge.measures.ngrams import count_ngrams
from cotforge.measures.texts import words_of
from cotforge.measures.word_codes import find_codes, read_together, read_words
from cotforge.measures.word_hashes import hash_words

PIECES = ["a", "be", "awe,", "<b>", "\u00e9", "", " ", "\n", "\u3000", "\x1c", "\ud800", "the"]
TEXTS = st.text() | st.lists(st.sampled_from(PIECES)).map(" ".join)


@given(st.lists(TEXTS, min_size=1))
def test_words_are_those_that_split_gives_with_a_number_for_each_distinct_one(texts: list[str]) -> None:
    hashed = hash_words(texts)
    words = [hashed.raw[begin:end].decode("utf-8", "surrogatepass") for begin, end in zip(hashed.begins, hashed.ends, strict=True)]
    assert words == [word for text in texts for word in text.split()]
    assert len(set(hashed.hashes.tolist())) == len(set(words)) == len(set(zip(words, hashed.hashes.tolist(), strict=True)))
    assert hashed.borders == [sum(len(text.split()) for text in texts[: place + 1]) for place in range(len(texts))]


@given(TEXTS, st.integers(1, 6))
def test_ngrams_are_counted_as_if_they_were_compared(text: str, n: int) -> None:
    words = words_of(text)
    grams = list(zip(*(words[i:] for i in range(n)), strict=False))
    assert count_ngrams(text, n) == (len(grams), len(set(grams)))


def test_two_pairs_of_words_with_the_same_letters_are_told_apart() -> None:
    assert count_ngrams("to is the sky to it is the", 2) == (7, 6)
    assert count_ngrams("ab c a bc", 2) == (3, 3)
    assert count_ngrams("x" * 40_000 + " y", 1) == (2, 2)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_texts_read_together_are_read_as_each_alone(texts: list[str]) -> None:
    alone = [(read_words(text).total, find_codes(text), count_ngrams.__wrapped__(text, 4)) for text in texts]
    read_together(texts)
    assert [(read_words(text).total, find_codes(text), count_ngrams.__wrapped__(text, 4)) for text in texts] == alone
    read_together([])


def test_long_texts_take_no_more_memory_together_than_one_of_them_and_give_it_back() -> None:
    texts = [f"{number} " + "the sky is wide and grey " * 8_000 for number in range(40)]  # of 200,000 characters
    tracemalloc.start()
    try:
        read_together(texts)
        assert read_words(texts[-1]).total == 48_001
        kept, peak = tracemalloc.get_traced_memory()
        assert peak - kept < 20 * 2**20
        read_together([])
        assert read_words("".join(texts)).total == 40 * 48_001
        word_codes._read_alone.cache_clear()
        assert tracemalloc.get_traced_memory()[0] < 20 * 2**20
    finally:
        tracemalloc.stop()
