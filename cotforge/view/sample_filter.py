"""Which samples a page shows: the filters of an address, applied to the index, and what each further filter would leave."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

import numpy as np

from cotforge.given_answers import GoldSheet
from cotforge.view.arrow_buffers import of_texts, places_in
from cotforge.view.coded import CodedColumn, Mask, Numbers
from cotforge.view.sample_index import SampleIndex

ORDERS = ("source", "unsure", "sure")
"""As the source has them; by confidence, the least first; by confidence, the most first."""
BINS = 24
"""Of the histogram of a measure."""
NARROWED = ("verdict", "reason", "answer", "label", "conflict", "checked", "teacher", "fate")
"""Filters that have a list of values beside them."""
LONGEST = 500
"""Characters of a filter's value; a longer one matches nothing."""


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """What is asked for. Empty means all; filters of traces hold for one and the same trace."""

    verdict: str = ""
    reason: str = ""
    answer: str = ""
    label: str = ""
    conflict: str = ""
    """`yes`: only samples where the teachers agree on another answer than the label."""
    checked: str = ""
    """`checked`, `unsure` or `no`: what people said of it."""
    teacher: str = ""
    fate: str = ""
    measure: str = ""
    min: float | None = None
    max: float | None = None
    """Bounds of the measure, inclusive."""
    text: str = ""
    """Stands in the reasoning of a trace; upper and lower case are the same."""
    order: str = "source"

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> "SampleFilter":
        """As an address has it; what cannot be understood is left out."""
        texts = {name: query[name][:LONGEST] for name in (*NARROWED, "measure", "text") if query.get(name)}
        order = query.get("order", "")
        return cls(**texts, min=_read_number(query, "min"), max=_read_number(query, "max"), order=order if order in ORDERS else ORDERS[0])

    def to_query(self, **changes: Any) -> str:
        """The part of an address that asks for the same, with these filters changed.

        `key` and `after` are passed on.
        """
        extra = {name: changes.pop(name) for name in ("key", "after") if name in changes}
        wanted = asdict(replace(self, **changes)) | extra
        if wanted["order"] == ORDERS[0]:
            wanted["order"] = ""
        return urlencode(
            {name: f"{value:g}" if isinstance(value, float) else value for name, value in wanted.items() if value not in ("", None)}
        )

    @property
    def names_traces(self) -> bool:
        """Whether it asks for something of a trace, beside its text."""
        return bool(self.teacher or self.fate or (self.measure and (self.min is not None or self.max is not None)))


@dataclass(frozen=True, slots=True)
class MeasureHistogram:
    """How the values of a measure are spread over the traces that are left."""

    low: float
    high: float
    counts: tuple[int, ...]
    """Of equal parts of [low, high]."""

    def bar_edges(self, place: int) -> tuple[float, float]:
        """The bounds of a part."""
        step = (self.high - self.low) / len(self.counts)
        return self.low + place * step, self.low + (place + 1) * step


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The samples that are left, in order, and what further filters would leave of them."""

    numbers: Numbers
    facets: Mapping[str, tuple[tuple[str, int], ...]]
    """Per filter its values with their counts of samples, the most frequent first, all other filters applied."""
    histogram: MeasureHistogram | None = None

    def place_of(self, number: int) -> int | None:
        """Where a sample stands, from 0; None where it is not among them."""
        found = np.flatnonzero(self.numbers == number)
        return int(found[0]) if len(found) else None


def narrow_samples(index: SampleIndex, wanted: SampleFilter, *, sheet: GoldSheet, found: Mask | None = None) -> Narrowed:
    """Apply the filters. `found`: the samples with `wanted.text` in one of their traces."""
    columns = {name: getattr(index, name) for name in ("verdict", "reason", "answer", "label")} | {"checked": _checked_states(index, sheet)}
    parts = {name: column.has_word(value) for name, column in columns.items() if (value := getattr(wanted, name))}
    if wanted.conflict:
        parts["conflict"] = index.conflict
    if wanted.names_traces:
        parts["trace"] = _has_trace(index, wanted)
    if found is not None:
        parts["text"] = found
    left = _all_of(parts.values(), len(index))
    facets = {name: tuple(_count_values(index, columns, name, wanted, parts)) for name in NARROWED}
    return Narrowed(_order_numbers(index, left, wanted.order), facets, _measure_histogram(index, wanted, left))


def _read_number(query: Mapping[str, str], name: str) -> float | None:
    try:
        found = float(query[name])
    except (KeyError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _checked_states(index: SampleIndex, sheet: GoldSheet) -> CodedColumn:
    """`no`, `checked` or `unsure` of each sample."""
    states = of_texts(["no", "checked", "unsure"])
    codes = np.zeros(len(index), dtype=np.int32)
    said = {id: state for id in sheet.answers if (state := sheet.state(id))}
    if said:
        places = places_in(index.ids, of_texts(list(said)))
        codes = np.array([1 if state == "checked" else 2 for state in said.values()] + [0], dtype=np.int32)[places]
    return CodedColumn(codes, states)


def _has_trace(index: SampleIndex, wanted: SampleFilter) -> Mask:
    """Whether one trace of a sample is all that is asked for."""
    mask = np.zeros(len(index), dtype=bool)
    mask[index.traces.sample[_fitting_traces(index, wanted)]] = True
    return mask


def _fitting_traces(index: SampleIndex, wanted: SampleFilter) -> Mask:
    """Which traces are all that is asked of a trace."""
    traces = index.traces
    fits = np.ones(len(traces.sample), dtype=bool)
    for name in ("teacher", "fate"):
        if value := getattr(wanted, name):
            fits &= getattr(traces, name).has_word(value)
    if wanted.measure in traces.measures and (wanted.min is not None or wanted.max is not None):
        values = traces.measures[wanted.measure]
        fits &= values >= (wanted.min if wanted.min is not None else -np.inf)
        fits &= values <= (wanted.max if wanted.max is not None else np.inf)
    return fits


def _all_of(parts: Iterable[Mask], count: int) -> Mask:
    left = np.ones(count, dtype=bool)
    for part in parts:
        left = left & part
    return left


def _count_values(
    index: SampleIndex, columns: Mapping[str, CodedColumn], name: str, wanted: SampleFilter, parts: Mapping[str, Mask]
) -> list[tuple[str, int]]:
    """The values of a filter among the samples that all others leave, with how many have each."""
    is_of_traces = name in ("teacher", "fate")
    left = _all_of((mask for part, mask in parts.items() if part != ("trace" if is_of_traces else name)), len(index))
    if name == "conflict":
        count = int(np.count_nonzero(index.conflict & left))
        return [("yes", count)] if count else []
    if is_of_traces:
        rest = replace(wanted, teacher="") if name == "teacher" else replace(wanted, fate="")
        return _counted_by_sample(index, getattr(index.traces, name), _fitting_traces(index, rest) & left[index.traces.sample])
    return columns[name].count_words(left)


def _counted_by_sample(index: SampleIndex, column: CodedColumn, rows: Mask) -> list[tuple[str, int]]:
    """Per word of a column of traces how many samples have it in one of these rows."""
    found = np.zeros((len(column.words) + 1, len(index)), dtype=bool)
    found[column.codes[rows], index.traces.sample[rows]] = True
    counts = np.count_nonzero(found[:-1], axis=1)
    words = [(str(column.words[int(code)].as_py()), int(counts[code])) for code in np.flatnonzero(counts)]
    return sorted(words, key=lambda one: (-one[1], one[0]))


def _order_numbers(index: SampleIndex, left: Mask, order: str) -> Numbers:
    numbers = np.flatnonzero(left).astype(np.uint32)
    if order == "source":
        return numbers
    sureness = index.confidence[numbers]
    last = np.where(np.isnan(sureness), np.float32(np.inf), sureness if order == "unsure" else -sureness)
    return numbers[np.argsort(last, kind="stable")]


def _measure_histogram(index: SampleIndex, wanted: SampleFilter, left: Mask) -> MeasureHistogram | None:
    """Of the chosen measure over the traces of the samples that are left; None where there is none."""
    if wanted.measure not in index.traces.measures:
        return None
    values = index.traces.measures[wanted.measure][left[index.traces.sample]]
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1
    counts, _ = np.histogram(values, BINS, (low, high))
    return MeasureHistogram(low, high, tuple(int(count) for count in counts))
