"""Where values lie on an axis, and at which round numbers its lines stand."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

STEPS = (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid, with what stands beside it."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear or logarithmic axis from `low` to `high`, drawn from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where a value lies, in SVG's own units, with one decimal."""
        low, high, value = (math.log(each) for each in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)

    def ticks(self, values: Iterable[float], text: Callable[[float], str] = "{:,.6g}".format) -> list[Tick]:
        """A tick at each of the values that lies on the axis."""
        room = 0.0 if self.log else 1e-9 * (self.high - self.low)
        return [Tick(self(value), text(value)) for value in values if self.low - room <= value <= self.high + room]

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> tuple[Self, list[Tick]]:
        """A linear axis that holds all values, with round ends, and its ticks."""
        low, high, step = round_span(values)
        made = cls(low, high, start, end)
        return made, made.ticks([low + place * step for place in range(round((high - low) / step) + 1)])


def round_span(values: Sequence[float], *, most: int = 5) -> tuple[float, float, float]:
    """The ends of an axis that holds the values, round numbers both, and the distance of the at most `most` lines between them."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(room))
    step = next(each for each in (size / 5, size / 2, size, 2 * size, 5 * size, 10 * size) if room / each <= most)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, (last if last > first else first + 1) * step, step


def log_span(values: Sequence[float]) -> tuple[float, float]:
    """The ends of a logarithmic axis, with some room. Values are above 0."""
    if not values:
        return 1.0, 10.0
    room = 1.12 if max(values) > 1.5 * min(values) else 1.5
    return min(values) / room, max(values) * room


def log_ticks(low: float, high: float, *, most: int = 9) -> list[float]:
    """Round values of a logarithmic axis, the fewer the wider it is."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in (STEPS, (1, 1.5, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(found) <= most:
            break
    return found if len(found) <= 2 * most else found[:: -(-len(found) // most)]
