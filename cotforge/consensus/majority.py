"""`majority` and `unanimous`: every ballot counts the same, and nothing is learned."""

from collections.abc import Iterator, Mapping

from cotforge.consensus.poll import Poll, PollLead, half_lead, leading_answer, vote_shares
from cotforge.consensus.polling import PollRule


def majority_lead(poll: Poll, model: None, target: float) -> PollLead:
    """Strictly more than half of the ballots cast, the label's among them where it votes; the confidence is the share."""
    return half_lead(*leading_answer(_cast_votes(poll)))


def unanimous_lead(poll: Poll, model: None, target: float) -> PollLead:
    """All ballots the same, the label's too where it votes; the confidence is the leading answer's share."""
    answer, share = leading_answer(_cast_votes(poll))
    return PollLead(answer, share, "" if len({given for given, _ in _cast_votes(poll)}) == 1 else "not_unanimous")


def _cast_votes(poll: Poll) -> Iterator[tuple[str, float]]:
    yield from ((ballot.answer, ballot.weight) for ballot in poll.ballots)
    if poll.label is not None:
        yield poll.label, 1.0


def ballot_shares(poll: Poll, model: None) -> Mapping[str, float]:
    """Each answer's share of the ballots."""
    return vote_shares(_cast_votes(poll))


MAJORITY = PollRule("majority", majority_lead, shares=ballot_shares)
UNANIMOUS = PollRule("unanimous", unanimous_lead, shares=ballot_shares)
