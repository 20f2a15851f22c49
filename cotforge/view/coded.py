"""A column of words as numbers: a word stands once, however many rows have it, and counting is one pass over small integers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32]
"""Numbers of samples, or of traces."""


@dataclass(frozen=True, slots=True)
class CodedColumn:
    """A word, or nothing, for each row."""

    codes: npt.NDArray[np.int32]
    """The place of each row's word in `words`; -1 for nothing."""
    words: pa.StringArray

    @classmethod
    def of_arrow(cls, column: pa.ChunkedArray) -> "CodedColumn":
        """The same as an Arrow column of texts, or of a dictionary of texts."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        whole = column.unify_dictionaries().combine_chunks()
        if isinstance(whole, pa.ChunkedArray):  # without rows there is no chunk
            whole = pa.array([], pa.string()).dictionary_encode()
        return cls(whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32), whole.dictionary.cast(pa.string()))

    @classmethod
    def of_words(cls, rows: Sequence[str | None]) -> "CodedColumn":
        """The same as a list."""
        return cls.of_arrow(pa.chunked_array([pa.array(rows, pa.string())]))

    def __len__(self) -> int:
        return len(self.codes)

    def word(self, row: int) -> str | None:
        """That of one row."""
        code = int(self.codes[row])
        return None if code < 0 else str(self.words[code].as_py())

    def slice(self, first: int, count: int) -> Iterator[str | None]:
        """Those of some rows that follow one another."""
        return (self.word(row) for row in range(first, first + count))

    def equal(self, *words: str) -> Mask:
        """Which rows have one of these words."""
        wanted = pc.index_in(pa.array(words, pa.string()), value_set=self.words).drop_null().to_numpy(zero_copy_only=False)
        return np.isin(self.codes, wanted) if len(wanted) != 1 else self.codes == wanted[0]

    def counts(self, rows: Mask) -> list[tuple[str, int]]:
        """Of these rows each word with how many have it, the most frequent first, among equals by the alphabet."""
        found = np.bincount(self.codes[rows] + 1, minlength=len(self.words) + 1)[1:]
        there = np.flatnonzero(found)
        named = zip(self.words.take(pa.array(there)).to_pylist(), found[there].tolist(), strict=True)
        return sorted(named, key=lambda one: (-one[1], one[0]))

    def taken(self, rows: npt.NDArray[np.int64]) -> "CodedColumn":
        """The words of these rows; nothing where a row is below 0."""
        codes = np.append(self.codes, np.int32(-1))
        return CodedColumn(codes[rows], self.words)
