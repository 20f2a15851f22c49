"""`consensus.rule: sequential` of a pipeline: who is asked about which Sample, and when; what the statistics need to know of it.

Samples are asked about in waves. About those of the first, the warm-up, every voter is asked; what they say teaches a policy by which
the next waves are walked, and what these say teaches a better one. A voter is a teacher with a kind of Call: `qwen` for a whole trace,
`qwen:short` for a short vote.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from cotforge import consensus, gold
from cotforge.consensus.sequential import Terms, Voter
from cotforge.consensus.sequential.waves import LEAST
from cotforge.errors import PipelineError
from cotforge.gold import Gold
from cotforge.pipeline import Loaded, Pipeline
from cotforge.records import Call

SHORT = ":short"
"""Ends the name of a voter that gives short answers."""


class Waves(Protocol):
    """Which Samples are asked about when: it depends on their number, the ids with gold, and each id alone."""

    @property
    def count(self) -> int:
        """How many waves there are; 0 is the warm-up."""

    @property
    def whole(self) -> int:
        """About how many Samples every voter is asked, all at once."""

    def wave(self, id: str) -> int:
        """That of a Sample."""

    def everybody(self, id: str) -> bool:
        """Whether every voter is asked about a Sample, all at once."""

    def needs(self, wave: int) -> int:
        """The last wave that must be over before the policy of this one is learned; -1 where nothing is."""

    def hasty(self, wave: int) -> bool:
        """Whether that policy is made in haste: it bridges the time in which one of the same evidence is made with care."""


class Evidence(Protocol):
    """What the voters said; the order of adding leaves no trace."""

    def add(
        self,
        wave: int,
        *,
        label: str | None,
        answers: Mapping[str, str | None],
        gold: str | None,
        everybody: bool,
        probabilities: Mapping[str, float],
    ) -> None:
        """The answers about one Sample, by voter; None of one that was asked and gave none. `probabilities`: of those that have one."""

    def parted(self, terms: Terms) -> Terms:
        """The terms with the cuts of confidence that the warm-up suggests."""


class Policy(Protocol):
    """Whom to ask next about a Sample, and whether what was said is enough."""

    def next(
        self, label: str | None, answers: Mapping[str, str | None], probabilities: Mapping[str, float], *, without: Collection[str] = ()
    ) -> str | None:
        """The voter to ask next, none of those asked or in `without`; None where it is over."""

    def accepted(self, label: str | None, answers: Mapping[str, str | None], probabilities: Mapping[str, float]) -> str | None:
        """The answer that is accepted on these grounds, if any."""


class Basis(NamedTuple):
    """What a policy is made of."""

    upto: int
    """The last wave that counts; -1 where nothing is learned."""
    hasty: bool


@dataclass(frozen=True, slots=True)
class Engine:
    """The statistics behind the rule; `ENGINE` unless a test brings simpler ones."""

    waves: Callable[[int, Collection[str]], Waves]
    """(how many Samples there are, ids with gold) to their waves."""
    evidence: Callable[[Terms], Evidence]
    learn: Callable[[Terms, Any, int, bool], Policy]
    """(terms with prices, evidence, last wave that counts, in haste) to a policy. It may take seconds."""
    apart: Callable[[Terms, Any, int], Awaitable[Policy | None]] | None = None
    """The same with care, in a process of its own; None where that could not be."""


@dataclass(frozen=True, slots=True)
class Guide:
    """The engine, for one pipeline and source."""

    pipeline: Pipeline
    engine: Engine
    waves: Waves
    gold: Gold = field(default_factory=Gold)
    total: int = 0
    """Samples, about: rows of the source."""

    @classmethod
    def of(cls, engine: Engine, loaded: Loaded, folder: Path, total: Callable[[], int]) -> Self:
        """The guide of a run in `folder`; `total` counts its Samples. Raises PipelineError where its gold is wrong, or voters too many."""
        if not terms(loaded.pipeline, {}).codable:
            count = len(voters(loaded.pipeline))
            raise PipelineError(f"{loaded.path}: teachers: {count} voters are too many to ask in turn; take fewer teachers, or full votes")
        found, samples = gold.find(loaded, folder), total()
        return cls(loaded.pipeline, engine, engine.waves(samples, found.answers.keys()), found, samples)

    def terms(self, prices: Mapping[str, float]) -> Terms:
        """The constants of the vote, where a Call to each voter has this price."""
        return replace(terms(self.pipeline, prices), total=self.total, whole=self.waves.whole)

    def basis(self, wave: int) -> Basis:
        """Of which the policy of a wave is made."""
        return Basis(self.waves.needs(wave), self.waves.hasty(wave))


def voter(call: Call) -> str:
    """Who is asked by a Call."""
    return f"{call.teacher}{SHORT}" if call.origin == "vote" else call.teacher


def voters(pipeline: Pipeline) -> tuple[str, ...]:
    """The names of all, in the order of the teachers, each before its short self."""
    ends = ("", SHORT) if pipeline.consensus.short_votes else ("",)
    return tuple(f"{teacher.name}{end}" for teacher in pipeline.teachers for end in ends)


def terms(pipeline: Pipeline, prices: Mapping[str, float]) -> Terms:
    """The constants of a pipeline's vote; rows with options of their own have no closed set in common."""
    rule, columns = pipeline.consensus, getattr(pipeline.source, "columns", None)
    closed = pipeline.task.kind == "classify" and getattr(columns, "options", None) is None
    return Terms(
        voters=tuple(Voter(name.removesuffix(SHORT), name.endswith(SHORT), prices.get(name, 1.0)) for name in voters(pipeline)),
        options=pipeline.task.closed if closed else (),
        target=rule.target,
        objective=rule.wanted,
        max_calls=rule.max_calls,
        label=rule.label == "vote",
    )


Took = Mapping[str, Sequence[tuple[float, float]]]
"""(dollars, seconds) of each reply in the warm-up, by voter."""


def prices(took: Took) -> dict[str, float]:
    """What a Call to each voter took in the warm-up, on average: dollars, where nobody has a price seconds, else 1.

    Of one that never answered, as much as of the others.
    """
    for kind in (0, 1):
        means = {name: fsum(each[kind] for each in all_of) / len(all_of) for name, all_of in took.items() if all_of}
        if any(means.values()):
            usual = fsum(means.values()) / len(means)
            return {name: means.get(name, usual) for name in took}
    return dict.fromkeys(took, 1.0)


def _evidence(about: Terms) -> Evidence:
    from cotforge.consensus.sequential.table import Evidence as Counted  # numpy: where something is learned

    return Counted(about)


def _learn(about: Terms, evidence: Any, upto: int, hasty: bool) -> Policy:
    from cotforge.consensus.sequential.learning import learn

    return learn(about, evidence, upto, hasty)


async def _apart(about: Terms, evidence: Any, upto: int) -> Policy | None:
    from cotforge.consensus.sequential.apart import learned

    return await learned(about, evidence, upto)


ENGINE = Engine(consensus.Waves, _evidence, _learn, _apart)


def saves_nothing(guide: Guide | None) -> list[str]:
    """The line about a run that is too small for asking in turn; none for any other, and without a guide."""
    if guide is None or not 0 < guide.total <= guide.waves.whole:
        return []
    few = f"all {guide.total:,} samples are warm-up, about which every teacher is asked"
    return [f"consensus.rule: 'sequential': {few}; it saves calls from more than {LEAST} samples on"]
