"""Search for a text in the reasoning of all traces: by a thread, so that a page tells at once what is found so far."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Condition, Thread

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cotforge.view.arrow_buffers import to_flags
from cotforge.view.coded import Mask, Numbers
from cotforge.view.sample_index import SampleIndex

ROWS = 8_192
"""Traces that are read at a time: about 10 MB of text."""

RELEASED = 4
"""Readings after which memory is given back: 15 MB less at the peak, for 7 % of the time."""

Part = tuple[Numbers, float]
"""Samples with the text, and the share of all that has been looked at by then."""


class TextSearch:
    """One search: begun when it is made, and stopped by `stop`."""

    def __init__(self, begin: Mask, parts: Iterator[Part]) -> None:
        """`begin`: samples that are found already; `parts` is read in a thread of its own."""
        self._found, self._parts, self._share, self._stopped = begin.copy(), parts, 0.0, False
        self._changed = Condition()
        Thread(target=self._read_parts, name="search", daemon=True).start()

    def stop(self) -> None:
        """End it at the next part."""
        self._stopped = True

    @property
    def is_whole(self) -> bool:
        """Whether all was looked at."""
        return self._share >= 1 and not self._stopped

    def wait(self, seconds: float) -> tuple[Mask, float]:
        """(samples found, share looked at in [0, 1]), as soon as that is all, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._share >= 1, seconds)
            return self._found.copy(), self._share

    def _read_parts(self) -> None:
        try:
            for numbers, share in self._parts:
                with self._changed:
                    self._found[numbers] = True
                    self._share = min(share, 0.999)
                if self._stopped:
                    return
        finally:
            pa.default_memory_pool().release_unused()
            with self._changed:
                self._share = 1.0
                self._changed.notify_all()


def found_in_ids(index: SampleIndex, text: str) -> Mask:
    """Samples whose id holds the text; upper and lower case are the same."""
    return _holds_text(index.ids, text)


def found_in_traces(shards: Sequence[Path], samples: Numbers, text: str) -> Iterator[Part]:
    """Reads the reasoning of all traces once, some megabytes at a time.

    `samples` has the number of each trace's sample.
    """
    row, whole = 0, max(len(samples), 1)
    for path in shards:
        with pq.ParquetFile(path) as file:
            for number, batch in enumerate(file.iter_batches(ROWS, columns=["reasoning"], use_threads=False), 1):
                hits = _holds_text(batch.column(0), text)
                row += len(hits)
                yield samples[row - len(hits) : row][hits], row / whole
                if number % RELEASED == 0:
                    pa.default_memory_pool().release_unused()


def _holds_text(texts: pa.Array, text: str) -> Mask:
    return to_flags(pc.match_substring(texts, text, ignore_case=True))
