"""What may be said of the precision of accepted answers, and how surely: one claim for every rule, from checked samples held out.

A checked Sample is judged while what people said of it is kept from the rule; a rule that is calibrated by gold adds what it expects of the
answers nobody checked. Where people could not tell, no answer of the list is right: such a Sample, once accepted, is a wrong one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, exp, fsum, lgamma, log, log1p
from typing import Any, NamedTuple, Self

from cotforge.consensus.drawn import is_evenly_drawn

SURE = 0.95
"""Of a lower bound."""
FEW = 20
"""Answers of people below which nothing is calibrated by them, and nothing claimed (ours)."""
SHRINK = 100.0
"""Checked answers that weigh as much as what a calibrated rule expects of its own answers, where gold does not contradict it (default
chosen by measurement: benchmarks)."""
SHRINK_AGAINST = 25.0
"""The same of its answers against the label, of which it expects too much more often (default chosen by measurement: benchmarks)."""
CHANCE = 2.0
"""Variances of the share that gold shows, by which it may fall short of what the rule expects before that weighs less (default chosen by
measurement: benchmarks)."""
UNSEEN = 1.0
"""Wrong answers added to these, for errors that neither gold nor the rule has met: one, as in Laplace's rule of succession. Where teachers
err together a rule expects too much, and a hundred checked answers often show none of it (default chosen by measurement: benchmarks)."""
_CLOSE = 1e-9


class Stratum(float):
    """The precision claimed of a part of the accepted answers, in [0, 1], with its lower bound and the number of checked answers."""

    __slots__ = ("checked", "low")

    low: float
    """Lower bound, one-sided 95 %."""
    checked: int

    def __new__(cls, precision: float, low: float, checked: int) -> Self:
        made = super().__new__(cls, precision)
        made.low, made.checked = low, checked
        return made

    @property
    def precision(self) -> float:
        """The number itself."""
        return float(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (float(self), self.low, self.checked)


class Count(NamedTuple):
    """Checked Samples whose answer the rule accepts on its own, and how many of these answers are right."""

    checked: int = 0
    right: int = 0


NOTHING = Count()


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed of accepted answers that nobody checked. Shares are in [0, 1]; without enough checked answers there is none."""

    precision: float | None = None
    """What gold shows, and a calibrated rule expects: `(right + weight x expected) / (checked + weight + UNSEEN)`, at least `low`, with a
    weight of `SHRINK` or less: see `shrunk_precision`; `right / checked` of a rule that expects nothing. None where nothing is calibrated,
    or no answer that nobody checked is accepted."""
    low: float | None = None
    """Its lower bound: one-sided 95 % (Clopper and Pearson 1934) over checked Samples that were accepted while what people said of them
    was kept from the rule; of those that were drawn with unequal probabilities a part. None where there is none."""
    calibrated: bool = False
    """Whether answers of people stand behind it."""
    checked: int = 0
    """Checked Samples accepted in this way, those that people could not tell among them."""
    right: int = 0
    """Of these, with the true answer."""
    with_label: Stratum | None = None
    """The same where the answer is the raw label; None below `FEW` such checked answers."""
    against_label: Stratum | None = None
    """Where it is another one than the label; what the rule expects weighs as `SHRINK_AGAINST`."""
    per_class: Mapping[str, Stratum | None] = field(default_factory=dict)
    """By answer, of a closed set: by these checked answers alone."""
    ambiguous: int = 0
    """Checked Samples that people could not tell, accepted or not."""
    ambiguous_share: float | None = None
    """Estimated share of such Samples among those that nobody checked; None where no checked one stands for any."""
    gold: int = 0
    """Checked Samples in all."""
    unequal: bool = False
    """Whether they were drawn with unequal probabilities: then counts, and the bounds that stand on them, are of those that are as if drawn
    by chance alone for the part in question; the precision is of all, each by its weight."""
    chosen: int = 0
    """Of them, those that were certain to be checked, as an audit's: they say nothing of any that nobody checked."""
    expected: float | None = None
    """The precision that the rule, calibrated by gold, expects of its own answers; None of a rule that expects nothing."""
    count_with: Count = NOTHING
    count_against: Count = NOTHING
    counts: Mapping[str, Count] = field(default_factory=dict)
    """By answer, of a closed set."""

    def summary(self) -> dict[str, Any]:
        """As `summary.json` holds it: the bound first."""
        parts = {"with_label": self.count_with, "against_label": self.count_against}
        return {
            "low": self.low,
            "precision": self.precision,
            "calibrated": self.calibrated,
            "checked": self.checked,
            "right": self.right,
            "ambiguous": self.ambiguous,
            "ambiguous_share": self.ambiguous_share,
            "gold": self.gold,
            **({"unequal": True, "chosen": self.chosen} if self.unequal or self.chosen else {}),
            "with_label": _stratum_summary(self.with_label),
            "against_label": _stratum_summary(self.against_label),
            "per_class": {name: _stratum_summary(part) for name, part in self.per_class.items()},
            "counts": {name: count._asdict() for name, count in parts.items()}
            | {"per_class": {name: count._asdict() for name, count in self.counts.items()}},
        }


def _stratum_summary(part: Stratum | None) -> dict[str, Any] | None:
    return None if part is None else {"precision": float(part), "low": part.low, "checked": part.checked}


class HeldOut(NamedTuple):
    """A checked Sample, and what the rule says of it while what people said of it is kept from the rule."""

    accepted: bool
    right: bool
    """Whether the leading answer is what people said; never where they could not tell."""
    told: bool
    """Whether people could tell."""
    agrees: bool | None
    """Whether the leading answer is the raw label; None where there is no label."""
    answer: str | None
    """The leading answer, of a closed set; else None."""
    confidence: float
    """In [0, 1], as the rule gives it."""
    weight: float = 1.0
    """How many unchecked Samples it stands for, in any unit that all share: see `drawn`."""
    place: float = 0.0
    """A number in [0, 1) as if drawn by chance, by which an evenly drawn part is told."""
    times: int = 1
    """How many Samples were alike in all this."""


class Expected(NamedTuple):
    """The mean confidence of accepted answers that nobody checked, of a rule whose confidence gold has calibrated."""

    precision: float | None
    """None where no such answer is accepted."""
    with_label: float | None = None
    """The same where the answer is the raw label."""
    against_label: float | None = None
    """Where it is another one than the label."""


def evenly_drawn(held_out: Iterable[HeldOut]) -> list[HeldOut]:
    """Those on which an exact bound can stand: all where they weigh the same, else a part that is as if drawn with equal probabilities."""
    found = [one for one in held_out if one.weight > 0]
    most = max((one.weight for one in found), default=0.0)
    return [one for one in found if is_evenly_drawn(one.weight, most, one.place)]


def effective_count(held_out: Iterable[HeldOut]) -> Count:
    """The checked Samples, and the right ones, on which an exact bound can stand: see `evenly_drawn`."""
    even = evenly_drawn(held_out)
    return Count(sum(one.times for one in even), sum(one.times for one in even if one.right))


def shrunk_precision(share: float, size: float, expected: float, *, shrink: float = SHRINK, wrong: float = UNSEEN) -> float:
    """What is claimed of answers of which a share was right among `size` checked ones, while the rule expects another share.

    What the rule expects weighs as `shrink` checked answers, and less the further gold falls short of it: its variance is that of so many
    answers, and what the difference shows beyond chance (empirical Bayes by moments). So many `wrong` answers are added.
    """
    variance = expected * (1 - expected)
    beyond = max(max(expected - share, 0.0) ** 2 - CHANCE * variance / size, 0.0)
    weight = shrink * variance / (variance + shrink * beyond) if beyond else shrink
    return (share * size + weight * expected) / (size + weight + wrong)


class _Part:
    """Held-out Samples whose answer the rule accepts: all, or a part of them."""

    def __init__(self, found: Iterable[HeldOut]) -> None:
        found = [one for one in found if one.weight > 0]
        self.checked, self.right = effective_count(found)
        whole = fsum(one.weight * one.times for one in found)
        self.size = whole * whole / fsum(one.weight**2 * one.times for one in found) if found else 0.0
        """Answers of equal weight that would tell as much. Source: Kish 1965, section 8.2."""
        self.share = fsum(one.weight * one.times for one in found if one.right) / whole if found else 0.0
        """The share of right ones, each answer by its weight. Source: Hajek 1971, the weighted mean."""

    def precision(self, expected: float | None, shrink: float = SHRINK) -> float:
        """What is claimed of the part, shrunk towards what the rule expects."""
        if expected is None:
            return self.share
        return max(shrunk_precision(self.share, self.size, expected, shrink=shrink), self.low())

    def low(self) -> float:
        """Exact, as it stands on samples that are as if drawn by chance alone."""
        return lower_bound(self.right, self.checked)

    def stratum(self, expected: float | None = None, shrink: float = SHRINK) -> Stratum | None:
        """Nothing below `FEW` checked answers."""
        return Stratum(self.precision(expected, shrink), self.low(), self.checked) if self.checked >= FEW else None

    def own_stratum(self) -> Stratum | None:
        """By these answers alone, one wrong one more: with twenty of them they claimed up to 0.05 too much (measured: benchmarks)."""
        if self.checked < FEW:
            return None
        return Stratum(max(self.share * self.size / (self.size + UNSEEN), self.low()), self.low(), self.checked)

    def count(self) -> Count:
        return Count(self.checked, self.right)


def make_claim(held_out: Iterable[HeldOut], expected: Expected | None = None) -> Claim:
    """The claim by all checked Samples of a run; `expected` only of a rule that they calibrated.

    Rules without a calibrated confidence claim nothing below `FEW` accepted ones. The order of the Samples decides nothing.
    """
    everything = list(held_out)
    accepted = [one for one in everything if one.accepted]
    whole, with_label, against = _Part(accepted), *(_Part(one for one in accepted if one.agrees is kind) for kind in (True, False))
    names = {one.answer for one in accepted if one.answer is not None}
    classes = {name: _Part(one for one in accepted if one.answer == name) for name in sorted(names)}
    gold, chosen = sum(one.times for one in everything), sum(one.times for one in everything if one.weight <= 0)
    calibrated = whole.checked >= FEW if expected is None else not 0 < chosen == gold
    about = expected or Expected(None)
    claims = calibrated and whole.checked and (expected is None or about.precision is not None)
    return Claim(
        precision=whole.precision(about.precision) if claims else None,
        low=whole.low() if calibrated and whole.checked else None,
        calibrated=calibrated,
        checked=whole.checked,
        right=whole.right,
        with_label=with_label.stratum(about.with_label) if calibrated else None,
        against_label=_against_stratum(against, about.against_label) if calibrated else None,
        per_class={name: part.own_stratum() if calibrated else None for name, part in classes.items()},
        ambiguous=sum(one.times for one in everything if not one.told),
        ambiguous_share=_ambiguous_share(everything),
        gold=gold,
        unequal=len({one.weight for one in everything}) > 1,
        chosen=chosen,
        expected=about.precision,
        count_with=with_label.count(),
        count_against=against.count(),
        counts={name: part.count() for name, part in classes.items()},
    )


def _against_stratum(against: _Part, expected: float | None) -> Stratum | None:
    return against.own_stratum() if expected is None else against.stratum(expected, SHRINK_AGAINST)


def _ambiguous_share(held_out: Sequence[HeldOut]) -> float | None:
    """The share of Samples that people cannot tell: each checked one by its weight, which stands for those that nobody checked."""
    whole = fsum(one.weight * one.times for one in held_out)
    return fsum(one.weight * one.times for one in held_out if not one.told) / whole if whole > 0 else None


@dataclass(frozen=True, slots=True)
class Bin:
    """Checked Samples whose posterior, without what people said of them, lay between two bounds: a point of a calibration plot."""

    claimed: float
    """Mean posterior of the leading answer."""
    right: float
    """Share of these answers that are true."""
    count: int


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


def upper_bound(right: int, of: int, *, sure: float = SURE) -> float:
    """The share that `right` of `of` show at most, one-sided. Source: Clopper and Pearson 1934."""
    return 1.0 - lower_bound(of - right, of, sure=sure)


def certifiable_bound(checked: int, *, sure: float = SURE) -> float:
    """The largest lower bound that so many checked answers can give: all of them accepted, and none wrong."""
    return (1 - sure) ** (1 / checked) if checked else 0.0


def fewest_checked(precision: float, *, sure: float = SURE) -> int:
    """The fewest checked answers that can certify a precision in (0, 1): all of them accepted, and none wrong."""
    return max(1, ceil(log1p(-sure) / log(precision) - _CLOSE))


def calibration_bins(posteriors: Sequence[tuple[float, bool, int]], *, count: int = 8) -> list[Bin]:
    """(posterior, whether it was right, how often) as points with about as many Samples each, from the least posterior up."""
    ordered = sorted(posteriors)
    size = max(1.0, sum(times for _, _, times in ordered) / count)
    found, part = list[Bin](), list[tuple[float, bool, int]]()
    for one in ordered:
        part.append(one)
        if sum(times for _, _, times in part) >= size:
            found.append(_make_bin(part))
            part = []
    return [*found, _make_bin(part)] if part else found


def _make_bin(part: Sequence[tuple[float, bool, int]]) -> Bin:
    whole = sum(times for _, _, times in part)
    return Bin(fsum(share * times for share, _, times in part) / whole, sum(times for _, right, times in part if right) / whole, whole)
