"""What a sequential vote is about: who may be asked, about which answers, and what an accepted one has to be worth."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, prod
from typing import Literal

from cotforge.consensus.annotators import FREE
from cotforge.consensus.promise import Wish

WIDEST = 30
"""Classes up to which confusions are kept class by class; above, and for free answers, only who agrees with whom is kept."""

SHORT = ":short"
"""Ends the name of a voter that gives short answers."""

PICTURED = 4
"""Bins of what pictures say: the first stays empty, then the unsure quarter of them, the next, and the surer half."""


@dataclass(frozen=True, slots=True)
class Voter:
    """A teacher in one of the two ways in which it can be asked."""

    teacher: str
    short: bool = False
    """Whether it is asked for its answer alone, without reasoning."""
    price: float = 1.0
    """Of one Call, in any unit that all voters share."""
    cuts: tuple[float, ...] = ()
    """Probabilities, ascending, at which its answers are parted into bins of confidence; empty where nothing is known of them."""

    @property
    def bins(self) -> int:
        """Bins of its answers; the first holds those of which no probability is known, and all of them where there are no cuts."""
        return len(self.cuts) + 2 if self.cuts else 1

    def bin(self, probability: float | None) -> int:
        """The bin of an answer that the voter itself gave this probability, in [0, 1]; None where it gave none."""
        return 1 + bisect_right(self.cuts, probability) if self.cuts and probability is not None else 0

    @property
    def name(self) -> str:
        return f"{self.teacher}{SHORT}" if self.short else self.teacher


@dataclass(frozen=True, slots=True)
class Wanted:
    """An objective by numbers: so many lessons, or as many as a sum buys."""

    lessons: int | None = None
    budget: float | None = None
    """In the voters' unit of price."""


Objective = Literal["balanced", "cheapest"] | Wanted


@dataclass(frozen=True, slots=True)
class Terms:
    """The constants of one vote; everything else is learned from answers."""

    voters: tuple[Voter, ...]
    options: tuple[str, ...] = ()
    """The closed set, in any order; empty for free answers."""
    target: float = 0.9
    """Posterior that an accepted answer must reach, in (0, 1)."""
    objective: Objective = "balanced"
    max_calls: int | None = None
    """Per Sample; None for no bound."""
    label: bool = True
    """Whether the raw label votes."""
    total: int = 0
    """Samples, where `objective` counts them."""
    whole: int = 0
    """Of these, about so many everybody is asked, whatever is said."""
    order: tuple[str, ...] = ()
    """The names of all voters in the one order in which they may be asked, where any may be left out; empty for any order."""
    promise: Wish | None = None
    """What accepted answers must be shown to reach; `target` is then the least that is tried."""
    confidence: bool = True
    """Whether voters' own probabilities of their answers count."""
    image: bool = False
    """Whether there is a column of what pictures say, between the voters and the label: known before anybody is asked, and no support."""

    @property
    def by_class(self) -> bool:
        """Whether answers are kept class by class."""
        return 0 < len(self.options) <= WIDEST

    @property
    def symbols(self) -> int:
        """How many different answers a column may hold."""
        return len(self.options) if self.by_class else len(self.voters) + 1

    @property
    def codes(self) -> tuple[int, ...]:
        """How many different codes each column may hold, the label's last: an answer's code is `bin * symbols + symbol`."""
        return tuple(bins * self.symbols for bins in self.bins)

    @property
    def bins(self) -> tuple[int, ...]:
        """Bins of confidence of each column, the label's last."""
        return (*(voter.bins for voter in self.voters), *((PICTURED,) if self.image else ()), 1)

    @property
    def binned(self) -> bool:
        """Whether any voter's answers are parted by its confidence; if not, codes are symbols."""
        return self.image or any(voter.cuts for voter in self.voters)

    @property
    def codable(self) -> bool:
        """Whether all that may be said fits into a number; more voters cannot be told apart."""
        return prod(codes + 1 for codes in self.codes) < 1 << 63

    @property
    def size(self) -> int:
        """How many classes an answer is one of; for free answers as many as it could plausibly have been (ours)."""
        return max(2, len(self.options)) if self.options else FREE + len(self.voters)


Took = Mapping[str, Sequence[tuple[float, float]]]
"""(dollars, seconds) of each reply in the warm-up, by voter."""


def mean_prices(took: Took) -> dict[str, float]:
    """What a Call to each voter took in the warm-up, on average: dollars, where nobody has a price seconds, else 1.

    Of one that never answered, as much as of the others.
    """
    for kind in (0, 1):
        means = {name: fsum(each[kind] for each in all_of) / len(all_of) for name, all_of in took.items() if all_of}
        if any(means.values()):
            usual = fsum(means.values()) / len(means)
            return {name: means.get(name, usual) for name in took}
    return dict.fromkeys(took, 1.0)
