"""Whether a simpler rule does better on checked answers than the one in force: a teacher that has to say the label, or a cascade of them.

It is tried on the Samples about which every teacher was asked, whatever was said: only there is all known that it would have heard.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from cotforge.consensus.claim import FEW, lower_bound


class Met(NamedTuple):
    """One Sample as a rule that waits for the label sees it."""

    says: int
    """Which teachers say the label: a bit for each, by place; -1 where there is no label."""
    checked: bool
    right: bool
    """Whether people found the label to be true."""


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """What a rule does, per Sample and per accepted one."""

    coverage: float
    """Share of Samples accepted, in [0, 1]."""
    calls: float
    """Per accepted Sample."""
    cost: float
    """In US dollars per accepted Sample; 0 where no teacher has a price."""
    right: int
    checked: int
    """Checked Samples that it accepts, and those with the true answer."""

    @property
    def low(self) -> float:
        """The least precision that these show: one-sided, 95 %."""
        return lower_bound(self.right, self.checked) if self.checked else 0.0

    def beats(self, other: "RuleFigures") -> bool:
        """Whether it is in nothing worse and asks less; too few checked Samples are no ground."""
        surely = self.checked >= FEW and self.low >= other.low
        return surely and self.coverage >= other.coverage and self.cost <= other.cost and self.calls < other.calls


@dataclass(frozen=True, slots=True)
class Simpler:
    """A rule that waits for the label."""

    order: tuple[str, ...]
    """Teachers in turn."""
    figures: RuleFigures

    @property
    def rule(self) -> str:
        """As the pipeline file has it."""
        return "label_match" if len(self.order) == 1 else "cascade"


class SimplerTrial:
    """Counts for all orders at once; memory does not grow with the Samples."""

    def __init__(self, teachers: Sequence[str]) -> None:
        self._teachers = tuple(teachers)
        self._met: Counter[Met] = Counter()
        self._spent: dict[str, list[float]] = {name: [0.0, 0.0] for name in teachers}

    def spent(self, teacher: str, usd: float) -> None:
        """A reply, and what it cost."""
        calls_cost = self._spent[teacher]
        calls_cost[0] += 1
        calls_cost[1] += usd

    def add(self, label: str | None, said: Iterable[tuple[str, str | None]], *, true: str | None, checked: bool) -> None:
        """A Sample about which all were asked: (teacher, answer) each, and what people found; None where they cannot tell."""
        says = -1 if label is None else 0
        for teacher, answer in said:
            if label is not None and answer == label:
                says |= 1 << self._teachers.index(teacher)
        self._met[Met(says, checked, checked and label is not None and label == true)] += 1

    def orders(self) -> list[tuple[str, ...]]:
        """Each teacher alone, and all from the cheapest to the dearest."""
        ranked = sorted(self._teachers, key=lambda name: (self._mean_price(name), self._teachers.index(name)))
        return [(name,) for name in self._teachers] + ([tuple(ranked)] if len(ranked) > 1 else [])

    def best(self, present: RuleFigures) -> Simpler | None:
        """The one with the fewest calls among those that beat the rule in force."""
        found = [Simpler(order, self.figures(order)) for order in self.orders()]
        better = [one for one in found if one.figures.beats(present)]
        return min(better, key=lambda one: (one.figures.cost, one.figures.calls, -one.figures.low), default=None)

    def figures(self, order: Sequence[str]) -> RuleFigures:
        """Of the rule that asks these in turn until one says the label."""
        places = [self._teachers.index(name) for name in order]
        total = accepted = calls = right = checked = 0
        cost = 0.0
        for met, times in self._met.items():
            total += times
            if met.says < 0:
                continue
            turn = next((turn for turn, place in enumerate(places) if met.says >> place & 1), None)
            asked = places if turn is None else places[: turn + 1]
            calls += times * len(asked)
            cost += times * sum(self._mean_price(self._teachers[place]) for place in asked)
            if turn is not None:
                accepted += times
                checked += times * met.checked
                right += times * met.right
        each = (calls / accepted, cost / accepted) if accepted else (inf, inf)
        return RuleFigures(accepted / total if total else 0.0, *each, right, checked)

    def _mean_price(self, teacher: str) -> float:
        calls, usd = self._spent[teacher]
        return usd / calls if calls else 0.0
