"""How many word n-grams a text has, and how many distinct ones."""

import functools

from cotforge.measures.texts import TEXTS_KEPT
from cotforge.measures.word_codes import read_words
from cotforge.measures.word_hashes import count_distinct, hash_ngrams


@functools.lru_cache(maxsize=TEXTS_KEPT)
def count_ngrams(text: str, n: int) -> tuple[int, int]:
    """(word n-grams of a text, distinct ones among them); (0, 0) below n words."""
    words = read_words(text)
    return max(0, words.total - n + 1), count_distinct(words.fours if n == 4 else hash_ngrams(words.hashes, n))
