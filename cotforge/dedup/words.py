"""Texts as sequences of words, each word a number: what MinHash and n-grams are taken of."""

import re
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""A run of letters and digits; of scripts that are written without spaces, one sign."""
_REMEMBERED = 200_000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio, as in Knuth's multiplicative hashing


class WordHashes(dict[str, int]):
    """64 bits for each word, the same in every process."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[word] = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")
        return found


_hashes = WordHashes()


def hash_words(text: str) -> Hashes:
    """A number for each word in the order of the text; case, punctuation and spaces do not matter."""
    words = _WORD.findall(text.lower())
    return np.fromiter(map(_hashes.__getitem__, words), np.uint64, len(words))


def hash_sequences(words: Hashes, length: int) -> Hashes:
    """A number for each sequence of so many words that follow one another, in order; none where there are fewer."""
    count = len(words) - length + 1
    if count < 1:
        return np.empty(0, np.uint64)
    found = np.zeros(count, np.uint64)
    with np.errstate(over="ignore"):
        for place in range(length):
            found = (found ^ (found >> np.uint64(29))) * _SPREAD + words[place : place + count]
        found ^= found >> np.uint64(32)
        found *= _SPREAD
    return found


def join_texts(texts: Iterable[object]) -> str:
    """Texts among values, and in lists and mappings of them, one to a line."""
    found: list[str] = []
    waiting = list(texts)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return "\n".join(found)
