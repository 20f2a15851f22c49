"""What one sample's voters said, counted: the ground on which every rule stands."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from cotforge.records import Ballot, VoteReason

CLOSE = 1e-9
"""Shares or posteriors nearer than this are a tie: the order of a sum must not decide."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The ballots of one sample in canonical order, with the label where it votes."""

    ballots: tuple[Ballot, ...]
    """The teachers' ballots, sorted."""
    label: str | None
    """The raw label, where it votes; else None."""
    options: tuple[str, ...]
    """The closed set; empty for a free answer."""

    def supporters(self, answer: str | None) -> int:
        """How many different teachers gave the answer."""
        return len({ballot.teacher for ballot in self.ballots if ballot.answer == answer})


@dataclass(frozen=True, slots=True)
class PollLead:
    """What a rule makes of a poll, before what holds for every rule."""

    answer: str | None
    """The leading answer; None on a tie."""
    confidence: float
    """In [0, 1]."""
    reason: VoteReason = ""
    """Why the rule does not accept it; empty where it does."""


def make_poll(ballots: Iterable[Ballot], label: str | None, options: Iterable[str]) -> Poll:
    """The ballots in canonical order, so that the order in which replies arrived can decide nothing."""
    ordered = sorted(ballots, key=attrgetter("teacher", "answer", "weight"))
    return Poll(tuple(ordered), label, tuple(options))


def _sum_weights(votes: Iterable[tuple[str, float]]) -> dict[str, float]:
    weights: dict[str, list[float]] = {}
    for answer, weight in votes:
        weights.setdefault(answer, []).append(weight)
    return {answer: math.fsum(parts) for answer, parts in weights.items()}


def vote_shares(votes: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Each answer's share of the weight, in [0, 1]; empty without weight."""
    sums = _sum_weights(votes)
    cast = math.fsum(sums.values())
    return {answer: total / cast for answer, total in sums.items()} if cast > 0 else {}


def leading_answer(votes: Iterable[tuple[str, float]]) -> tuple[str | None, float]:
    """The answer with the largest sum of weights and its share in [0, 1]; (None, share) on a tie, (None, 0) without weight."""
    sums = sorted(((total, answer) for answer, total in _sum_weights(votes).items()), reverse=True)
    cast = math.fsum(total for total, _ in sums)
    if cast <= 0:
        return None, 0.0
    tied = len(sums) > 1 and sums[0][0] - sums[1][0] <= CLOSE * cast
    return None if tied else sums[0][1], sums[0][0] / cast


def half_lead(answer: str | None, share: float) -> PollLead:
    """Accepted with strictly more than half of what was cast."""
    if answer is None:
        return PollLead(None, share, "tie")
    return PollLead(answer, share, "" if share > 0.5 + CLOSE else "no_majority")
