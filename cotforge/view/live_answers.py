"""A run without a dataset, as far as its journal goes: what the teachers have said so far, before any vote or filter."""

import time
from collections import Counter
from threading import Event, Lock, Thread

import numpy as np

from cotforge.errors import JournalError
from cotforge.heard import Answered
from cotforge.pipeline import Loaded
from cotforge.records import NOT_ASKED, Fault, Sample
from cotforge.view.arrow_buffers import of_texts
from cotforge.view.coded import CodedColumn
from cotforge.view.journal_reader import JournalReader, answers_to
from cotforge.view.sample_index import NONE, SampleIndex, TraceColumns, empty_index
from cotforge.view.source_samples import SourceWalk

OLD_S = 2.0
"""Seconds after which an index is made anew, where more is known by then."""
AGAIN_S = 3.0
"""Seconds between two looks at whether the journal has grown."""

_TraceRow = tuple[str, str, str | None, str]
"""teacher, origin, answer, fate."""
_SampleRow = tuple[str, str | None, str | None, float | None, str]
"""id, label, leading answer, its share of the answers, how far it is asked."""


class LiveAnswers:
    """Follows the journal of a run from the beginning of its source, and again whenever replies came in."""

    def __init__(self, loaded: Loaded, journal: JournalReader, walk: SourceWalk) -> None:
        """Begins at once, in a thread of its own. `walk` is the reading of the source."""
        self._loaded, self._journal, self._walk = loaded, journal, walk
        self._lock, self._stopped = Lock(), Event()
        self._samples: dict[str, tuple[_SampleRow, list[_TraceRow]]] = {}
        self._changes, self._made = 0, (-1, 0.0)
        self._index = empty_index()
        self._thread = Thread(target=self._follow_journal, name="journal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join(10)

    def current_index(self) -> SampleIndex:
        """What is known by now, but for the last seconds."""
        with self._lock:
            changes, made_at = self._made
            if changes != self._changes and (time.monotonic() - made_at > OLD_S or self._changes < 2_000):
                self._index = _live_columns(list(self._samples.values()))
                self._made = self._changes, time.monotonic()
            return self._index

    def _follow_journal(self) -> None:
        """The samples as they are read from the source, then all again where the journal has grown."""
        seen, latest = 0, self._latest_reply()
        while not self._stopped.is_set():
            whole = self._walk.is_whole
            ids = self._walk.shelf.list_ids()
            for id in ids[seen:]:
                if self._stopped.is_set():
                    return
                self._look_at(id)
            seen = len(ids)
            if whole and (now := self._latest_reply()) != latest:
                seen, latest = 0, now
            self._stopped.wait(AGAIN_S if whole else 0.05)

    def _latest_reply(self) -> int:
        try:
            return self._journal.latest_reply()
        except JournalError:
            return 0

    def _look_at(self, id: str) -> None:
        sample = self._walk.shelf.get_sample(id)
        if sample is None:
            return
        try:
            found = answers_to(sample, self._loaded, self._journal)
        except (Fault, JournalError):  # of one row, or of a moment in which the journal is being written anew
            return
        row = _row_of(sample, found), [_trace_of(one) for one in found if one[1].error != NOT_ASKED]
        with self._lock:
            if self._samples.get(id) != row:
                self._samples[id] = row
                self._changes += 1


def _row_of(sample: Sample, found: list[Answered]) -> _SampleRow:
    said = Counter(trace.answer for _, _, trace in found if trace is not None and trace.answer is not None)
    ranked = said.most_common(2)
    leads = bool(ranked) and (len(ranked) == 1 or ranked[0][1] > ranked[1][1])
    asked = sum(reply.error != NOT_ASKED for _, reply, _ in found)
    state = "not asked" if not asked else "asked" if asked == len(found) else "asked in part"
    answer, share = (ranked[0][0], ranked[0][1] / said.total()) if leads else (None, None)
    return sample.id, sample.label, answer, share, state


def _trace_of(one: Answered) -> _TraceRow:
    call, reply, trace = one
    fate = f"failed:{reply.error}" if trace is None else f"unread:{trace.fault}" if trace.fault else "read"
    return call.teacher, call.origin, trace.answer if trace is not None else None, fate


def _live_columns(rows: list[tuple[_SampleRow, list[_TraceRow]]]) -> SampleIndex:
    ids, labels, answers, shares, states = zip(*(row for row, _ in rows), strict=True) if rows else [()] * 5
    said = [trace for _, each in rows for trace in each]
    counts = np.array([len(each) for _, each in rows], dtype=np.uint32)
    nowhere = np.full(len(rows), NONE, dtype=np.int64)
    traces = TraceColumns(
        np.repeat(np.arange(len(rows), dtype=np.uint32), counts),
        teacher=CodedColumn.of_words([trace[0] for trace in said]),
        origin=CodedColumn.of_words([trace[1] for trace in said]),
        answer=CodedColumn.of_words([trace[2] for trace in said]),
        fate=CodedColumn.of_words([trace[3] for trace in said]),
    )
    return SampleIndex(
        ids=of_texts(ids),
        verdict=CodedColumn.of_words(["open"] * len(rows)),
        reason=CodedColumn.of_words(states),
        label=CodedColumn.of_words(labels),
        answer=CodedColumn.of_words(answers),
        confidence=np.array([float("nan") if share is None else share for share in shares], dtype=np.float32),
        unpromised=np.zeros(len(rows), dtype=bool),
        conflict=np.array(
            [None not in (label, answer) and label != answer for label, answer in zip(labels, answers, strict=True)], dtype=bool
        ),
        first=(np.cumsum(counts) - counts).astype(np.uint32),
        count=counts,
        lesson=nowhere,
        loss=nowhere,
        traces=traces,
        is_live=True,
    )


def _are_different(label: str | None, answer: str | None) -> bool:
    return label is not None and answer is not None and label != answer
