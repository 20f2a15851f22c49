"""How reliable each teacher, and the label, was found to be: what `dawid_skene` decides by."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cotforge.consensus.poll import Poll

FREE = 10
"""Classes a free answer is taken to be one of, or one more than were given: wrong answers that coincide are rarer than among two
options and far commoner than among all texts. Ours; a size that followed the answers given would teach EM to doubt agreement."""


def size_of(options: int, given: int) -> int:
    """How many classes an answer is one of: the closed set's (at least 2), or for a free answer (`options` 0) as `FREE` says."""
    return max(options, 2) if options else max(FREE, given + 1)


@dataclass(frozen=True, slots=True)
class OneCoin:
    """A voter is right with one probability and else names each other class equally often."""

    teachers: Mapping[str, float]
    """Accuracy in (0, 1)."""
    label: float
    """The label's accuracy; its prior where it does not vote."""

    def posterior(self, poll: Poll) -> dict[str, float]:
        """Probability of each answer given; what is missing to 1 lies on answers nobody gave."""
        given = sorted(_poll_answers(poll))
        size = size_of(len(poll.options), len(given))
        odds: dict[str, list[float]] = {answer: [] for answer in given}
        for (teacher, answer), weight in _ballot_weights(poll).items():
            odds[answer].append(weight * _vote_log_odds(self.teachers[teacher], size))
        if poll.label is not None:
            odds[poll.label].append(_vote_log_odds(self.label, size))
        logs = {answer: math.fsum(parts) for answer, parts in odds.items()}
        return _normalise_logs(logs, unnamed=size - len(given))


@dataclass(frozen=True, slots=True)
class Matrices:
    """A voter has a confusion matrix: how often it names each class where another is true."""

    options: tuple[str, ...]
    """The classes, sorted: the order of every axis."""
    prior: Sequence[float]
    """Log probability of each class."""
    teachers: Mapping[str, Sequence[Sequence[float]]]
    """Log probability [named][true]."""
    label: Sequence[Sequence[float]] | None
    """The label's; None where it does not vote."""

    def posterior(self, poll: Poll) -> dict[str, float]:
        """Probability of every class."""
        place = self.options.index
        rows = [self.prior]
        for (teacher, answer), weight in _ballot_weights(poll).items():
            row = self.teachers[teacher][place(answer)]
            rows.append(row if weight == 1 else [weight * log for log in row])
        if poll.label is not None and self.label is not None:
            rows.append(self.label[place(poll.label)])
        logs = dict(zip(self.options, map(math.fsum, zip(*rows, strict=True)), strict=True))
        return _normalise_logs(logs, unnamed=0)


def _poll_answers(poll: Poll) -> set[str]:
    return {ballot.answer for ballot in poll.ballots} | ({poll.label} if poll.label is not None else set())


def _ballot_weights(poll: Poll) -> dict[tuple[str, str], float]:
    """Weight by teacher and answer; the ballots of one teacher share one voice, since it repeats its own errors."""
    voices: dict[str, int] = {}
    given: dict[tuple[str, str], list[float]] = {}
    for ballot in poll.ballots:
        voices[ballot.teacher] = voices.get(ballot.teacher, 0) + 1
        given.setdefault((ballot.teacher, ballot.answer), []).append(ballot.weight)
    return {(teacher, answer): math.fsum(parts) / voices[teacher] for (teacher, answer), parts in given.items()}


def _vote_log_odds(accuracy: float, size: int) -> float:
    """Log of how much likelier a voter names the true class than one certain other, of `size` classes."""
    return math.log(accuracy / (1 - accuracy)) + math.log(size - 1)


def _normalise_logs(logs: Mapping[str, float], *, unnamed: int) -> dict[str, float]:
    """Log weights as probabilities, with `unnamed` further classes of log weight 0."""
    top = max([*logs.values(), *([0.0] if unnamed else [])])
    weights = {answer: math.exp(log - top) for answer, log in logs.items()}
    whole = math.fsum([*weights.values(), unnamed * math.exp(-top) if unnamed else 0.0])
    return {answer: weight / whole for answer, weight in weights.items()}
