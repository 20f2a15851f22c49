"""Samples drawn for people to check: a part by chance, a part where an answer tells most, each with its probability of being drawn.

By chance are those of least rank, as before anybody was asked. The others are drawn in proportion to their size: how unsure the vote is of
its answer, and how sure it is of one that contradicts the raw label; either makes up half of all sizes. Who was checked before is drawn no
more, and has the probability of all drawings so far. Sources: Gligoric and others 2024 (arXiv 2408.15204) for the sizes; Rosen 1997, "On
sampling with probability proportional to size", for the drawing (Pareto sampling: its probabilities are right within 1 or 2 % here).
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

from cotforge.consensus.drawn import even_part
from cotforge.gold.pick import APART, LEAST, MOST, picture_of
from cotforge.order import sample_rank
from cotforge.records import Gold, Sample

TARGETED = 0.5
"""Share of the samples that are not drawn by chance alone: an exact bound stands on the others, so there must be many of them."""
SUREST = 0.9
"""Largest probability with which one is drawn for its size: none is certain, so that each stands for some that nobody checked."""
_DRAWING, _ORDER = 11, 12
"""Seeds of `rank`: orders that have nothing to do with the one by which samples are asked, or drawn by chance."""


class Doubt(NamedTuple):
    """What the vote makes of a Sample, whatever people said of it."""

    answer: str | None = None
    """The leading answer; None where nothing was answered."""
    posterior: float = 0.0
    """Of the leading answer, in [0, 1]."""
    label: float | None = None
    """Posterior of the raw label, in [0, 1]; None where there is no label, or no answer."""
    contradicts: bool = False
    """Whether the leading answer is another one than the label."""
    votes: str = ""
    """Who said what, for a person to read."""

    @property
    def unsure(self) -> float:
        """Variance of whether the leading answer is right, in [0, 0.25]; 0 where nothing was answered.

        With as many drawn by chance, all are drawn about in proportion to the standard deviation, which tells most of a mean.
        """
        return self.posterior * (1 - self.posterior) if self.answer is not None else 0.0

    @property
    def against(self) -> float:
        """Fourth power of the posterior of a leading answer that is another one than the label; 0 where it is the label, or there is none.

        Of the power, so that most are drawn of those that may be accepted: of these something is claimed.
        """
        return self.posterior**4 if self.label is not None and self.contradicts else 0.0

    @property
    def wrong(self) -> float:
        """Posterior that the label is wrong, in [0, 1]; 0 where there is none."""
        return 1 - self.label if self.label is not None else 0.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """What was drawn, and how."""

    ids: Sequence[str]
    """In an order of its own, so that the first ones that are answered are a fair part of all."""
    drawn: Mapping[str, float]
    """Probability of having been drawn by now, in (0, 1], of these and of all that were checked before; empty where all are drawn."""
    by_chance: int
    """How many of them are drawn by chance alone."""
    met: int
    """Samples of which they were drawn."""
    before: int
    """Samples that were checked before."""
    even: int
    """How many, these and those checked before, a bound will stand on if the rule accepts an answer to each: see `even_part`."""


class Population:
    """All Samples of a run with their sizes; one picture is one unit, whatever its ids. About 200 bytes each."""

    def __init__(self, gold: Gold, seed: int = APART) -> None:
        """`seed`: of the order of chance."""
        self._gold, self._seed = gold, seed
        self._places: dict[int, int] = {}
        self._ids: list[str] = []
        self._unsure, self._against = array("d"), array("d")
        self.met = 0

    def add(self, sample: Sample, doubt: Doubt) -> None:
        """One more."""
        self.met += 1
        key = sample_rank(picture_of(sample))
        place = self._places.setdefault(key, len(self._ids))
        if place == len(self._ids):
            self._ids.append(sample.id)
            self._unsure.append(doubt.unsure)
            self._against.append(doubt.against)
        elif self._comes_first(sample.id, self._ids[place]):
            self._ids[place], self._unsure[place], self._against[place] = sample.id, doubt.unsure, doubt.against

    def _comes_first(self, id: str, other: str) -> bool:
        """Of two ids of one picture the checked one, then the one of lower rank."""
        return (not self._is_checked(id), sample_rank(id, self._seed), id) < (
            not self._is_checked(other),
            sample_rank(other, self._seed),
            other,
        )

    def _is_checked(self, id: str) -> bool:
        return id in self._gold.answers or id in self._gold.ambiguous

    def draw(self, count: int | None) -> Drawing:
        """So many of those that nobody checked; left out, a tenth of all, between 100 and 300."""
        free = [place for place, id in enumerate(self._ids) if not self._is_checked(id)]
        checked = [id for id in self._ids if self._is_checked(id)]
        count = min(count or min(MOST, max(LEAST, self.met // 10)), len(free))
        free.sort(key=lambda place: (sample_rank(self._ids[place], self._seed), self._ids[place]))
        if count == len(free):
            return Drawing([self._ids[place] for place in free], {}, count, self.met, len(checked), count + len(checked))
        sizes = self._doubt_sizes()
        targeted = min(int(TARGETED * count), sum(sizes[place] > 0 for place in free))
        chance_before, targeted_before = self._drawn_before(checked)
        chance = (chance_before + count - targeted) / len(self._ids)
        shares = proportional_shares(sizes, (targeted_before + targeted) / (1 - chance))
        by_chance, rest = free[: count - targeted], free[count - targeted :]
        rest.sort(key=lambda place: (_pareto_key(self._ids[place], shares[place]), self._ids[place]))
        chosen = [*by_chance, *rest[:targeted]]
        told = [*chosen, *(place for place, id in enumerate(self._ids) if self._is_checked(id))]
        drawn = {self._ids[place]: chance + (1 - chance) * shares[place] for place in told}
        drawn |= {id: max(drawn[id], self._gold.drawn[id]) for id in checked if id in self._gold.drawn}
        return Drawing(self._in_order(chosen), drawn, len(by_chance), self.met, len(checked), len(even_part(drawn, drawn)))

    def _in_order(self, places: Sequence[int]) -> list[str]:
        return sorted((self._ids[place] for place in places), key=lambda id: (sample_rank(id, _ORDER), id))

    def _doubt_sizes(self) -> Sequence[float]:
        """In any unit, 0 or more: either kind of doubt makes up half of all, where there is any."""
        wholes = [fsum(kind) for kind in (self._unsure, self._against)]
        scales = [1 / whole if whole > 0 else 0.0 for whole in wholes]
        return array("d", (unsure * scales[0] + against * scales[1] for unsure, against in zip(self._unsure, self._against, strict=True)))

    def _drawn_before(self, ids: Sequence[str]) -> tuple[int, int]:
        """About how many of the checked ones were drawn by chance alone, and how many for their size; an audit's are neither."""
        known = [share for id in ids if (share := self._gold.drawn.get(id, 1.0)) < 1]
        unknown = sum(id not in self._gold.drawn for id in ids)
        alike = bool(known) and min(known) == max(known)
        chance = max(unknown, round(min(known, default=0.0) * len(self._ids)))
        whole = len(known) + unknown
        return (whole, 0) if alike else (min(chance, whole), max(whole - chance, 0))


def proportional_shares(sizes: Sequence[float], total: float) -> Sequence[float]:
    """Probabilities in proportion to the sizes that sum to `total`, each at most `SUREST`."""
    shares = array("d", bytes(8 * len(sizes)))
    open_, left = [place for place, size in enumerate(sizes) if size > 0], total
    while open_ and left > 0:
        scale = left / fsum(sizes[place] for place in open_)
        full = [place for place in open_ if sizes[place] * scale >= SUREST]
        if not full:
            for place in open_:
                shares[place] = sizes[place] * scale
            break
        for place in full:
            shares[place] = SUREST
        left -= SUREST * len(full)
        filled = set(full)
        open_ = [place for place in open_ if place not in filled]
    return shares


def _pareto_key(id: str, share: float) -> float:
    """The key of Pareto sampling: those with the least are drawn."""
    place = (sample_rank(id, _DRAWING) + 0.5) / 2**64
    return place / (1 - place) * (1 - share) / share if share > 0 else float("inf")


def draw_samples(doubts: Iterable[tuple[Sample, Doubt]], gold: Gold, count: int | None = None, *, seed: int = APART) -> Drawing:
    """The Samples that a person is asked about; `count` left out is a tenth of all, between 100 and 300. `seed`: see `pick`."""
    population = Population(gold, seed)
    for sample, doubt in doubts:
        population.add(sample, doubt)
    return population.draw(count)
