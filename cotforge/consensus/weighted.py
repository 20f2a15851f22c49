"""`weighted`: a voter counts as often as it agrees with the plain majority (Wawa, worker agreement with aggregate).

Source: the aggregation baseline "Wawa" of the Appen platform, as described in crowd-kit (Ustalov et al. 2024).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cotforge.consensus.poll import Poll, PollLead, half_lead, leading_answer, vote_shares
from cotforge.consensus.polling import PollRule
from cotforge.consensus.votes import Votes


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares in [0, 1] of ballots that agree with the plain majority; 0 where there is nothing to go by."""

    teachers: Mapping[str, float]
    label: float


def agreement_weights(votes: Votes, label: bool) -> Weights:
    """How often each teacher, and the label where it votes, gave the answer most ballots gave; ties say nothing."""
    agreed: Counter[int] = Counter()
    cast: Counter[int] = Counter()
    the_label = -1
    for pattern, times in votes.patterns():
        sizes = [sum(count for _, count in said.voices) + (label and said.by_label) for said in pattern.answers]
        top = max(sizes)
        if sizes.count(top) > 1:
            continue
        for said, size in zip(pattern.answers, sizes, strict=True):
            heard = [*said.voices, (the_label, 1)] if label and said.by_label else said.voices
            for voter, count in heard:
                cast[voter] += count * times
                agreed[voter] += count * times * (size == top)
    shares = {voter: agreed[voter] / total for voter, total in cast.items()}
    return Weights({name: shares.get(place, 0.0) for place, name in enumerate(votes.teachers)}, shares.get(the_label, 0.0))


def weighted_lead(poll: Poll, weights: Weights, target: float) -> PollLead:
    """Strictly more than half of the weight cast; the confidence is the share of weight."""
    answer, share = leading_answer(_cast_votes(poll, weights))
    # Nobody ever agreed with anybody: there is no weight to go by.
    return half_lead(answer, share) if share else PollLead(None, 0.0, "no_majority")


def weight_shares(poll: Poll, weights: Weights) -> Mapping[str, float]:
    """Each answer's share of the weight."""
    return vote_shares(_cast_votes(poll, weights))


def _cast_votes(poll: Poll, weights: Weights) -> Iterator[tuple[str, float]]:
    yield from ((ballot.answer, ballot.weight * weights.teachers[ballot.teacher]) for ballot in poll.ballots)
    if poll.label is not None:
        yield poll.label, weights.label


WEIGHTED = PollRule("weighted", weighted_lead, agreement_weights, shares=weight_shares)
