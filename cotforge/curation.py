"""Curating: from the journal to Lessons. It asks nothing, however often it runs.

A pure function of pipeline file, source, journal, and `difficulty.parquet` where `select.difficulty` goes by it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cotforge import selection
from cotforge.consensus import Decider, Heard
from cotforge.consensus.decider import Rows
from cotforge.consensus.drawn import even_part
from cotforge.consensus.simpler import SimplerTrial
from cotforge.curator import NOTHING_COMMON, Curator
from cotforge.findings import Finding
from cotforge.followups.frame import BarringFollowUp, Common
from cotforge.journal import Journal
from cotforge.parallel import Work, in_chunks, in_processes
from cotforge.pipeline import Loaded
from cotforge.records import CuratedSample, Fault, Gold, Judged, Sample
from cotforge.sample_finding import without_repeats
from cotforge.sequence import Guide, vote_setting
from cotforge.sources import not_only_faults

if TYPE_CHECKING:
    from cotforge.dedup.lesson_rule import LessonRule

MANY = 100_000
"""Attempts in the journal from which on other processes help (ours): below, starting them costs more time than they save."""

Samples = Callable[[], Iterator[Sample | Fault]]
"""Reads the source from its beginning; called again where a rule must see all ballots first, and where `select.per_class` is set."""


class Curation:
    """The curating of one run: `outcomes()` is read once, and `decider` then knows every ballot."""

    def __init__(
        self,
        loaded: Loaded,
        journal: Journal,
        samples: Samples,
        *,
        gold: Gold | None = None,
        guide: Guide | None = None,
        rows: Rows | None = None,
        repeats: "LessonRule | None" = None,
        many: int = MANY,
        common: Common | None = NOTHING_COMMON,
    ) -> None:
        """`guide`: of a run whose teachers are asked in turn; `rows`: what the journal has of all Samples, where that is counted already;
        `many`: attempts in the journal from which on other processes help; `common`: see `Curator`; `repeats`: which texts repeat others.
        """
        self.loaded, self.journal, self.samples = loaded, journal, samples
        self.setting = vote_setting(loaded.pipeline, gold) if guide is None else guide.setting
        self.curator = Curator(loaded, journal, common=common)
        self.measures = list(dict.fromkeys(bound.name for bound in self.curator.bounds))
        self._rule = loaded.pipeline.consensus.make_rule if guide is None else guide.rule
        self._first = self._rule.learns or self.setting.terms.promise is not None or rows is not None
        """Whether all Samples are heard before any is judged."""
        self.trial = SimplerTrial([teacher.name for teacher in loaded.pipeline.teachers])
        """What simpler rules would have done, as far as that is known."""
        checked = self.setting.gold
        self._even = frozenset(even_part([*checked.answers, *checked.ambiguous], checked.drawn))
        self._everybody = guide.waves.everybody if guide is not None else lambda id: True
        self._decider: Decider | None = None
        self._counted = rows
        self.repeats = repeats
        self._many = journal.latest() >= many

    def outcomes(self) -> Iterator[CuratedSample | Fault]:
        """One CuratedSample per sound Sample, in the source's order; a row's Fault in its place. Raises SourceError where all are."""
        return not_only_faults(self._curated_outcomes())

    def _curated_outcomes(self) -> Iterator[CuratedSample | Fault]:
        rows = self._counted or self._rule.rows(self.setting)
        if self._first and self._counted is None:
            for sample, said in self.heard():
                rows.add(sample, said)
        self._decider = self.curator.decider = self._rule.learn(rows)
        self.bar_teachers()
        self._cap_classes()
        for sample, found in self._map_samples(Curator.find_all):
            if isinstance(found, Fault):
                yield found
            else:
                if not self._first:
                    rows.add(sample, [Heard(ballot.teacher, ballot.answer) for ballot in found.verdict.ballots])
                if self.repeats is not None:
                    found = without_repeats(sample, found, self.repeats, self.curator.choose_lessons)
                self._try_simpler(sample, found.traces)
                yield found.outcome(sample)
        self._decider = self._rule.learn(rows) if not self._first else self._decider

    def _cap_classes(self) -> None:
        """Find which Samples `select.per_class` takes; where it is set, that reads the source and the journal once more."""
        self.curator.class_bounds = {}
        if self.curator.select.per_class is None:
            return
        cap = selection.ClassCap(self.curator.select.per_class)
        for sample, answer in self._map_samples(Curator.lesson_classes):
            if isinstance(answer, str):
                cap.add(answer, sample.id)
        self.curator.class_bounds = cap.bounds()

    def _try_simpler(self, sample: Sample, traces: Sequence[Judged]) -> None:
        """Note what simpler rules would have heard of a Sample."""
        said: dict[str, str | None] = {}
        for judged in traces:
            said.setdefault(judged.trace.teacher, judged.trace.answer)
            self.trial.spent(judged.trace.teacher, judged.trace.cost_usd)
        if said and self._everybody(sample.id):
            true = self.setting.gold.answers.get(sample.id)
            self.trial.add(sample.label, said.items(), true=true, checked=sample.id in self._even)

    def heard(self) -> Iterator[tuple[Sample, list[Heard]]]:
        """Every sound Sample with what the journal has of its Calls, in the source's order: what any other vote could be taken over."""
        return ((sample, found) for sample, found in self._map_samples(partial(_of_each, Curator.heard)) if not isinstance(found, Fault))

    def decided(self) -> Decider:
        """The rule, by all that the journal holds; no Sample is judged for it. Reads the source once, unless that is counted already."""
        if (rows := self._counted) is None:
            rows = self._rule.rows(self.setting)
            for sample, said in self.heard():
                rows.add(sample, said)
        self._decider = self.curator.decider = self._rule.learn(rows)
        return self._decider

    @property
    def bars(self) -> bool:
        """Whether a follow-up bars teachers by what it finds out over all Samples."""
        return any(isinstance(one, BarringFollowUp) for one in self.curator.follow_ups)

    @property
    def barred(self) -> frozenset[str]:
        """Teachers that a follow-up bars, as far as that is found out."""
        return self.curator.common.barred if self.curator.common is not None else frozenset()

    @property
    def is_barring(self) -> bool:
        """Whether it is still to be found out who is barred."""
        return self.curator.common is not None and self.curator.common.barring

    def begin_barring(self) -> None:
        """From now on only the Calls that tell who is barred follow the vote; see `Common.barring`."""
        self.curator.common = replace(self.curator.common or NOTHING_COMMON, barring=True, barred=frozenset())

    def bar_teachers(self) -> None:
        """Find out by the journal who is barred; the source is read once for each follow-up that bars, and not where none does."""
        if not self.bars:
            return
        self.begin_barring()
        barred = [one.bars(self._findings()) for one in self.curator.follow_ups if isinstance(one, BarringFollowUp)]
        self.curator.common = replace(self.curator.common or NOTHING_COMMON, barring=False, barred=frozenset().union(*barred))

    def _findings(self) -> Iterator[Finding]:
        for _, found in self._map_samples(partial(_of_each, Curator.findings)):
            if not isinstance(found, Fault):
                yield from found

    @property
    def rates(self) -> Mapping[str, float] | None:
        """Pass rates by the samples' ids; None where lessons are not selected by them."""
        return self.curator.rates if self.curator.reads_rates else None

    @property
    def optional_columns(self) -> tuple[str, ...]:
        """Columns of Lessons, or of Lessons and traces, that only this pipeline asks for."""
        pipeline = self.loaded.pipeline
        wanted = {"soft_label": pipeline.consensus.soft_labels, "segments": pipeline.weave is not None}
        wanted["language"] = self.curator.tells_language
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)

    @property
    def decider(self) -> Decider:
        """The rule, with all that `outcomes` has seen: how far it, and every teacher, can be trusted."""
        assert self._decider is not None, "outcomes() is read first"
        return self._decider

    def _map_samples(self, work: Work) -> Iterator[tuple[Any, Any]]:
        """(Sample, what `work` makes of it), or (None, Fault) for a row that is none, in order."""
        if not self._many:
            return in_chunks(self.samples(), work, self.curator)
        told = (self.curator.decider, self.curator.common, self.curator.class_bounds)
        asked = (str(self.loaded.path), self.loaded.sets, str(self.journal.path), *told)
        return in_processes(self.samples(), work, start=(Curator.again, asked))


def _of_each(work: Callable[[Curator, Sample], Any], curator: Curator, samples: Sequence[Sample]) -> list[Any]:
    return [work(curator, sample) for sample in samples]
