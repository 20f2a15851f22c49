"""The narrow columns of a run, in memory: what the viewer filters, counts and sorts by. Texts and pictures stay in their files.

About 60 bytes a sample and 30 a trace. Rows are numbered, so that a text or a picture is one row group to read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cotforge.view.arrow_buffers import of_texts
from cotforge.view.coded import CodedColumn, Numbers

NONE = -1
"""In a column of row numbers: there is none."""


@dataclass(frozen=True, slots=True)
class TraceColumns:
    """All traces in the order of their files; those of one sample follow one another."""

    sample: Numbers
    """The number of each trace's sample."""
    teacher: CodedColumn
    origin: CodedColumn
    answer: CodedColumn
    fate: CodedColumn
    measures: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """By measure; not a number where it does not apply."""


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """All samples of a run, in the order of the source; what was lost without a trace comes last."""

    ids: pa.StringArray
    """Null for a row of the source that has none."""
    verdict: CodedColumn
    """lesson, disagreed, filtered, unusable (a row of the source), or open, where nothing was decided yet."""
    reason: CodedColumn
    """Why there is no lesson, as `stage:reason`; nothing where there is one."""
    label: CodedColumn
    answer: CodedColumn
    """Of the vote, nothing on a tie; where no verdict is kept, the most frequent one, nothing where two are."""
    confidence: npt.NDArray[np.float32]
    """Not a number where it is not known."""
    unpromised: npt.NDArray[np.bool_]
    """Whether the reason is the promise's: the rule itself accepts the answer."""
    conflict: npt.NDArray[np.bool_]
    first: Numbers
    """The first of its traces."""
    count: Numbers
    """How many it has."""
    lesson: npt.NDArray[np.int64]
    """The row of its lesson, or NONE."""
    loss: npt.NDArray[np.int64]
    """The row of `losses.parquet` that says why it has none, or NONE."""
    traces: TraceColumns
    is_live: bool = False
    """Whether it is made from the journal, because there is no dataset yet."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of the traces' measures."""
        return tuple(self.traces.measures)

    def id(self, number: int) -> str:
        """A sample's; empty where it has none."""
        return self.ids[number].as_py() or ""

    def row(self, number: int) -> dict[str, Any]:
        """A sample's columns; None for what is not known."""
        told = {name: getattr(self, name).word(number) for name in ("verdict", "reason", "label", "answer")}
        sure, lesson, loss = float(self.confidence[number]), int(self.lesson[number]), int(self.loss[number])
        return told | {
            "id": self.id(number),
            "confidence": None if np.isnan(sure) else sure,
            "unpromised": bool(self.unpromised[number]),
            "conflict": bool(self.conflict[number]),
            "first": int(self.first[number]),
            "count": int(self.count[number]),
            "lesson": None if lesson == NONE else lesson,
            "loss": None if loss == NONE else loss,
        }

    def key(self, number: int) -> str:
        """A sample in an address: where it stands, and a hash of its id, which may be long or hold anything."""
        return f"{number}_{_hash_id(self.id(number))}"

    def number_of(self, key: str) -> int | None:
        """The sample of a key, also where it stands elsewhere by now; None where it is gone."""
        place, _, wanted = key.partition("_")
        if not place.isdecimal() or len(place) > 12:
            return None
        if int(place) < len(self) and _hash_id(self.id(int(place))) == wanted:
            return int(place)
        return next((number for number, id in enumerate(self.ids.to_pylist()) if id and _hash_id(id) == wanted), None)


def empty_index() -> SampleIndex:
    """The index of a run of which nothing is read yet."""
    nothing, none = CodedColumn.of_words([]), np.zeros(0, dtype=np.uint32)
    traces = TraceColumns(none, nothing, nothing, nothing, nothing)
    numbers, floats, flags = none.astype(np.int64), none.astype(np.float32), none.astype(bool)
    words = of_texts([]), nothing, nothing, nothing, nothing
    return SampleIndex(*words, floats, flags, flags, none, none, numbers, numbers, traces, is_live=True)


def _hash_id(id: str) -> str:
    return blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
