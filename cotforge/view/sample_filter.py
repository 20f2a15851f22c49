"""Which samples a page shows: the filters of an address, applied to the index, and what each further filter would leave."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
import polars as pl

from cotforge.gold.review import GoldSheet
from cotforge.view.sample_index import MEASURE, SampleIndex

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32]
"""Numbers of samples."""

ORDERS = ("source", "unsure", "sure")
"""As the source has them; by confidence, the least first; by confidence, the most first."""
BINS = 24
"""Of the histogram of a measure."""
NARROWED = ("verdict", "reason", "answer", "label", "conflict", "checked", "teacher", "fate")
"""Filters that have a list of values beside them."""
_OF_TRACES = ("teacher", "fate", "measure")
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
        return cls(**texts, min=_number(query, "min"), max=_number(query, "max"), order=order if order in ORDERS else ORDERS[0])

    def query(self, **changes: Any) -> str:
        """The part of an address that asks for the same, with these filters changed; `key` and `after` are passed on."""
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
class Histogram:
    """How the values of a measure are spread over the traces that are left."""

    low: float
    high: float
    counts: tuple[int, ...]
    """Of equal parts of [low, high]."""

    def edges(self, place: int) -> tuple[float, float]:
        """The bounds of a part."""
        step = (self.high - self.low) / len(self.counts)
        return self.low + place * step, self.low + (place + 1) * step


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The samples that are left, in order, and what further filters would leave of them."""

    numbers: Numbers
    facets: Mapping[str, tuple[tuple[str, int], ...]]
    """Per filter its values with their counts of samples, the most frequent first, all other filters applied."""
    histogram: Histogram | None = None

    def place_of(self, number: int) -> int | None:
        """Where a sample stands, from 0; None where it is not among them."""
        found = np.flatnonzero(self.numbers == number)
        return int(found[0]) if len(found) else None


def narrowed(index: SampleIndex, wanted: SampleFilter, *, sheet: GoldSheet, found: Mask | None = None) -> Narrowed:
    """Apply the filters. `found`: the samples with `wanted.text` in one of their traces."""
    samples = index.samples.with_columns(checked=_states(index, sheet))
    parts = _sample_masks(samples, wanted)
    if wanted.names_traces:
        parts["trace"] = _has_trace(index, wanted)
    if found is not None:
        parts["text"] = found
    left = _all_of(parts, len(samples))
    facets = {name: _counted(index, samples, name, wanted, _without(parts, name, wanted, index)) for name in NARROWED}
    return Narrowed(_ordered(samples, left, wanted.order), facets, _histogram(index, wanted, left))


def _number(query: Mapping[str, str], name: str) -> float | None:
    try:
        found = float(query[name])
    except (KeyError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _states(index: SampleIndex, sheet: GoldSheet) -> pl.Series:
    """`checked`, `unsure` or `no` of each sample."""
    states = {id: state for id in sheet.answers if (state := sheet.state(id))}
    if not states:
        return pl.repeat("no", len(index.samples), eager=True).cast(pl.Categorical)
    return index.samples["id"].replace_strict(states, default="no", return_dtype=pl.String).cast(pl.Categorical)


def _sample_masks(samples: pl.DataFrame, wanted: SampleFilter) -> dict[str, Mask]:
    """By the name of each filter that is set."""
    given = {name: value for name in ("verdict", "reason", "answer", "label", "checked") if (value := getattr(wanted, name))}
    masks = {name: _equal(samples[name], value) for name, value in given.items()}
    if wanted.conflict:
        masks["conflict"] = samples["conflict"].to_numpy()
    return masks


def _equal(column: pl.Series, value: str) -> Mask:
    return (column == value).fill_null(False).to_numpy()


def _has_trace(index: SampleIndex, wanted: SampleFilter) -> Mask:
    """Whether one trace of a sample is all that is asked for."""
    traces = index.traces
    fits = np.ones(len(traces), dtype=bool)
    for name in ("teacher", "fate"):
        if value := getattr(wanted, name):
            fits &= _equal(traces[name], value)
    if wanted.measure in index.measures:
        values = traces[MEASURE + wanted.measure].to_numpy()
        with np.errstate(invalid="ignore"):
            fits &= values >= wanted.min if wanted.min is not None else fits
            fits &= values <= wanted.max if wanted.max is not None else fits
    mask = np.zeros(len(index.samples), dtype=bool)
    mask[traces["sample"].to_numpy()[fits]] = True
    return mask


def _all_of(parts: Mapping[str, Mask], count: int) -> Mask:
    left = np.ones(count, dtype=bool)
    for part in parts.values():
        left = left & part
    return left


def _without(parts: Mapping[str, Mask], name: str, wanted: SampleFilter, index: SampleIndex) -> Mask:
    """The samples that all filters but this one leave."""
    others = {part: mask for part, mask in parts.items() if part != name}
    if name in _OF_TRACES and "trace" in others:
        del others["trace"]
        if (rest := replace(wanted, **{name: ""})).names_traces:
            others["trace"] = _has_trace(index, rest)
    return _all_of(others, len(index.samples))


def _counted(index: SampleIndex, samples: pl.DataFrame, name: str, wanted: SampleFilter, left: Mask) -> tuple[tuple[str, int], ...]:
    """The values of a filter among the samples that are left, with how many have each."""
    if name == "conflict":
        count = int((samples["conflict"].to_numpy() & left).sum())
        return (("yes", count),) if count or wanted.conflict else ()
    if name in ("teacher", "fate"):
        of = index.traces.select("sample", name).filter(left[index.traces["sample"].to_numpy()])
        found = of.unique().group_by(name).len()
    else:
        found = samples.select(name).filter(left).group_by(name).len()
    rows = found.filter(pl.col(name).is_not_null()).with_columns(pl.col(name).cast(pl.String)).sort("len", name, descending=[True, False])
    return tuple(rows.select(name, "len").iter_rows())


def _ordered(samples: pl.DataFrame, left: Mask, order: str) -> Numbers:
    numbers = np.flatnonzero(left).astype(np.uint32)
    if order == "source":
        return numbers
    sureness = samples["confidence"].to_numpy()[numbers]
    last = np.where(np.isnan(sureness), np.inf, sureness if order == "unsure" else -sureness)
    return numbers[np.argsort(last, kind="stable")]


def _histogram(index: SampleIndex, wanted: SampleFilter, left: Mask) -> Histogram | None:
    """Of the chosen measure over the traces of the samples that are left; None where there is none."""
    if wanted.measure not in index.measures:
        return None
    values = index.traces[MEASURE + wanted.measure].to_numpy()[left[index.traces["sample"].to_numpy()]]
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    counts, _ = np.histogram(values, BINS, (low, high if high > low else low + 1))
    return Histogram(low, high if high > low else low + 1, tuple(int(count) for count in counts))
