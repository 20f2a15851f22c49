"""One vote for every rule: `Rule.learn(rows)` makes a `Decider`, and people's answers and the label's gate come last, in one place.

A rule is a file of its own and an entry in `rules.RULES`. It says how Samples are counted (`Rows`), and what follows from them: a Decider,
which judges a Sample by what was said of it alone (`opinion`). `curate`, `decide` and `what_if` all take their verdicts from here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import fsum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cotforge.consensus.claim import FEW, Bin, Claim, Expected, HeldOut, calibration_bins, make_claim
from cotforge.consensus.drawn import hash_place, sampling_weights
from cotforge.consensus.image.admitted import Admission
from cotforge.consensus.promise import Promised, make_promise
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.waves import Waves
from cotforge.records import Ballot, Gold, Sample, Verdict, VoteReason

if TYPE_CHECKING:
    from cotforge.consensus.image.samples import SamplePictures

LabelRole = Literal["vote", "gate", "ignore"]
"""What the raw label does: it is one more voter, the answer must equal it, or it is only reported."""


class Heard(NamedTuple):
    """What came of one Call."""

    voter: str
    """The teacher's name, with `:short` behind it where it was asked for its answer alone."""
    answer: str | None
    """None where it could not be read, or did not come."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    replied: bool = True
    passing: bool = False
    """Whether it did not come for a reason that may pass."""
    probability: float | None = None
    """Of the answer, as its teacher itself gave it; None where that is not known, which is no evidence."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a vote is about, whatever was said."""

    terms: Terms
    label: LabelRole = "vote"
    gold: Gold = field(default_factory=Gold)
    waves: Waves = field(default_factory=lambda: Waves(0))
    """Which Samples are asked when, under a rule that asks in turn."""
    priced: bool = True
    """Whether the terms hold the voters' prices; else they are what replies of the warm-up took."""
    pictures: "SamplePictures | None" = None
    """Features of the Samples' pictures, where they may vote: then `terms.image`."""

    @property
    def teachers(self) -> int:
        """How many there are."""
        return len({voter.teacher for voter in self.terms.voters})

    def checked(self, id: str) -> bool:
        """Whether a person looked at the Sample."""
        return id in self.gold.answers or id in self.gold.ambiguous


class Opinion(NamedTuple):
    """What a rule makes of one Sample, before people's answers and the label's gate."""

    answer: str | None
    """The leading answer; None on a tie, or where nobody says it."""
    confidence: float
    """In [0, 1]."""
    reason: VoteReason
    """Why the rule does not accept it; empty where it does."""
    ballots: tuple[Ballot, ...] = ()
    asked: tuple[str, ...] = ()
    """Voters on whose answers it rests, in turn."""
    lacking: tuple[str, ...] = ()
    """Voters who would be asked next and have not answered."""


class Rows(ABC):
    """What was said of all Samples, equal ones counted once: memory follows the distinct ways of answering."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.checked: list[tuple[Sample, tuple[Heard, ...], int]] = []
        """One by one, those that people checked."""

    def add(self, sample: Sample, heard: Sequence[Heard], times: int = 1) -> None:
        """Count one Sample in, or several alike."""
        self.count(sample, heard, times)
        if self.setting.checked(sample.id):
            self.checked.append((Sample(sample.id, (), "", sample.options, sample.label), tuple(heard), times))

    @abstractmethod
    def count(self, sample: Sample, heard: Sequence[Heard], times: int) -> None:
        """What the rule itself keeps of it."""


class Decider(ABC):
    """A rule that has learned what it needs. It travels to other processes."""

    def __init__(self, rows: Rows) -> None:
        self.setting = rows.setting
        self._checked = sorted(rows.checked, key=lambda one: one[0].id)  # sums of floats do not depend on who ended first

    def __getstate__(self) -> dict[str, Any]:
        """Figures are computed where the rows were, and do not travel; what became of the promise does."""
        return {**self.__dict__, "promised": self.promised, "_checked": []}

    @cached_property
    def claim(self) -> Claim:
        """About accepted answers that nobody checked, of all rows it was made from."""
        # What a rule expects it expects before the gate, which lets the surer ones pass.
        return make_claim(map(self._under_promise, self.held_out), self.expected if self.setting.label != "gate" else None)

    @cached_property
    def promised(self) -> Promised | None:
        """What became of the promise, by all rows it was made from; None where none is wanted."""
        wish = self.setting.terms.promise
        return None if wish is None else make_promise(wish, self.held_out, least=self.least)

    @property
    def least(self) -> float:
        """The least confidence that a promise may accept, of an answer that the rule accepts itself."""
        return 0.0

    def _under_promise(self, one: HeldOut) -> HeldOut:
        """The same under the promise."""
        return one if self.promised is None or self.promised.allows(one.confidence) else one._replace(accepted=False)

    @property
    def bins(self) -> Sequence[Bin]:
        """Points of a calibration plot, where people checked enough."""
        found = [(one.confidence, one.right, one.times) for one in self.held_out]
        return calibration_bins(found) if sum(times for _, _, times in found) >= FEW else []

    @cached_property
    def held_out(self) -> Sequence[HeldOut]:
        """What it says of the Samples that people checked, as if nobody had: its own verdict with the label's gate."""
        shares = sampling_weights((sample.id for sample, _, _ in self._checked), self.setting.gold.drawn)
        plain = replace(self.setting, gold=Gold())
        return [
            self._held_out(sample, heard, plain)._replace(weight=shares[sample.id], place=hash_place(sample.id), times=times)
            for sample, heard, times in self._checked
        ]

    @property
    def accepted_apart(self) -> Mapping[str, bool]:
        """Of each Sample that people checked: whether its answer is accepted as if nobody had."""
        pairs = zip(self._checked, self.held_out, strict=True)
        return {sample.id: self._under_promise(one).accepted for (sample, _, _), one in pairs}

    def _held_out(self, sample: Sample, heard: Sequence[Heard], plain: Setting) -> HeldOut:
        """`plain` is the setting without gold."""
        gold = self.setting.gold
        verdict = settle_verdict(self.opinion_apart(sample, heard), sample, plain)
        return HeldOut(
            accepted=verdict.accepted,
            right=sample.id in gold.answers and verdict.answer == gold.answers[sample.id],
            told=sample.id in gold.answers,
            agrees=None if sample.label is None else verdict.answer == sample.label,
            answer=verdict.answer if sample.options else None,
            confidence=verdict.confidence,
        )

    @property
    def expected(self) -> Expected | None:
        """What it expects of its own answers; None of a rule whose confidence gold has not calibrated."""
        return None

    @property
    @abstractmethod
    def estimates(self) -> Mapping[str, float]:
        """Each teacher's estimated accuracy in [0, 1]."""

    @property
    @abstractmethod
    def twins(self) -> Mapping[str, str]:
        """Teachers that are another one behind a second name, with that name."""

    @property
    def admission(self) -> Admission | None:
        """Whether pictures were heard; None where there are no features of them."""
        return None

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences for the user about how it came to its verdicts, where that is not as usual."""
        return ()

    @abstractmethod
    def opinion(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        """What the rule says of a Sample, whatever people found."""

    def posterior(self, sample: Sample, heard: Sequence[Heard]) -> Mapping[str, float]:
        """Probability of each answer given, and of the raw label, whatever people found; empty where nobody answered.

        What is missing to 1 lies on answers that nobody gave. A rule without a model of its teachers has its confidence alone.
        """
        opinion = self.opinion(sample, heard)
        shares = {opinion.answer: opinion.confidence} if opinion.answer is not None else {}
        return with_label(shares, sample)

    def answer_shares(self, sample: Sample, heard: Sequence[Heard]) -> Mapping[str, float]:
        """Probability, or share of the votes, of each answer by the rule itself, whatever people found; empty where it has none.

        What is missing to 1 lies on answers that nobody gave.
        """
        return {}

    def soft_label(self, sample: Sample, heard: Sequence[Heard]) -> tuple[tuple[str, float], ...]:
        """(answer, probability) of every option with a probability above 0, in the options' order; they sum to 1.

        An answer that people checked has 1. Empty for a free answer, and where the rule has no probabilities.
        """
        true = self.setting.gold.answers.get(sample.id)
        return spread_shares({true: 1.0} if true is not None else self.answer_shares(sample, heard), sample.options)

    def opinion_apart(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        """What it says of a checked Sample where it has learned nothing from what people said of it."""
        return self.opinion(sample, heard)

    def verdict(self, sample: Sample, heard: Sequence[Heard]) -> tuple[Verdict, frozenset[str]]:
        """(the verdict on one Sample, the voters who would be asked about it next)."""
        opinion = self.opinion(sample, heard)
        return self.settled(opinion, sample), frozenset(opinion.lacking)

    def settled(self, opinion: Opinion, sample: Sample) -> Verdict:
        """The verdict that an opinion comes to, under the promise too."""
        found = settle_verdict(opinion, sample, self.setting)
        if self.promised is None or self.setting.checked(sample.id):
            return found
        if found.accepted and not self.promised.allows(found.confidence):
            return replace(found, accepted=False, reason="below_target", label_conflict=False, unpromised=True)
        # Who is asked in turn is asked for the target that the promise needs, which may be above the wanted one.
        return replace(found, unpromised=found.reason == "below_target" and found.confidence >= self.setting.terms.target)


class Rule(ABC):
    """One way of agreeing: a file of its own and an entry in `rules.RULES`."""

    name: str
    """As the pipeline file has it."""

    @property
    def targeted(self) -> bool:
        """Whether its confidence is a posterior that has to reach `target`."""
        return False

    @property
    def learns(self) -> bool:
        """Whether it must have seen all rows before it can judge any."""
        return False

    @property
    def in_turn(self) -> bool:
        """Whether teachers are asked one after another; else everybody is asked everything."""
        return False

    @abstractmethod
    def rows(self, setting: Setting) -> Rows:
        """Empty ones, to be filled in any order."""

    @abstractmethod
    def learn(self, rows: Rows) -> Decider:
        """What follows from rows that this rule made. Under a rule that learns it may take seconds."""


def with_label(shares: Mapping[str, float], sample: Sample) -> Mapping[str, float]:
    """The same with the raw label: one that nobody gave has its part of what is missing to 1."""
    if not shares or sample.label is None or sample.label in shares:
        return shares
    unnamed = max(len(sample.options) - len(shares), 1)
    return {**shares, sample.label: max(1 - fsum(shares.values()), 0.0) / unnamed}


def spread_shares(shares: Mapping[str, float], options: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Shares of a closed set that sum to 1: options without a share have equal parts of what is missing. Empty without shares."""
    if not shares or not options:
        return ()
    unnamed = len(options) - sum(option in shares for option in options)
    rest = max(1 - fsum(shares.values()), 0.0) / unnamed if unnamed else 0.0
    given = [(option, shares.get(option, rest)) for option in options]
    whole = fsum(share for _, share in given)
    return tuple((option, share / whole) for option, share in given if share > 0) if whole > 0 else ()


def settle_verdict(opinion: Opinion, sample: Sample, setting: Setting) -> Verdict:
    """The verdict: what people say stands above the rule, and above the label's gate."""
    ballots = opinion.ballots
    if sample.id in setting.gold.ambiguous:
        return Verdict(None, 0.0, False, "ambiguous", ballots)
    true = setting.gold.answers.get(sample.id)
    if true is not None:
        said = any(ballot.answer == true for ballot in ballots)
        return _make_verdict(true, 1.0 if said else 0.0, "" if said else _why_gold_unsaid(opinion), sample, ballots)
    reason = opinion.reason
    if not reason and setting.label == "gate" and sample.label != opinion.answer:
        reason = "label_missing" if sample.label is None else "label_gate"
    return _make_verdict(opinion.answer, min(opinion.confidence, 1.0), reason, sample, ballots)


def _why_gold_unsaid(opinion: Opinion) -> VoteReason:
    """Why an answer of people that no teacher gave is not accepted."""
    if opinion.lacking:
        return "not_asked"
    return "not_wanted" if opinion.reason == "not_wanted" else "gold_unsaid"


def _make_verdict(answer: str | None, confidence: float, reason: VoteReason, sample: Sample, ballots: tuple[Ballot, ...]) -> Verdict:
    conflict = not reason and sample.label is not None and sample.label != answer
    return Verdict(answer, confidence, not reason, reason, ballots, conflict)
