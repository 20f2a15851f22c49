"""Which of many patterns the words of a sentence allow, so that few are tried: each costs 5 to 40 us."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from typing import NamedTuple

from cotforge.measures.texts import parts_of

_MOST_KEPT = 50_000
"""Pieces of text whose bits are remembered; some ten megabytes."""

Needs = tuple[frozenset[str], ...]
"""A word of each set."""


class Clue(NamedTuple):
    """What a sentence may be looked at for."""

    kind: str
    what: object
    """Part of the kind: the pattern, or a name for it."""
    needs: tuple[Needs, ...]
    """Of which a sentence must meet one."""


def read_needs(written: str) -> tuple[Needs, ...]:
    """Of `a b + c | d` that there must be a word of "a b" beside "c", or else "d"."""
    return tuple(tuple(frozenset(words.split()) for words in together.split("+")) for together in written.split("|"))


class ClueTable:
    """Tells for all clues at once whether a sentence has what they need: 2 us, where a look at each clue cost 10.

    Every `Needs` is a row of bits, one for each of its sets, with a free bit above it. A word is the bits of all sets that have it, and a
    sentence those of its words. Where 1 is added to a row whose bits are all there, it carries into the free bit.
    """

    def __init__(self, clues: Iterable[Clue]) -> None:
        self._bits: dict[str, int] = defaultdict(int)
        self._lowest = self._free = 0
        self._clues: dict[int, Clue] = {}
        at = 0
        for clue in clues:
            for needs in clue.needs:
                self._lowest |= 1 << at
                for place, words in enumerate(needs, start=at):
                    for word in words:
                        self._bits[word] |= 1 << place
                at += len(needs)
                self._free |= 1 << at
                self._clues[1 << at] = clue
                at += 1
        self._of_piece = _BitsOfPiece(self.bits_of)

    def bits_of(self, *words: str) -> int:
        """The bits of some words together."""
        return reduce(or_, (self._bits.get(word, 0) for word in words), 0)

    def bits_of_text(self, text: str) -> int:
        """The bits of all words of a lower-case text."""
        return reduce(or_, map(self._of_piece.__getitem__, text.split()), 0)

    def met(self, bits: int) -> list[Clue]:
        """The clues whose needs are met by what has these bits."""
        full, clues = (bits + self._lowest) & self._free, []
        while full:
            lowest = full & -full
            clues.append(self._clues[lowest])
            full ^= lowest
        return clues


class _BitsOfPiece(dict[str, int]):
    """By a piece of text between spaces the bits of its words; a piece that was met before is not divided again."""

    def __init__(self, bits_of: Callable[..., int]) -> None:
        super().__init__()
        self._bits_of = bits_of

    def __missing__(self, piece: str) -> int:
        if len(self) >= _MOST_KEPT:
            self.clear()
        return self.setdefault(piece, self._bits_of(*parts_of(piece)))
