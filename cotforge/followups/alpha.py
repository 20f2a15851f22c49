"""Krippendorff's alpha: how far judges agree beyond chance, counted unit by unit in bounded memory."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from math import fsum
from typing import Literal

Metric = Literal["ordinal", "interval"]


class Agreement:
    """Marks of units, each given by two judges or more, as counts of pairs; memory grows with the square of different marks alone.

    The counts are whole numbers, so the order of the units does not matter. Missing marks are left out; who gave a mark is not kept.
    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C (any number of observers, missing data).
    """

    def __init__(self) -> None:
        self._pairs: dict[int, Counter[tuple[float, float]]] = {}
        """By how many marks a unit has, how often one mark of a unit stands beside another of it, both orders."""
        self.units = 0
        """Units with two marks or more."""

    def add(self, marks: Sequence[float]) -> None:
        """Count one unit; one with fewer than two marks tells nothing of agreement."""
        if len(marks) > 1:
            self.units += 1
            self._pairs.setdefault(len(marks), Counter()).update(permutations(marks, 2))

    def alpha(self, metric: Metric) -> float | None:
        """1 where all agree, 0 where as by chance, below 0 where less; None without two units, or where all marks are the same."""
        coincidences = self._coincidences()
        totals = _row_sums(coincidences)
        distance = _interval if metric == "interval" else _ordinal_distance(totals)
        n = fsum(totals.values())
        observed = fsum(count * distance(one, other) for (one, other), count in coincidences.items())
        expected = fsum(totals[one] * totals[other] * distance(one, other) for one in totals for other in totals)
        return 1 - (n - 1) * observed / expected if self.units > 1 and expected > 0 else None

    def _coincidences(self) -> dict[tuple[float, float], float]:
        """The coincidence matrix: a unit of m marks adds 1 / (m - 1) for each pair of its marks."""
        found: dict[tuple[float, float], float] = {}
        for many, pairs in sorted(self._pairs.items()):
            for pair, count in sorted(pairs.items()):
                found[pair] = found.get(pair, 0.0) + count / (many - 1)
        return found


def _row_sums(coincidences: Mapping[tuple[float, float], float]) -> dict[float, float]:
    """How often each mark was given, in the order of the marks."""
    totals: dict[float, float] = {}
    for (one, _), count in coincidences.items():
        totals[one] = totals.get(one, 0.0) + count
    return dict(sorted(totals.items()))


def _interval(one: float, other: float) -> float:
    return (one - other) ** 2


def _ordinal_distance(totals: Mapping[float, float]) -> Callable[[float, float], float]:
    """Squared number of marks that were given from one to the other, either end counted by half."""
    below, so_far = {}, 0.0
    for mark, count in totals.items():
        below[mark] = so_far + count / 2
        so_far += count
    return lambda one, other: (below[one] - below[other]) ** 2
