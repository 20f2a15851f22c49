"""`label_match` and `cascade`: teachers are asked in one order until one says the raw label, which is then accepted.

`label_match` asks the first of the order alone, `cascade` one after another. Nothing is learned, there is no warm-up, and no label is
repaired.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cotforge.consensus.decider import Decider, Heard, Opinion, Rows, Setting
from cotforge.consensus.sequential.rule import Sequential
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.waves import Waves
from cotforge.records import Ballot, Sample, VoteReason


class UntilLabel(Sequential):
    """A rule that waits for a teacher to say the label."""

    def __init__(self, name: str, *, most: int | None = None, cheap_first: bool = False) -> None:
        """`most`: teachers asked about one Sample; `cheap_first`: whether the usual order begins with the cheapest."""
        self.name, self.most, self._cheap_first = name, most, cheap_first

    @property
    def targeted(self) -> bool:
        return False

    @property
    def learns(self) -> bool:
        return False

    def rows(self, setting: Setting) -> "LabelRows":  # type: ignore[override]
        return LabelRows(setting)

    def learn(self, rows: Rows) -> Decider:
        return LabelDecider(rows, self.order(rows.setting.terms))

    def usual(self, prices: Mapping[str, float]) -> tuple[str, ...]:
        """The order where none is told, of teachers in theirs with what a Call to each costs."""
        return tuple(sorted(prices, key=lambda name: prices[name] if self._cheap_first else 0.0))

    def order(self, terms: Terms) -> tuple[str, ...]:
        """Who is asked in turn: as the terms tell, else as is usual."""
        ranked = terms.order or self.usual({voter.name: voter.price for voter in terms.voters})
        return ranked[: min(most for most in (self.most, terms.max_calls, len(ranked)) if most is not None)]

    # while asking

    def waves(self, total: int, gold: Collection[str], seed: int = 0) -> Waves:
        return NoWarmUp(total, gold, seed)

    def evidence(self, terms: Terms, pictures: object = None) -> Any:
        return Nothing()

    def first(self, terms: Terms) -> Any:
        return LabelPolicy(self.order(terms))


class NoWarmUp(Waves):
    """Every Sample in one wave, and nobody asked but in turn."""

    def __init__(self, total: int, gold: Collection[str] = (), seed: int = 0) -> None:
        super().__init__(total, gold, seed)
        self.whole = 0
        self._needs = [-1]

    def place(self, id: str) -> tuple[int, bool]:
        return 0, False

    def hasty(self, wave: int) -> bool:
        return False


class Nothing:
    """What is learned from where nothing is."""

    def add(self, wave: int, **said: object) -> None:
        """Nothing is kept."""

    def parted(self, terms: Terms) -> Terms:
        """The terms as they are."""
        return terms


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """Whom to ask next, by the order alone."""

    order: tuple[str, ...]

    def next(
        self,
        label: str | None,
        answers: Mapping[str, str | None],
        probabilities: Mapping[str, float] | None = None,
        *,
        without: Collection[str] = (),
    ) -> str | None:
        """The teacher to ask next, never one in `answers` or `without`; None where one said the label, or there is none to say."""
        if label is None or self.accepted(label, answers) is not None:
            return None
        return next((name for name in self.order if name not in answers and name not in without), None)

    def accepted(
        self, label: str | None, answers: Mapping[str, str | None], probabilities: Mapping[str, float] | None = None
    ) -> str | None:
        """The label, where a teacher of the order said it."""
        return label if label is not None and any(answers.get(name) == label for name in self.order) else None


class LabelRows(Rows):
    """Only the Samples that people checked."""

    def count(self, sample: Sample, heard: Sequence[Heard], times: int) -> None:
        """Nothing is kept."""


class LabelDecider(Decider):
    """The label, where somebody says it."""

    def __init__(self, rows: Rows, order: tuple[str, ...]) -> None:
        super().__init__(rows)
        self._order = order

    def opinion(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        """The confidence is the share of the teachers asked, and the label, that say it."""
        if sample.label is None:
            return Opinion(None, 0.0, "label_missing")
        said = {one.voter: one.answer for one in heard}
        asked, lacking, found = list[str](), list[str](), False
        for name in self._order:
            if name not in said:
                lacking.append(name)
                continue
            asked.append(name)
            if found := said[name] == sample.label:
                break
        ballots = tuple(Ballot(name, answer) for name in asked if (answer := said[name]) is not None)
        wanted = tuple(lacking[:1])
        if found:
            return Opinion(sample.label, 2 / (len(asked) + 1), "", ballots, tuple(asked), wanted)
        reason: VoteReason = "not_asked" if lacking else "label_gate" if ballots else "no_ballots"
        return Opinion(None, 0.0, reason, ballots, tuple(asked), wanted)

    @property
    def estimates(self) -> Mapping[str, float]:
        """None: those asked later are asked about the hard ones alone."""
        return {}

    @property
    def twins(self) -> Mapping[str, str]:
        return {}


LABEL_MATCH = UntilLabel("label_match", most=1)
CASCADE = UntilLabel("cascade", cheap_first=True)
