"""What may be said of the precision of accepted answers, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, lgamma, log, log1p
from typing import NamedTuple

SURE = 0.95
"""Of a lower bound."""
FEW = 20
"""Answers of people below which nothing is calibrated by them, and nothing claimed (ours)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Shares in [0, 1], of accepted answers that nobody checked."""

    precision: float | None = None
    """As claimed; None where none was accepted, or the rule says nothing of it."""
    low: float | None = None
    """Its lower bound: one-sided 95 % (Clopper and Pearson 1934) over checked Samples that were accepted while what people said of them
    was kept from the rule; None without enough of them."""
    calibrated: bool = False
    """Whether answers of people stand behind it."""
    checked: int = 0
    """Checked Samples accepted in this way."""
    right: int = 0
    """Of these, with the true answer."""
    with_label: float | None = None
    """The precision claimed where the answer is the raw label; None where nothing is calibrated."""
    against_label: float | None = None
    """The same where it is another one."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Checked Samples whose posterior, without what people said of them, lay between two bounds: a point of a calibration plot."""

    claimed: float
    """Mean posterior of the leading answer."""
    right: float
    """Share of these answers that are true."""
    count: int


class Checked(NamedTuple):
    """What a rule says of a Sample that people checked, as if they had not; or of several alike."""

    confidence: float
    accepted: bool
    right: bool
    with_label: bool
    """Whether the answer is the raw label."""
    times: int = 1


def claimed(checked: Sequence[Checked], *, posterior: float | None = None) -> Claim:
    """The claim that checked Samples bear out; `posterior` is what the rule says itself, told where they are too few."""
    kept = [one for one in checked if one.accepted]
    count, right = _count(kept)
    if count < FEW:
        return Claim(posterior)
    parts = (_count([one for one in kept if one.with_label == is_label]) for is_label in (True, False))
    return Claim(right / count, lower_bound(right, count), True, count, right, *(sure / of if of else None for of, sure in parts))


def _count(checked: Sequence[Checked]) -> tuple[int, int]:
    """(how many there are, how many of them are right)."""
    return sum(one.times for one in checked), sum(one.times for one in checked if one.right)


def lower_bound(right: int, of: int, *, sure: float = SURE) -> float:
    """The share that `right` of `of` show at least, one-sided. Source: Clopper and Pearson 1934."""
    if right == 0:
        return 0.0
    ways = [lgamma(of + 1) - lgamma(count + 1) - lgamma(of - count + 1) for count in range(right, of + 1)]
    low, high = 0.0, 1.0
    for _ in range(50):
        share = (low + high) / 2
        if share in (0.0, 1.0):
            break
        tail = fsum(exp(way + count * log(share) + (of - count) * log1p(-share)) for count, way in enumerate(ways, right))
        low, high = (share, high) if tail < 1 - sure else (low, share)
    return low


def bins(posteriors: Sequence[tuple[float, bool, int]], *, count: int = 8) -> list[Bin]:
    """(posterior, whether it was right, how often) as points with about as many Samples each, from the least posterior up."""
    ordered = sorted(posteriors)
    size = max(1.0, sum(times for _, _, times in ordered) / count)
    found, part = list[Bin](), list[tuple[float, bool, int]]()
    for one in ordered:
        part.append(one)
        if sum(times for _, _, times in part) >= size:
            found.append(_bin(part))
            part = []
    return [*found, _bin(part)] if part else found


def _bin(part: Sequence[tuple[float, bool, int]]) -> Bin:
    whole = sum(times for _, _, times in part)
    return Bin(fsum(share * times for share, _, times in part) / whole, sum(times for _, right, times in part if right) / whole, whole)
