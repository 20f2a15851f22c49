"""Who is asked about which Sample, and when, under `consensus.rule: sequential`: what the statistics say, as the forge sees it.

Samples are asked about in waves. About those of the first, the warm-up, every voter is asked; what they say teaches a policy by which
the next waves are walked, and what these say teaches a better one. A voter is a teacher with a kind of Call: `qwen` for a whole trace,
`qwen:short` for a short vote.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, Self, TypeVar

from cotforge import gold
from cotforge.forge.walk import Policy, Walk
from cotforge.pipeline import Loaded, Pipeline
from cotforge.records import Call, Fault, Sample

SHORT = ":short"
"""Ends the name of a voter that gives short answers."""

T = TypeVar("T")


class Waves(Protocol):
    """Which Samples are asked about when: it depends on their number, the ids with gold, and each id alone."""

    @property
    def count(self) -> int:
        """How many waves there are; 0 is the warm-up."""

    def wave(self, id: str) -> int:
        """That of a Sample."""

    def everybody(self, id: str) -> bool:
        """Whether every voter is asked about a Sample, all at once."""

    def needs(self, wave: int) -> int:
        """The last wave that must be over before the policy of this one is learned; -1 where nothing is."""


class Evidence(Protocol):
    """What the voters said; the order of adding leaves no trace."""

    def add(self, wave: int, *, label: str | None, answers: Mapping[str, str | None], gold: str | None) -> None:
        """The answers about one Sample, by voter; None of one that was asked and gave none."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The statistics behind the rule."""

    waves: Callable[[int, Collection[str]], Waves]
    """(how many Samples there are, ids with gold) to their waves."""
    evidence: Callable[[], Evidence]
    learn: Callable[[Pipeline, Mapping[str, float], Any, int], Policy]
    """(pipeline, price of a Call by voter, evidence, last wave that counts) to a policy. It may take seconds."""


@dataclass(frozen=True, slots=True)
class Guide:
    """The engine, for one pipeline and source."""

    pipeline: Pipeline
    engine: Engine
    waves: Waves
    gold: Mapping[str, str]
    """id to answer."""

    @classmethod
    def of(cls, engine: Engine, loaded: Loaded, folder: Path, samples: Callable[[], Iterator[Sample | Fault]], limit: int | None) -> Self:
        """The guide of a run in `folder`. Raises PipelineError where its gold is wrong."""
        found = gold.find(loaded, folder).answers
        return cls(loaded.pipeline, engine, engine.waves(_total(loaded, samples, limit), found.keys()), found)

    @property
    def voters(self) -> tuple[str, ...]:
        """In the order of the teachers, each before its short self."""
        ends = ("", SHORT) if self.pipeline.consensus.short_votes else ("",)
        return tuple(f"{teacher.name}{end}" for teacher in self.pipeline.teachers for end in ends)

    def of_wave(self, wave: int, samples: Iterator[Sample | Fault], *, stopped: Callable[[], object] = bool) -> Iterator[Sample | Fault]:
        """The Samples of one wave, until `stopped`; Faults belong to the warm-up."""
        for sample in samples:
            if stopped():
                return
            if (0 if isinstance(sample, Fault) else self.waves.wave(sample.id)) == wave:
                yield sample


def voter(call: Call) -> str:
    """Who is asked by a Call."""
    return f"{call.teacher}{SHORT}" if call.origin == "vote" else call.teacher


class Notes:
    """What the walks of one reading have shown, and what is learned from it."""

    def __init__(self, guide: Guide) -> None:
        self._guide, self._evidence = guide, guide.engine.evidence()
        self._took: dict[str, list[tuple[float, float]]] = {name: [] for name in guide.voters}
        self._learning = asyncio.Lock()
        self._held: list[Walk] = []

    def add(self, walk: Walk) -> None:
        """A walk is over. While something is learned in a thread it is held back."""
        if self._learning.locked():
            self._held.append(walk)
            return
        if walk.wave == 0:
            for name, took in walk.took.items():
                self._took[name].append(took)
        if walk.answers:
            self._evidence.add(walk.wave, label=walk.label, answers=walk.answers, gold=self._guide.gold.get(walk.id))

    def learn(self, upto: int) -> Policy:
        """The policy that follows from the waves up to this one."""
        return self._guide.engine.learn(self._guide.pipeline, self.prices(), self._evidence, upto)

    async def learned(self, upto: int) -> Policy:
        """The same, in a thread."""
        async with self._learning:  # one after another: what was held back meanwhile belongs to the next
            policy = await _in_thread(lambda: self.learn(upto))
            held, self._held = self._held, []
        for walk in held:
            self.add(walk)
        return policy

    def prices(self) -> dict[str, float]:
        """What a Call to each voter took in the warm-up, on average: dollars, where nobody has a price seconds, else 1.

        Of one that never answered, as much as of the others.
        """
        for kind in (0, 1):
            means = {name: fsum(took[kind] for took in each) / len(each) for name, each in self._took.items() if each}
            if any(means.values()):
                usual = fsum(means.values()) / len(means)
                return {name: means.get(name, usual) for name in self._took}
        return dict.fromkeys(self._took, 1.0)


async def _in_thread(work: Callable[[], T]) -> T:
    """What `work` returns. Whoever is cancelled, or ends the loop, does not wait for it: an executor would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(how: Callable[[Any], object], what: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: done.done() or how(what))

    def run() -> None:
        try:
            found = work()
        except Exception as fault:
            tell(done.set_exception, fault)
        else:
            tell(done.set_result, found)

    Thread(target=run, name="learning", daemon=True).start()
    return await done


def _total(loaded: Loaded, samples: Callable[[], Iterator[Sample | Fault]], limit: int | None) -> int:
    """How many Samples there are, or rows where the source tells that quickly."""
    source, rows = loaded.pipeline.source, None
    with suppress(OSError):  # whoever reads the source for good tells what is wrong with it
        rows = source.size(loaded.root)
    if rows is None:
        rows = sum(isinstance(sample, Sample) for sample in samples())
    return min(rows, *(most for most in (limit, source.limit) if most is not None), rows)
