"""What a rule made of a world, held against the truth.

Shapes: N items.
"""
# ruff: noqa: N803, N806, N815
# Arrays end in their axes.

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from time import perf_counter

import numpy as np
import numpy.typing as npt

from benchmarks.consensus.worlds import Classes, World

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Result:
    """What a rule accepts, what that cost, and how sure it is of it."""

    answer_N: Classes
    """-1 where it has none."""
    accepted_N: Bools
    calls: int
    """All that were charged, whatever became of the item."""
    price: float
    """Price units, likewise."""
    claim: float | None = None
    """The rule's own estimate of the precision of what it accepts; None where it makes none."""
    low: float | None = None
    """Its lower bound on that."""
    gold_N: Bools | None = None
    """Items whose truth it was told: nothing it says of them counts, but what they cost does."""
    against_claim: float | None = None
    """The claim about what it accepts against the label."""


@dataclass(frozen=True)
class Figures:
    """One line of a table; nan where there is nothing to say."""

    precision: float
    """Of what was accepted; here and below gold is left out of what was accepted, and of the items."""
    coverage: float
    calls: float
    """Per accepted item."""
    price: float
    """Per accepted item."""
    claim: float
    low: float
    against: float
    """Precision of what was accepted against the label."""
    against_claim: float
    """Its claim."""
    against_count: float
    """How many these are."""
    agreeing: float
    """Precision of what was accepted with the label."""
    accepted: float
    seconds: float

    @property
    def overclaim(self) -> float:
        return self.claim - self.precision

    @property
    def allowed(self) -> float:
        """What a claim may exceed the truth by: two points, and two standard errors of the truth counted on so few items."""
        return 0.02 + 2 * math.sqrt(self.precision * (1 - self.precision) / self.accepted) if self.accepted else math.nan

    @property
    def over(self) -> bool:
        """Whether it claims more than that."""
        return self.overclaim > self.allowed


def scored(rule: Callable[[World], Result], world: World) -> Figures:
    """A rule's figures in a world."""
    begun = perf_counter()
    result = rule(world)
    return figures(result, world, seconds=perf_counter() - begun)


def figures(result: Result, world: World, *, seconds: float) -> Figures:
    """What the truth says of a result."""
    counted_N = np.ones(world.items, bool) if result.gold_N is None else ~result.gold_N
    accepted_N, right_N = result.accepted_N & counted_N, result.answer_N == world.truth_N
    with_N, accepted = accepted_N & (result.answer_N == world.label_N), int(accepted_N.sum())
    against_N = accepted_N & ~with_N & (world.label_N >= 0)
    return Figures(
        precision=_share(right_N[accepted_N]),
        coverage=_share(accepted_N[counted_N]),
        calls=result.calls / accepted if accepted else math.nan,
        price=result.price / accepted if accepted else math.nan,
        claim=_number(result.claim),
        low=_number(result.low),
        against=_share(right_N[against_N]),
        against_claim=_number(result.against_claim),
        against_count=int(against_N.sum()),
        agreeing=_share(right_N[with_N]),
        accepted=accepted,
        seconds=seconds,
    )


def mean(several: Sequence[Figures]) -> Figures:
    """Each figure's mean over those that have it."""
    return Figures(*(_mean([getattr(one, field.name) for one in several]) for field in fields(Figures)))


def _mean(numbers: Sequence[float]) -> float:
    known = [number for number in numbers if not math.isnan(number)]
    return fmean(known) if known else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _share(flags_N: Bools) -> float:
    return float(flags_N.mean()) if len(flags_N) else math.nan
