"""Trivial statistics for the tests of asking in turn: waves by rank, and policies that anybody can follow by hand.

As a program it forges a pipeline with them, for the tests that kill it: `python -m tests.guide pipeline.yaml RUN SECONDS`, which are those
that learning takes.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cotforge.consensus import sequential
from cotforge.consensus.sequential import Terms
from cotforge.consensus.sequential.rule import Sequential
from cotforge.consensus.sequential.terms import SHORT
from cotforge.forge import Progress, TeacherCounts
from cotforge.order import sample_rank
from cotforge.session import RunSession

AUDIT = 10
"""One Sample in so many, of those after the warm-up, is asked about of everybody."""


class Waves(sequential.Waves):
    """A warm-up of a given share, then waves of equal shares."""

    def __init__(self, gold: Collection[str] = (), *, count: int = 5, warm: float = 0.2, audit: int = AUDIT, whole: int = 0) -> None:
        super().__init__(0)
        self.gold, self._count, self.warm, self.audit, self.whole = frozenset(gold), count, warm, audit, whole

    @property
    def count(self) -> int:
        return self._count

    def place(self, id: str) -> tuple[int, bool]:
        place = sample_rank(id) / 2**64
        wave = 0 if place < self.warm else 1 + int((place - self.warm) / (1 - self.warm) * (self.count - 1))
        return wave, wave == 0 or id in self.gold or (self.audit > 0 and sample_rank(id, 1) % self.audit == 0)

    def needs(self, wave: int) -> int:
        return (-1, 0, 0, 1, 1, 3)[wave]

    def hasty(self, wave: int) -> bool:
        return False


Row = tuple[int, str | None, tuple[tuple[str, str | None], ...], str | None]


@dataclass
class Evidence:
    """All that was added, whatever the order."""

    rows: list[Row] = field(default_factory=list)

    def add(self, wave: int, *, label: str | None, answers: Mapping[str, str | None], gold: str | None, **more: Any) -> None:
        self.rows.append((wave, label, tuple(sorted(answers.items())), gold))

    def parted(self, terms: Terms) -> Terms:
        return terms

    def upto(self, wave: int) -> list[Row]:
        return sorted((row for row in self.rows if row[0] <= wave), key=repr)


@dataclass(frozen=True)
class Policy:
    """Asks in a fixed order until so many voters, or one and the label, say the same."""

    order: Sequence[str]
    needed: int = 2

    def next(self, label: str | None, answers: Mapping[str, str | None], sure: Any = None, *, without: Collection[str] = ()) -> str | None:
        if self.accepted(label, answers) is not None:
            return None
        asked = {name.removesuffix(SHORT) for name in answers}
        short = bool(answers) and any(name.endswith(SHORT) for name in self.order)
        fits = [name for name in self.order if name.endswith(SHORT) == short and name.removesuffix(SHORT) not in asked]
        return next((name for name in fits if name not in without), None)

    def accepted(self, label: str | None, answers: Mapping[str, str | None], sure: Any = None) -> str | None:
        said = [answer for answer in answers.values() if answer is not None]
        enough = [answer for answer in said if said.count(answer) + (answer == label) >= self.needed]
        return min(enough, default=None)


def learn(terms: Terms, evidence: Evidence, upto: int, hasty: bool = False) -> Policy:
    """The order follows from what was said: whoever agrees with the label most often comes first."""
    agreed = {voter.name: 0.0 for voter in terms.voters}
    for _, label, answers, _ in evidence.upto(upto):
        for name, answer in answers:
            agreed[name] += answer == label
    return Policy(sorted(agreed, key=lambda name: (-agreed[name], name)))


class ByHand(Sequential):
    """The rule, with statistics that anybody can follow."""

    def __init__(self, waves: Callable[[int, Collection[str]], Waves], learn: Callable[..., Any]) -> None:
        self._waves, self._learn = waves, learn

    def waves(self, total: int, gold: Collection[str], seed: int = 0) -> Waves:
        return self._waves(total, gold)

    def evidence(self, terms: Terms, pictures: object = None) -> Evidence:  # type: ignore[override]
        return Evidence()

    def policy(self, terms: Terms, evidence: Any, upto: int, hasty: bool) -> Any:
        return self._learn(terms, evidence, upto, hasty)

    async def policy_apart(self, terms: Terms, evidence: Any, upto: int) -> Any:
        return None


def by_hand(*, seconds: float = 0.0, learned: list[tuple[int, int]] | None = None, **shape: Any) -> ByHand:
    """The whole; to learn takes so many seconds of somebody else's time, and leaves (upto, rows known) in `learned`."""

    def slowly(terms: Terms, evidence: Evidence, upto: int, hasty: bool) -> Policy:
        if learned is not None:
            learned.append((upto, len(evidence.upto(upto))))
        time.sleep(seconds)
        return learn(terms, evidence, upto)

    return ByHand(lambda total, gold: Waves(gold, **shape), slowly)


def forge(pipeline: Path, run: Path, rule: Sequential, sets: Sequence[str] = ()) -> Progress:
    """What came of forging a pipeline in a run folder."""
    with RunSession.open(pipeline, out=run, rule=rule, sets=sets) as opened:
        progress = Progress({teacher.name: TeacherCounts() for teacher in opened.loaded.pipeline.teachers})
        opened.forge(progress, {})
    return progress


if __name__ == "__main__":
    forge(Path(sys.argv[1]), Path(sys.argv[2]), by_hand(seconds=float(sys.argv[3])))
