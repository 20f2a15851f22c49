"""`label_match` and `cascade`: teachers are asked in one order until one says the raw label, which is then accepted.

`label_match` asks the first of the order alone, `cascade` one after another. Nothing is learned, there is no warm-up, and no label is
repaired.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from cotforge.consensus.claim import Bin, Checked, Claim, claimed
from cotforge.consensus.decider import Decider, Heard, Opinion, Rows, Setting, settle
from cotforge.consensus.sequential.rule import Sequential
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.waves import Waves
from cotforge.records import Ballot, Gold, Sample


class UntilLabel(Sequential):
    """A rule that waits for a teacher to say the label."""

    def __init__(self, name: str, most: int | None = None) -> None:
        """`most`: teachers that are asked about one Sample."""
        self.name, self.most = name, most

    @property
    def targeted(self) -> bool:
        return False

    def rows(self, setting: Setting) -> "LabelRows":
        return LabelRows(setting)

    def learn(self, rows: Rows) -> Decider:
        assert isinstance(rows, LabelRows)
        return LabelDecider(rows, self.order(rows.setting.terms))

    def order(self, terms: Terms) -> tuple[str, ...]:
        """Who is asked in turn: as told, else the cheapest first, and of equal ones as they stand."""
        ranked = terms.order or tuple(voter.name for voter in sorted(terms.voters, key=lambda voter: voter.price))
        return ranked[: min(most for most in (self.most, terms.max_calls, len(ranked)) if most is not None)]

    # while asking

    def waves(self, total: int, gold: Collection[str], seed: int = 0) -> Waves:
        return NoWarmUp(total, gold, seed)

    def evidence(self, terms: Terms) -> "Nothing":  # type: ignore[override]
        return Nothing()

    def policy(self, terms: Terms, evidence: object, upto: int, hasty: bool) -> "LabelPolicy":  # type: ignore[override]
        return LabelPolicy(self.order(terms))

    async def policy_apart(self, terms: Terms, evidence: object, upto: int) -> None:
        """None: there is nothing that would take long."""


class NoWarmUp(Waves):
    """Every Sample in one wave, which is begun at once: the one before it is empty."""

    def __init__(self, total: int, gold: Collection[str] = (), seed: int = 0) -> None:
        super().__init__(0, (), seed)
        self.whole = 0
        self._needs = [-1, 0]

    def wave(self, id: str) -> int:
        return 1

    def of_rank(self, rank: int) -> int:
        return 1

    def everybody(self, id: str) -> bool:
        return False

    def hasty(self, wave: int) -> bool:
        return False


class Nothing:
    """What is learned from where nothing is."""

    def add(self, wave: int, **said: object) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """Whom to ask next, by the order alone."""

    order: tuple[str, ...]

    def next(self, label: str | None, answers: Mapping[str, str | None], *, without: Collection[str] = ()) -> str | None:
        """The teacher to ask next, never one in `answers` or `without`; None where one said the label, or there is none to say."""
        if label is None or self.accepted(label, answers) is not None:
            return None
        return next((name for name in self.order if name not in answers and name not in without), None)

    def accepted(self, label: str | None, answers: Mapping[str, str | None]) -> str | None:
        """The label, where a teacher of the order said it."""
        return label if label is not None and any(answers.get(name) == label for name in self.order) else None


class LabelRows(Rows):
    """One by one, the Samples that people checked."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.checked: list[tuple[Sample, tuple[Heard, ...], int]] = []

    def add(self, sample: Sample, heard: Sequence[Heard], times: int = 1) -> None:
        if self.setting.checked(sample.id):
            self.checked.append((Sample(sample.id, (), "", sample.options, sample.label), tuple(heard), times))


class LabelDecider(Decider):
    """The label, where somebody says it."""

    def __init__(self, rows: LabelRows, order: tuple[str, ...]) -> None:
        super().__init__(rows.setting)
        self._rows, self._order = rows, order

    def opinion(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        """The confidence is the share of the teachers asked, and the label, that say it."""
        said = {one.voter: one.answer for one in heard}
        if sample.label is None:
            return Opinion(None, 0.0, "label_missing")
        asked, lacking, found = list[str](), list[str](), False
        for name in self._order:
            if name not in said:
                lacking.append(name)
                continue
            asked.append(name)
            if found := said[name] == sample.label:
                break
        ballots = tuple(Ballot(name, answer) for name in asked if (answer := said[name]) is not None)
        if found:
            return Opinion(sample.label, 2 / (len(asked) + 1), "", ballots, tuple(asked), tuple(lacking[:0]))
        reason = "not_asked" if lacking else "label_gate" if ballots else "no_ballots"
        return Opinion(None, 0.0, reason, ballots, tuple(asked), tuple(lacking[:1]))  # type: ignore[arg-type]
