"""What a page counts again when a person moves a bound: an even sample of the run, a few bytes for each of its samples."""

import math
from array import array
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, NamedTuple

from cotforge import selection
from cotforge.filters import Bound
from cotforge.reasons import NO_MEASURES
from cotforge.records import CuratedSample, Judged

SAMPLES = 20_000
"""Samples that are held at most: with so many, a share is exact to 0.7 points (95 %)."""
BYTES = 800_000
"""Bytes on the page at most, before they are encoded."""
POSITIONS = 60
"""Places of a slider that come from the data."""
MOST_POSITIONS = 127
"""Of a slider: its code then fits one byte."""
NONE = 255
"""The code of a measure that does not apply: it passes."""
CLASSES = 250
ACCEPTED, UNSURE, REFUSED = 0, 1, 2
"""Agreed on; not sure enough for the target; not agreed on for another reason."""
RESCUED, UNWANTED = 4, 8
"""Has a rescued text that would be a lesson; left out by `select`."""
TARGETS = (0.0, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999)
_CANDIDATES = ("lesson", "surplus", "filter", "undecided")


class Counted(NamedTuple):
    """One sample of the run."""

    state: int
    confidence: float
    answer: str
    traces: int
    """Traces with the leading answer, or of a rescue."""
    repeats: int
    """The last of them: those that `dedup` dropped."""
    values: bytes
    """Their measures, as float64 in the order of traces and columns; NaN where one does not apply."""


@dataclass(frozen=True, slots=True)
class Slider:
    """One bound that can be moved."""

    path: str
    """Of the key in the pipeline file, as `--set` takes it."""
    measure: str
    side: str
    """`min` or `max`."""
    value: float
    """Where it stands now."""
    column: int


class Recount:
    """The samples that a page counts again."""

    def __init__(
        self,
        bounds: Sequence[Bound] = (),
        *,
        target: float | None = None,
        per_sample: int = 1,
        fixed: int = 0,
        samples: int = SAMPLES,
        size: int = BYTES,
    ) -> None:
        """`target` is that of the vote; None where the rule has none. `per_sample` is the most lessons of one sample.
        So many of the first bounds are `fixed`: they are no entries of `filters`, and have no slider.

        At most so many `samples` are held, and at most `size` bytes go to the page.
        """
        self.target, self.per_sample, self.seen = target, per_sample, 0
        self._samples, self._size = samples, size
        self._fixed = bounds[:fixed]
        self.columns = list(dict.fromkeys(bound.name for bound in bounds))
        self.sliders = [
            Slider(f"filters.{place}.{side}", bound.name, side, value, self.columns.index(bound.name))
            for place, bound in enumerate(bounds[fixed:])
            for side, value in (("min", bound.min), ("max", bound.max))
            if value is not None and math.isfinite(value)
        ]
        self._kept: list[tuple[int, int, Counted]] = []
        self._bytes, self._limit = 0, 1 << 64

    def add(self, outcome: CuratedSample, rank: bytes) -> None:
        """Look at one sample; those with the least ranks stay, as many as there is room for."""
        self.seen += 1
        place = int.from_bytes(rank)
        if place >= self._limit:
            return
        counted = self._count_sample(outcome)
        heappush(self._kept, (-place, self.seen, counted))
        self._bytes += self._byte_count(counted)
        while len(self._kept) > self._samples or self._bytes > self._size:
            least, _, gone = heappop(self._kept)
            self._limit = -least
            self._bytes -= self._byte_count(gone)

    def kept(self) -> list[Counted]:
        """The samples that stayed, in the order of their ranks."""
        return [counted for _, _, counted in sorted(self._kept, reverse=True, key=lambda one: one[0])]

    def _byte_count(self, counted: Counted) -> int:
        return 5 + counted.traces * len(self.columns)

    def _count_sample(self, outcome: CuratedSample) -> Counted:
        verdict = outcome.verdict
        is_unwanted = outcome.rejected in selection.LEFT_OUT
        is_rescued = not verdict.accepted and (bool(outcome.lessons) or is_unwanted)
        state = ACCEPTED if verdict.accepted else UNSURE if verdict.reason == "below_target" else REFUSED
        state |= RESCUED * is_rescued | UNWANTED * is_unwanted
        explained = [judged for judged in outcome.traces if judged.trace.origin == "rescue" and judged.fate in _CANDIDATES]
        usable = explained if is_rescued else [judged for judged in outcome.traces if _is_usable(judged, verdict.answer)]
        usable = sorted((judged for judged in usable if self._holds_fixed(judged)), key=_is_repeat)[:255]
        answer = next((judged.trace.answer for judged in explained), None) if is_rescued else verdict.answer
        values = array("d", (_as_number(judged.measures.get(name)) for judged in usable for name in self.columns))
        return Counted(state, verdict.confidence, answer or "", len(usable), sum(map(_is_repeat, usable)), values.tobytes())

    def _holds_fixed(self, judged: Judged) -> bool:
        return all(bound.holds(judged.measures.get(bound.name)) for bound in self._fixed)

    def page_data(self) -> dict[str, Any]:
        """What the page's script needs, as JSON holds it."""
        kept = self.kept()
        answers = _commonest_answers(one.answer for one in kept if one.state & 3 != REFUSED or one.state & RESCUED)
        values = [array("d", one.values) for one in kept]
        axes = [self._axis_positions(column, values) for column in range(len(self.columns))]
        target = sorted({*(TARGETS if self.target is None else TARGETS[1:]), *([] if self.target is None else [self.target])})
        codes = bytearray()
        for one, numbers in zip(kept, values, strict=True):
            known = answers.get(one.answer, len(answers))
            codes += bytes((one.state, one_byte_code(one.confidence, target), known, one.traces, one.repeats))
            codes += bytes(one_byte_code(number, axes[place % len(axes)]) for place, number in enumerate(numbers))
        return {
            "total": self.seen,
            "kept": len(kept),
            "perSample": self.per_sample,
            "classes": [*answers],
            "columns": len(self.columns),
            "target": {"positions": target, "at": target.index(self.target or 0.0), "targeted": self.target is not None},
            "sliders": [
                {"path": one.path, "measure": one.measure, "side": one.side, "column": one.column}
                | {"positions": axes[one.column], "at": axes[one.column].index(one.value)}
                for one in self.sliders
            ],
            "codes": b64encode(codes).decode(),
        }

    def _axis_positions(self, column: int, values: Sequence["array[float]"]) -> list[float]:
        wide = len(self.columns)
        numbers = sorted(value for one in values for value in one[column::wide] if math.isfinite(value))
        return slider_positions(numbers, [slider.value for slider in self.sliders if slider.column == column])


def slider_positions(numbers: Sequence[float], bounds: Iterable[float]) -> list[float]:
    """At most 127 values between which a slider moves: the least and the largest number, round ones between, and the bounds.

    `numbers` are sorted.
    """
    found = sorted(set(numbers))
    if len(found) > POSITIONS:
        places = (numbers[round(place / POSITIONS * (len(numbers) - 1))] for place in range(POSITIONS + 1))
        found = [numbers[0], *(float(f"{number:.3g}") for number in places), numbers[-1]]
        found = [number for number in found if numbers[0] <= number <= numbers[-1]]
    wanted = set(bounds)
    return sorted({*found[: MOST_POSITIONS - len(wanted)], *wanted})


def one_byte_code(value: float, axis: Sequence[float]) -> int:
    """A number in one byte: `2 i + 1` at position i of the axis, `2 i` below it, so that comparisons with positions stay exact."""
    if math.isnan(value):
        return NONE
    place = bisect_left(axis, value)
    return 2 * place + (place < len(axis) and axis[place] == value)


def _is_usable(judged: Judged, answer: str | None) -> bool:
    return judged.fate in _CANDIDATES and answer is not None and judged.trace.answer == answer


def _is_repeat(judged: Judged) -> bool:
    return judged.fate == "filter" and judged.because in NO_MEASURES


def _as_number(value: float | None) -> float:
    return math.nan if value is None else value


def _commonest_answers(answers: Iterable[str]) -> dict[str, int]:
    """Places by answer, the commonest first."""
    counts: dict[str, int] = {}
    for answer in answers:
        counts[answer] = counts.get(answer, 0) + 1
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:CLASSES]
    return {answer: place for place, (answer, _) in enumerate(ranked)}
