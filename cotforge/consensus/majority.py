"""`majority` and `unanimous`: every ballot counts the same, and nothing is learned."""

from collections.abc import Iterator

from cotforge.consensus.poll import Lead, Poll, half, leading
from cotforge.consensus.polling import PollRule


def majority(poll: Poll, model: None, target: float) -> Lead:
    """Strictly more than half of the ballots cast, the label's among them where it votes; the confidence is the share."""
    return half(*leading(_cast(poll)))


def unanimous(poll: Poll, model: None, target: float) -> Lead:
    """All ballots the same, the label's too where it votes; the confidence is the leading answer's share."""
    answer, share = leading(_cast(poll))
    return Lead(answer, share, "" if len({given for given, _ in _cast(poll)}) == 1 else "not_unanimous")


def _cast(poll: Poll) -> Iterator[tuple[str, float]]:
    yield from ((ballot.answer, ballot.weight) for ballot in poll.ballots)
    if poll.label is not None:
        yield poll.label, 1.0


MAJORITY = PollRule("majority", majority)
UNANIMOUS = PollRule("unanimous", unanimous)
