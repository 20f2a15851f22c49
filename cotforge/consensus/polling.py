"""Rules that ask everybody: each judges the poll of one Sample, at most by what all polls taught it about the voters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from math import fsum
from typing import Any

from cotforge.consensus.claim import FEW, Bin, Checked, Claim, bins, claimed
from cotforge.consensus.decider import Decider, Heard, Opinion, Rows, Rule, Setting, settle
from cotforge.consensus.poll import Lead, Poll, poll
from cotforge.consensus.votes import Votes
from cotforge.records import Ballot, Gold, Sample, Verdict


class Polls(Rows):
    """The ballots of all Samples, and one by one those of the Samples that people checked."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.votes = Votes()
        self.checked: list[tuple[Sample, tuple[Heard, ...], int]] = []

    def add(self, sample: Sample, heard: Sequence[Heard], times: int = 1) -> None:
        self.votes.add(_ballots(heard), sample.label, sample.options, times)
        if self.setting.checked(sample.id):
            self.checked.append((Sample(sample.id, (), "", sample.options, sample.label), tuple(heard), times))


@dataclass(frozen=True)
class PollRule(Rule):
    """A rule by what it makes of a poll."""

    name: str
    lead: Callable[[Poll, Any, float], Lead]
    """(poll, what `model` gave, target) to the leading answer. A function that other processes can import."""
    model: Callable[[Votes, bool], Any] | None = None
    """(all votes, whether the label votes) to what only `lead` can read; None where nothing is learned."""
    posterior: bool = False
    """Whether the confidence is a posterior."""

    @property
    def targeted(self) -> bool:
        return self.posterior

    @property
    def learns(self) -> bool:
        return self.model is not None

    def rows(self, setting: Setting) -> Polls:
        return Polls(setting)

    def learn(self, rows: Rows) -> "PollDecider":
        assert isinstance(rows, Polls)
        model = self.model(rows.votes, rows.setting.label == "vote") if self.model is not None else None
        return PollDecider(rows, self, model)


class PollDecider(Decider):
    """A rule with what it learned; figures are computed when they are asked for, and do not travel."""

    def __init__(self, rows: Polls, rule: PollRule, model: Any) -> None:
        super().__init__(rows.setting)
        self._rows, self._rule, self._model = rows, rule, model
        self._needed = min(rows.setting.teachers, 2)
        self._unchecked = replace(rows.setting, gold=Gold())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": Polls(self.setting)}

    def opinion(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        votes = poll(_ballots(heard), sample.label if self.setting.label == "vote" else None, sample.options)
        return self._judged(votes)._replace(asked=tuple(dict.fromkeys(one.voter for one in heard)))

    def _judged(self, votes: Poll) -> Opinion:
        """The answer must come from at least two teachers, unless there is only one, and never from the label alone."""
        if not votes.ballots:
            return Opinion(None, 0.0, "no_ballots")
        lead = self._rule.lead(votes, self._model, self.setting.terms.target)
        few = votes.supporters(lead.answer) < self._needed
        return Opinion(lead.answer, min(lead.confidence, 1.0), lead.reason or ("one_teacher" if few else ""), votes.ballots)

    @cached_property
    def estimates(self) -> Mapping[str, float]:
        from cotforge.consensus import em  # numpy: where something is learned

        return dict(em.one_coin(em.ground(self._rows.votes, label=self.setting.label != "ignore")).teachers)

    @property
    def twins(self) -> Mapping[str, str]:
        return {}

    @property
    def bins(self) -> Sequence[Bin]:
        judged = self._checked
        return bins([(one.confidence, one.right, one.times) for one in judged]) if sum(one.times for one in judged) >= FEW else []

    @cached_property
    def claim(self) -> Claim:
        return claimed(self._checked, posterior=self._posterior() if self._rule.posterior else None)

    @cached_property
    def _checked(self) -> list[Checked]:
        """What the rule says of Samples that people checked, as if they had not."""
        gold, found = self.setting.gold.answers, list[Checked]()
        for sample, heard, times in self._rows.checked:
            if sample.id in gold:
                plain = self._plain(_ballots(heard), sample.label, sample.options)
                right, with_label = plain.answer == gold[sample.id], plain.answer == sample.label
                found.append(Checked(plain.confidence, plain.accepted, right, with_label, times))
        return found

    def _posterior(self) -> float | None:
        """Mean confidence in accepted answers that nobody checked; None where there is none."""
        votes: Iterable[tuple[Verdict, int]] = chain(
            ((self._plain(ballots, label, options), times) for ballots, label, options, times in self._rows.votes.samples()),
            ((self._plain(_ballots(heard), one.label, one.options), -times) for one, heard, times in self._rows.checked),
        )
        accepted = [(times * verdict.confidence, times) for verdict, times in votes if verdict.accepted]
        count = sum(times for _, times in accepted)
        return fsum(share for share, _ in accepted) / count if count else None

    def _plain(self, ballots: Iterable[Ballot], label: str | None, options: tuple[str, ...]) -> Verdict:
        """The verdict on a Sample that nobody checked."""
        votes = poll(ballots, label if self.setting.label == "vote" else None, options)
        return settle(self._judged(votes), Sample("", (), "", options, label), self._unchecked)


def _ballots(heard: Sequence[Heard]) -> list[Ballot]:
    """A readable answer is a ballot, whatever becomes of its text."""
    return [Ballot(one.voter, one.answer) for one in heard if one.answer is not None]
