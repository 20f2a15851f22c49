"""A run's journal as a table of answers, with everything else that a vote over it needs."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Literal

import polars as pl

from cotforge.consensus import Heard
from cotforge.consensus.sequential import Waves
from cotforge.consensus.sequential.terms import SHORT, mean_prices
from cotforge.curation import Curation
from cotforge.errors import PipelineError

Unit = Literal["usd", "seconds", "calls"]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the teachers said of a run's Samples."""

    frame: pl.DataFrame
    """Columns id, teacher, answer, probability; in the pipeline's order."""
    labels: Mapping[str, str | None]
    classes: tuple[str, ...] | None
    """The closed set that all Samples share; None where they share none."""
    prices: Mapping[str, float]
    """Of one Call of each teacher in the mean."""
    unit: Unit
    samples: int
    """Sound ones in the source, also those of which nothing was heard."""
    met: Mapping[str, float] = field(default_factory=dict)
    """The price of one Call of each teacher as the warm-up met it: by these a run chooses whom to ask."""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The closed set of each Sample, where they share none."""

    @property
    def readable(self) -> int:
        """Calls whose answer could be read."""
        return len(self.frame) - self.frame["answer"].null_count()


@dataclass(slots=True)
class _Spent:
    usd: float = 0.0
    seconds: float = 0.0
    replies: int = 0


@dataclass(slots=True)
class _Columns:
    """Rows as numbers: strings would take ten times the memory."""

    id: "array[int]" = field(default_factory=lambda: array("i"))
    teacher: "array[int]" = field(default_factory=lambda: array("i"))
    answer: "array[int]" = field(default_factory=lambda: array("i"))
    probability: "array[float]" = field(default_factory=lambda: array("d"))
    """NaN: unknown."""
    texts: dict[str | None, int] = field(default_factory=dict)

    def add(self, id: int, teacher: int, answer: str | None, probability: float | None) -> None:
        self.id.append(id)
        self.teacher.append(teacher)
        self.answer.append(self.texts.setdefault(answer, len(self.texts)))
        self.probability.append(nan if probability is None else probability)

    def frame(self, ids: Iterable[str], teachers: Iterable[str]) -> pl.DataFrame:
        texts: tuple[Iterable[str | None], ...] = (ids, teachers, self.texts)
        places = (self.id, self.teacher, self.answer)
        columns = [pl.Series([*words], dtype=pl.String).gather(pl.Series(place)) for words, place in zip(texts, places, strict=True)]
        known = pl.Series(self.probability, dtype=pl.Float64).fill_nan(None)
        return pl.DataFrame(dict(zip(("id", "teacher", "answer", "probability"), (*columns, known), strict=True)))


def answer_table(curation: Curation, waves: Waves) -> Answers:
    """All that the journal holds; `waves` are those of the run. Raises PipelineError where no teacher ever replied."""
    pipeline = curation.loaded.pipeline
    teachers = {teacher.name: place for place, teacher in enumerate(pipeline.teachers)}
    spent, took = {name: _Spent() for name in teachers}, {name: list[tuple[float, float]]() for name in teachers}
    columns, labels, options = _Columns(), dict[str, str | None](), dict[str, tuple[str, ...]]()
    samples, sure = 0, pipeline.consensus.asks_logprobs
    for sample, all_heard in curation.heard():
        samples += 1
        heard = [one for one in all_heard if not one.voter.endswith(SHORT)]
        if not heard:
            continue
        warm = waves.wave(sample.id) == 0
        for one in heard:
            columns.add(len(labels), teachers[one.voter], one.answer, one.probability if sure else None)
            _count_spent(spent[one.voter], one)
            if warm and one.replied:
                took[one.voter].append((one.cost_usd, one.seconds))
        labels[sample.id], options[sample.id] = sample.label, sample.options
    if not any(one.replies for one in spent.values()):
        raise PipelineError(f"{curation.journal.path}: holds no reply to what this pipeline asks; cotforge build asks the teachers")
    sets = {tuple(sorted(own)) for own in set(options.values())}
    classes = next(iter(sets)) if len(sets) == 1 else ()
    prices_, unit = _mean_prices(spent)
    own = {} if classes and curation.setting.terms.options else options
    return Answers(columns.frame(labels, teachers), labels, classes or None, prices_, unit, samples, mean_prices(took), own)


def _count_spent(spent: _Spent, heard: Heard) -> None:
    if heard.replied:
        spent.usd += heard.cost_usd
        spent.seconds += heard.seconds
        spent.replies += 1


def _mean_prices(spent: Mapping[str, _Spent]) -> tuple[dict[str, float], Unit]:
    """The mean price of a reply of each teacher: in dollars where any costs some, else in the seconds it takes."""
    if any(one.usd for one in spent.values()):
        return {name: one.usd / max(one.replies, 1) for name, one in spent.items()}, "usd"
    if any(one.seconds for one in spent.values()):
        return {name: one.seconds / max(one.replies, 1) for name, one in spent.items()}, "seconds"
    return dict.fromkeys(spent, 1.0), "calls"
