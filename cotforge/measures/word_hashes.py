"""The words of some texts as numbers of 64 bits: split and hashed for all at once, in 5 us a text of 200 words, where Python takes 14.

A word has the same number wherever it stands. That two words share one has a chance below 1 in 10^16.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Powers = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]

_WIDE_SPACES = "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
"""Beside those of ASCII what divides words."""
_ASCII_SPACES = (9, 10, 11, 12, 13, 28, 29, 30, 31, 32)
_FACTOR = 0x9E3779B97F4A7C1B
"""Odd, so that it has an inverse among numbers of 64 bits."""
_MIXER = 0xD6E8FEB86659FD93
_MOST_KEPT = 1 << 20
"""Powers that are kept (ours): 16 megabytes."""


class HashedWords(NamedTuple):
    """The words of some texts, one text behind the other."""

    raw: bytes
    """The texts in UTF-8 with a space around each."""
    begins: npt.NDArray[np.intp]
    """Where in `raw` each word begins."""
    ends: npt.NDArray[np.intp]
    hashes: npt.NDArray[np.uint64]
    borders: list[int]
    """How many words there are up to the end of each text."""


class _Numbers:
    """A random number for each byte, 0 for spaces; and the powers of the factor and of its inverse."""

    def __init__(self) -> None:
        import numpy as np

        self.of_byte = np.random.default_rng(1).integers(1, 2**64, 256, dtype=np.uint64, endpoint=False)
        self.of_byte[list(_ASCII_SPACES)] = 0
        self._powers = _first_powers(1 << 14)

    def powers(self, length: int) -> _Powers:
        """The first ones, at least `length`; as many as a text needed are kept, up to `_MOST_KEPT`."""
        if length > len(self._powers[0]):
            more = _first_powers(length if length > _MOST_KEPT else min(2 * length, _MOST_KEPT))
            if length > _MOST_KEPT:
                return more
            self._powers = more
        return self._powers


def _first_powers(length: int) -> _Powers:
    import numpy as np

    first, second = (np.full(length, factor, np.uint64).cumprod() for factor in (_FACTOR, pow(_FACTOR, -1, 2**64)))
    return first, second


@functools.cache
def _numbers() -> _Numbers:
    return _Numbers()


def hash_words(texts: Sequence[str]) -> HashedWords:
    """The words of some texts: what `str.split` gives, hashed."""
    import numpy as np

    raws = [_to_bytes(text) for text in texts]
    raw = b" %b " % b" ".join(raws)
    numbers = _numbers()
    powers, inverses = numbers.powers(len(raw))
    of_byte = numbers.of_byte.take(np.frombuffer(raw, np.uint8))
    # A word is the sum of its bytes' numbers, each times a power by its place, and all divided by the power of the first place.
    sums = (of_byte * powers[: len(raw)]).cumsum()
    inside = of_byte != 0
    edges = (inside[1:] != inside[:-1]).nonzero()[0]
    before, last = edges[::2], edges[1::2]
    hashes = (sums[last] - sums[before]) * inverses[before]
    # Sums of sums would be alike for other words; what was shifted and multiplied is no sum any more.
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(_MIXER)
    borders = [len(hashes)]
    if len(texts) != 1:
        borders = np.searchsorted(before, np.cumsum([len(each) + 1 for each in raws])).tolist()
    return HashedWords(raw, before + 1, last + 1, hashes, borders)


def _to_bytes(text: str) -> bytes:
    if not text.isascii():
        for space in _WIDE_SPACES:
            if space in text:
                text = text.replace(space, " ")
    return text.encode("utf-8", "surrogatepass")


def hash_ngrams(hashes: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.uint64]:
    """A number for each run of n words; none where there are fewer words."""
    import numpy as np

    if len(hashes) < n:
        return hashes[:0]
    factor = np.uint64(_MIXER)
    grams = hashes[: len(hashes) - n + 1].copy()
    for place in range(1, n):
        grams *= factor
        grams += hashes[place : len(hashes) - n + 1 + place]
    return grams


def count_distinct(numbers: npt.NDArray[np.uint64]) -> int:
    """How many different numbers there are: 3 us of 200, where a set of tuples of four words takes 12 to 20."""
    ordered = numbers.copy()
    ordered.sort()
    repeated: bytes = (ordered[1:] == ordered[:-1]).tobytes()
    return len(ordered) - repeated.count(1)
