"""Which two completions of one sample make a pair, a better and a worse one; and why a sample gives none. Nothing is drawn here."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log
from typing import Literal

from cotforge.errors import PipelineError
from cotforge.plan.kinds.dpo import Rollouts

Reason = Literal["all_right", "all_wrong", "length", "unfinished"]
"""Why a sample gives no pair.

`unfinished`: fewer than two completions ended by themselves with a text. `all_right` and `all_wrong`: no two rewards are `margin` apart,
and the best one is at least, or below, half of full marks. `length`: of those that are apart, no two have lengths within `length_ratio`.
"""
HALF = 0.5
"""Reward from which on the best completion of a sample counts as right, for the count."""
ROUNDING = 1e-9
"""By which a margin may be missed: rewards are weighted sums."""


@dataclass(frozen=True, slots=True)
class RatedCompletion:
    """What the student said about a sample, and what that is worth."""

    text: str
    reward: float | None
    """Full marks are 1; None where no reward applies, or no text came."""
    tokens: int
    ended: bool
    """Whether it ended by itself, and was not cut off."""

    @property
    def is_usable(self) -> bool:
        """Whether it can be one of a pair: a text that was cut off would be learned with an end that it never had."""
        return self.ended and self.reward is not None and bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class Pairs:
    """What one sample gives."""

    places: tuple[tuple[int, int], ...]
    """(chosen, rejected) by their place among the completions."""
    reason: Reason | None
    """Why there is none; None where there are some."""


def pairs_of(completions: Sequence[RatedCompletion], made: Rollouts) -> Pairs:
    """The pairs of one sample, `pairs_per_sample` at most; the same for the same completions.

    The chosen one's reward is higher by `margin` at least. Taken are pairs of completions that are in the fewest pairs yet, then of the
    most similar lengths, so that length tells little of what is better (a bias of DPO: arXiv 2403.19159).
    """
    usable = [place for place, one in enumerate(completions) if one.is_usable]
    if len(usable) < 2:
        return Pairs((), "unfinished")
    apart = [
        (one, other)
        for one in usable
        for other in usable
        if _reward_of(completions[one]) - _reward_of(completions[other]) >= made.margin - ROUNDING
        and completions[one].text != completions[other].text
    ]
    if not apart:
        best = max(_reward_of(completions[place]) for place in usable)
        return Pairs((), "all_right" if best >= HALF else "all_wrong")
    most = inf if made.length_ratio is None else log(made.length_ratio) + ROUNDING
    distances = {pair: distance for pair in apart if (distance := _length_distance(*(completions[place] for place in pair))) <= most}
    found = tuple(_spread_pairs(distances, made.pairs_per_sample, completions))
    return Pairs(found, None if found else "length")


def _reward_of(completion: RatedCompletion) -> float:
    assert completion.reward is not None
    return completion.reward


def _length_distance(one: RatedCompletion, other: RatedCompletion) -> float:
    """Of two lengths: the size of the logarithm of their ratio."""
    return abs(log(max(1, one.tokens) / max(1, other.tokens)))


def _spread_pairs(
    distances: Mapping[tuple[int, int], float], most: int, completions: Sequence[RatedCompletion]
) -> Iterator[tuple[int, int]]:
    """Pairs of different texts, so many at most: of completions in the fewest pairs yet, then of the most similar lengths."""

    def texts(pair: tuple[int, int]) -> tuple[str, ...]:
        return tuple(completions[place].text for place in pair)

    used = Counter[int]()
    left = sorted(distances, key=lambda pair: (distances[pair], pair))
    for _ in range(most):
        if not left:
            return
        pair = min(left, key=lambda pair: used[pair[0]] + used[pair[1]])  # of several, the first
        left = [other for other in left if texts(other) != texts(pair)]
        used.update(pair)
        yield pair


@dataclass
class PairCount:
    """What the completions of all samples came to."""

    samples: int = 0
    completions: int = 0
    cut_off: int = 0
    unanswered: int = 0
    """Completions that no text came of."""
    rewards: float = 0.0
    """The sum of all."""
    rewarded: int = 0
    """Completions that have a reward."""
    paired: int = 0
    """Samples with a pair."""
    pairs: int = 0
    without: dict[Reason, int] = field(default_factory=dict)
    """Samples without a pair, by the reason."""

    def add(self, completions: Sequence[RatedCompletion], found: Pairs) -> None:
        """One sample more."""
        self.samples += 1
        self.completions += len(completions)
        self.unanswered += sum(not one.text and one.reward is None for one in completions)
        self.cut_off += sum(not one.ended and bool(one.text) for one in completions)
        known = [one.reward for one in completions if one.reward is not None]
        self.rewards += sum(known)
        self.rewarded += len(known)
        self.paired += bool(found.places)
        self.pairs += len(found.places)
        if found.reason is not None:
            self.without[found.reason] = self.without.get(found.reason, 0) + 1

    def line(self, made: Rollouts) -> str:
        """For a person."""
        cut = [f"{self.cut_off:,} cut off"] if self.cut_off else []
        lost = [f"{self.unanswered:,} without a text"] if self.unanswered else []
        mean = [f"mean reward {self.rewards / self.rewarded:.3f}"] if self.rewarded else []
        told = ", ".join([f"{self.completions:,} completions of {self.samples:,} samples", *mean, *cut, *lost])
        return f"rollouts: {told}; {self.pairs:,} pairs of {self.paired:,} samples{self._without_pairs(made)}"

    def demand_pairs(self, made: Rollouts, *, where: str) -> None:
        """Raises PipelineError where there is none."""
        if not self.pairs:
            first: Reason = max(self.without, key=self.without.__getitem__, default="unfinished")
            raise PipelineError(f"{where}: {self.line(made)}; {REMEDIES[first]}")

    def _without_pairs(self, made: Rollouts) -> str:
        words: dict[Reason, str] = {
            "all_wrong": "all wrong",
            "all_right": "all right",
            "length": f"no two lengths within a ratio of {made.length_ratio:g}" if made.length_ratio is not None else "",
            "unfinished": "fewer than two whole completions",
        }
        found = [f"{self.without[reason]:,} {word}" for reason, word in words.items() if self.without.get(reason)]
        return f"; without a pair: {', '.join(found)}" if found else ""


REMEDIES: dict[Reason, str] = {
    "all_wrong": "raise rollouts.per_sample, or have the student learn more before this stage",
    "all_right": "take harder samples, or raise rollouts.temperature",
    "length": "raise rollouts.length_ratio, or set it to null",
    "unfinished": "raise rollouts.max_completion, or have the student learn to end before this stage",
}
"""What would give pairs, by the commonest reason for none."""
