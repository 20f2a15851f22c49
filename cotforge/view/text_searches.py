"""The last searches for a text in a run, so that the next page of the same search is there at once."""

from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock

import numpy as np

from cotforge.view.coded import Mask
from cotforge.view.index_reader import Stamp
from cotforge.view.sample_texts import traces_of
from cotforge.view.text_search import Part, TextSearch, found_in_ids, found_in_traces
from cotforge.view.viewed_run import OpenedDataset, ViewedRun

REMEMBERED = 4
"""Searches whose result is kept."""


class TextSearches:
    """Begins searches and keeps the last ones. Safe to use from any thread."""

    def __init__(self, run: ViewedRun) -> None:
        self._run, self._lock = run, Lock()
        self._kept: OrderedDict[tuple[Stamp, int, str], TextSearch] = OrderedDict()

    def find_text(self, opened: OpenedDataset, text: str, seconds: float) -> tuple[Mask, float]:
        """What is found by then: (samples with the text in an id or a trace, share of the traces searched).

        The share is in [0, 1]. It waits so many seconds at most.
        """
        name = opened.stamp, len(opened.index), text.casefold()
        with self._lock:
            search = self._kept.get(name)
            if search is None:
                self._stop_unfinished()
                search = self._kept[name] = TextSearch(found_in_ids(opened.index, text), self._search_parts(opened, text))
            self._kept.move_to_end(name)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)[1].stop()
        return search.wait(seconds)

    def _stop_unfinished(self) -> None:
        """One search at a time: whoever begins another no longer waits for the last one."""
        for name in [name for name, search in self._kept.items() if not search.is_whole]:
            self._kept.pop(name).stop()

    def stop(self) -> None:
        """End all that are still going on."""
        for search in self._kept.values():
            search.stop()

    def _search_parts(self, opened: OpenedDataset, text: str) -> Iterator[Part]:
        index = opened.index
        return self._live_parts(opened, text) if index.is_live else found_in_traces(opened.shards, index.traces.sample, text)

    def _live_parts(self, opened: OpenedDataset, text: str) -> Iterator[Part]:
        """One sample after another, as the journal has its replies."""
        wanted, count = text.casefold(), len(opened.index)
        for number in range(count):
            hit = any(wanted in str(trace["reasoning"]).casefold() for trace in traces_of(self._run, opened, number))
            yield np.array([number] if hit else [], dtype=np.uint32), (number + 1) / count
