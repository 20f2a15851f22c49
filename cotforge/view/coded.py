"""A column of words as numbers: a word stands once, however many rows have it, and counting is one pass over small integers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cotforge.view.arrow_buffers import of_texts, one_piece, places_in, to_integers

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32]
"""Numbers of samples, or of traces."""
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class CodedColumn:
    """A word, or nothing, for each row."""

    codes: npt.NDArray[np.int32]
    """The place of each row's word in `words`; -1 for nothing."""
    words: pa.StringArray

    @classmethod
    def of_arrow(cls, column: pa.ChunkedArray) -> "CodedColumn":
        """The same as an Arrow column of texts, or of a dictionary of texts."""
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if not len(encoded):
            return cls(np.zeros(0, dtype=np.int32), of_texts([]))
        one = one_piece(encoded.unify_dictionaries())
        return cls(to_integers(one.indices).astype(np.int32), one.dictionary.cast(pa.string()))

    @classmethod
    def of_words(cls, rows: Sequence[str | None]) -> "CodedColumn":
        """The same as a list."""
        return cls.of_arrow(pa.chunked_array([of_texts(rows)]))

    def __len__(self) -> int:
        return len(self.codes)

    def word(self, row: int) -> str | None:
        """That of one row."""
        code = int(self.codes[row])
        return None if code < 0 else str(self.words[code].as_py())

    def slice_words(self, first: int, count: int) -> Iterator[str | None]:
        """Those of some rows that follow one another."""
        return (self.word(row) for row in range(first, first + count))

    def has_word(self, *words: str) -> Mask:
        """Which rows have one of these words."""
        wanted = places_in(of_texts(words), self.words)
        if len(wanted) == 1:
            found: Mask = (self.codes == wanted[0]) & (self.codes >= 0)
            return found
        return np.isin(self.codes, wanted[wanted >= 0])

    def count_words(self, rows: Mask) -> list[tuple[str, int]]:
        """Of these rows each word with how many have it.

        The most frequent first, among equals by the alphabet.
        """
        found = np.bincount(self.codes[rows] + 1, minlength=len(self.words) + 1)[1:]
        named = [(str(self.words[int(code)].as_py()), int(found[code])) for code in np.flatnonzero(found)]
        return sorted(named, key=lambda one: (-one[1], one[0]))

    def take_rows(self, rows: npt.NDArray[np.int64]) -> "CodedColumn":
        """The words of these rows; nothing where a row is below 0."""
        return CodedColumn(np.append(self.codes, np.int32(-1))[rows], self.words)

    def filled_from(self, other: "CodedColumn") -> "CodedColumn":
        """The words of the other column, of as many rows, where this one has none."""
        words = one_piece(pa.chunked_array([self.words, other.words])).unique()
        here, there = (np.append(places_in(column.words, words), -1)[column.codes] for column in (self, other))
        return CodedColumn(np.where(here >= 0, here, there).astype(np.int32), words)
