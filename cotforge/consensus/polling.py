"""Rules that ask everybody: each judges the poll of one Sample, at most by what all polls taught it about the voters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cotforge.consensus.annotators import Matrices, OneCoin
from cotforge.consensus.decider import Decider, Heard, Opinion, Rows, Rule, Setting, with_label
from cotforge.consensus.poll import Poll, PollLead, make_poll
from cotforge.consensus.votes import Votes
from cotforge.records import Ballot, Sample


class Polls(Rows):
    """The ballots of all Samples."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.votes = Votes()

    def count(self, sample: Sample, heard: Sequence[Heard], times: int) -> None:
        self.votes.add(_readable_ballots(heard), sample.label, sample.options, times)


@dataclass(frozen=True)
class PollRule(Rule):
    """A rule by what it makes of a poll."""

    name: str
    lead: Callable[[Poll, Any, float], PollLead]
    """(poll, what `model` gave, target) to the leading answer. A function that other processes can import."""
    model: Callable[[Votes, bool], Any] | None = None
    """(all votes, whether the label votes) to what only `lead` can read; None where nothing is learned."""
    posterior: bool = False
    """Whether the confidence is a posterior."""
    shares: Callable[[Poll, Any], Mapping[str, float]] | None = None
    """(poll, what `model` gave) to the probability, or share of the votes, of each answer; None of a rule without such."""

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
        super().__init__(rows)
        self._rows, self._rule, self._model = rows, rule, model
        self._needed = min(rows.setting.teachers, 2)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_rows": Polls(self.setting)}

    def opinion(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        return self._judge_votes(self._poll_of(sample, heard))._replace(asked=tuple(dict.fromkeys(one.voter for one in heard)))

    def _poll_of(self, sample: Sample, heard: Sequence[Heard]) -> Poll:
        """The ballots about a Sample, with its label where that votes."""
        return make_poll(_readable_ballots(heard), sample.label if self.setting.label == "vote" else None, sample.options)

    def answer_shares(self, sample: Sample, heard: Sequence[Heard]) -> Mapping[str, float]:
        poll = self._poll_of(sample, heard)
        return self._rule.shares(poll, self._model) if self._rule.shares is not None and poll.ballots else {}

    def _judge_votes(self, votes: Poll) -> Opinion:
        """The answer must come from at least two teachers, unless there is only one, and never from the label alone."""
        if not votes.ballots:
            return Opinion(None, 0.0, "no_ballots")
        lead = self._rule.lead(votes, self._model, self.setting.terms.target)
        few = votes.supporters(lead.answer) < self._needed
        return Opinion(lead.answer, min(lead.confidence, 1.0), lead.reason or ("one_teacher" if few else ""), votes.ballots)

    def posterior(self, sample: Sample, heard: Sequence[Heard]) -> Mapping[str, float]:
        given = _readable_ballots(heard)
        if not given:
            return {}
        label = sample.label if self.setting.label != "ignore" else None
        return with_label(self._fitted_annotators.posterior(make_poll(given, label, sample.options)), sample)

    @cached_property
    def _fitted_annotators(self) -> Matrices | OneCoin:
        """What Dawid and Skene's model finds of the voters: posteriors, whatever the rule."""
        from cotforge.consensus import em  # numpy: where something is learned

        return em.fit_annotators(self._rows.votes, label=self.setting.label != "ignore")

    @property
    def least(self) -> float:
        return self.setting.terms.target if self._rule.targeted else 0.0

    @cached_property
    def estimates(self) -> Mapping[str, float]:
        from cotforge.consensus import em  # numpy: where something is learned

        return dict(em.one_coin(em.vote_arrays(self._rows.votes, label=self.setting.label != "ignore")).teachers)

    @property
    def twins(self) -> Mapping[str, str]:
        return {}


def _readable_ballots(heard: Sequence[Heard]) -> list[Ballot]:
    """A readable answer is a ballot, whatever becomes of its text."""
    return [Ballot(one.voter, one.answer) for one in heard if one.answer is not None]
