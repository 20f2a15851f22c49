"""A run from end to end: check, forge, curate, export. Everything that a command does, and the Python face calls."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Self

from cotforge import gold
from cotforge.budget import Purse
from cotforge.consensus.decider import Rows
from cotforge.consensus.drawn import even_part
from cotforge.consensus.sequential.rule import Sequential
from cotforge.coroutines import run_coroutine
from cotforge.curation import Curation
from cotforge.display import Display
from cotforge.early_end import CLOSED, ended_early
from cotforge.errors import Stopped, demand_count
from cotforge.estimate import LOOKED_AT, Estimate, Estimator, answered_elsewhere, asked_anew
from cotforge.estimate.prompt import shown_prompt
from cotforge.export.previous import Previous
from cotforge.folder import RunFolder, demand_apart
from cotforge.forge import Forge, PendingSample, Progress, TeacherCounts, missing_work
from cotforge.forge.batches import waiting_lines
from cotforge.forge.places import askable_together
from cotforge.forge.retry import Retry
from cotforge.forge.wave_tour import remaining_work, work_left
from cotforge.images import PictureStore, Sending
from cotforge.journal import Journal
from cotforge.notices import give_notice, give_notices
from cotforge.pipeline import Loaded, Pipeline
from cotforge.plan import plan_lines, plan_notes
from cotforge.records import Fault, Sample, Stop
from cotforge.refreshes import RefreshMarks
from cotforge.sample_reader import SampleReader
from cotforge.sequence import Guide, saves_nothing
from cotforge.sources import Counts, not_only_faults
from cotforge.sources.files import absolute_path
from cotforge.tally import claims
from cotforge.teachers.preflight import check_teachers

DRAIN_S = 30.0
"""Seconds that what is in flight has after SIGTERM."""
NOTHING_HELD_OUT = (
    "train: stands without eval:, so nothing will show how good the student is; add eval: {share: 0.1} before the build, "
    "because what a lesson was made of cannot be held out any more"
)


@dataclass
class RunSession:
    """One pipeline in one run folder, held by this process until it is closed."""

    loaded: Loaded
    folder: RunFolder
    journal: Journal
    store: PictureStore
    limit: int | None = None
    """Sound Samples, at most."""
    spreads: bool = True
    """Whether these are spread over the classes; else they are the first ones, as in a run folder of an earlier version."""
    rule: Sequential | None = None
    """How teachers are asked in turn; None for the pipeline's own rule."""
    again: Retry | None = None
    """Which Calls that came to nothing are asked anew in this invocation; None leaves that to how they failed."""
    begun: float = field(default_factory=time.monotonic)
    _open: ExitStack = field(default_factory=ExitStack)
    _heard: Rows | None = None
    """What was said of all Samples, once it is known that nothing is left to ask in turn."""
    _end: Callable[[], object] | None = None
    """Ends the asking from any thread, while it goes on."""

    def __post_init__(self) -> None:
        self.reader = self._open.enter_context(
            closing(SampleReader(self.loaded, self.store, self.limit, spreads=self.spreads, tell=give_notices))
        )

    @classmethod
    def open(
        cls,
        pipeline: str | Path | Pipeline,
        *,
        out: Path | None = None,
        sets: Sequence[str] = (),
        limit: int | None = None,
        rule: Sequential | None = None,
        trust: bool = True,
        sends: bool = True,
    ) -> Self:
        """The pipeline of a file, or the shipped one of that name, in `out` or `runs/<its name>`; `trust` and `sends` as in `Loaded.load`.

        Raises PipelineError where the file is wrong, JournalError where the folder is in use, of another pipeline, or cannot be kept.
        """
        if limit is not None:
            demand_count("limit", limit)
        loaded = Loaded.load(pipeline, sets, trust=trust, sends=sends)
        return cls._in_folder(loaded, out or Path("runs") / loaded.pipeline.name, limit, rule)

    @classmethod
    def reopen(cls, run: Path, *, sets: Sequence[str] = (), rule: Sequential | None = None, trust: bool = True) -> Self:
        """The run in a folder, by the pipeline file it came from. Raises PipelineError where the folder is no run."""
        loaded = Loaded.of_run(run, sets, trust=trust, sends=False)
        limit, spreads = loaded.limit(run)
        return cls._in_folder(loaded, run, limit, rule, spreads=spreads)

    @classmethod
    def _in_folder(cls, loaded: Loaded, out: Path, limit: int | None, rule: Sequential | None, *, spreads: bool = True) -> Self:
        demand_apart(out, absolute_path(loaded.root, loaded.pipeline.source.path))
        with ExitStack() as stack:
            folder = stack.enter_context(RunFolder(out, name=loaded.pipeline.name))
            journal = stack.enter_context(Journal(folder.journal))
            store = PictureStore(out, loaded.pipeline.images)
            stack.callback(store.close)
            loaded = loaded.in_run(out, new="content" if gold.names_content(loaded, out) else "path")
            give_notices(folder.notes())
            return cls(loaded, folder, journal, store, limit, spreads, rule, _open=stack.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def _sample_limit(self) -> int | None:
        """Most Samples that are read, by the command or by the file; None where all are."""
        return min((most for most in (self.limit, self.loaded.pipeline.source.limit) if most is not None), default=None)

    @property
    def _is_limited(self) -> bool:
        return self._sample_limit is not None

    def samples(self) -> Iterator[Sample | Fault]:
        """The source from its beginning, but for what `eval:` holds out; `counts` is of this reading from now on."""
        return self.reader.samples()

    @property
    def counts(self) -> Counts:
        """Of the latest reading of the source."""
        return self.reader.counts

    def check(self, tell: Callable[[str], object], *, probe: int = 0, show: int | None = None, offline: bool = False) -> Estimate:
        """Look at everything a build needs; tell, and return, what it would ask and cost. Raises CotforgeError where something is wrong.

        With `probe`, so many Samples are asked about, and paid for, so that the figures are measured; a build does not ask them again.
        With `show`, the prompt of that Sample, counted from 1, is told first. With `offline` no teacher is looked at.
        """
        people = gold.find_gold(self.loaded, self.folder.path)  # what is wrong with it is told before anything is paid for
        if show is not None:
            tell(shown_prompt(self.loaded, self.samples(), show))
        guide, refreshed = self._make_guide(), self._refreshes.unfinished()
        estimator = Estimator(self.loaded, self.journal, everybody=guide.waves.everybody if guide else None, limited=self._is_limited)
        if self.journal.empty:
            found = estimator.read_unasked(self.samples(), draw=probe)
        else:
            works = self._missing_work(refreshed) if guide is None else not_only_faults(self._remaining_work(refreshed, guide))
            found = estimator.read(works, draw=probe)
        give_notices([*_going_on(refreshed), *self.counts.notes(), *self.loaded.lacking(), *self.loaded.pipeline.consensus.idle_keys()])
        if not probe:
            tell(estimator.text())
        if people.checked or self.loaded.pipeline.consensus.promise is not None:
            tell(f"gold: {claims.best_case(len(even_part(people.checked, people.drawn)), self.loaded.pipeline.consensus)}")
        if self.loaded.pipeline.train is not None:
            tell("\n".join(["train:", *(f"  {line}" for line in plan_lines(self.loaded.pipeline.train))]))
            give_notices([*plan_notes(self.loaded.pipeline.train), *([NOTHING_HELD_OUT] if self.loaded.pipeline.eval is None else [])])
        asked = {name for name, share in found.shares.items() if share.calls}
        if self.loaded.does:
            tell("\n".join(["what the file does beside asking:", *(f"  {found}" for found in self.loaded.does)]))
        if asked:
            give_notices(self._replies_elsewhere(refreshed, guide))
        give_notices([*waiting_lines(self.loaded, self.journal), *saves_nothing(guide)])
        self._look_at(() if offline else asked)
        if probe:
            self._run_probe(estimator, asked)
            tell(estimator.text())
        return estimator.found

    def _look_at(self, asked: Collection[str]) -> None:
        """See that the teachers with calls to make are there, before anything is paid. Raises TeacherError with all that is wrong."""
        self.reader.demand_features()
        teachers = [teacher for teacher in self.loaded.pipeline.teachers if teacher.name in asked]
        if self.loaded.pipeline.consensus.sequential:
            askable_together(teachers)
        for teacher in teachers:
            teacher.look(self.loaded.root)
        give_notices(run_coroutine(check_teachers(teachers)))

    def _run_probe(self, estimator: Estimator, asked: Collection[str]) -> None:
        """Ask about the Samples that were drawn, as a build would."""
        self._keep_pipeline()
        progress = Progress({teacher.name: TeacherCounts() for teacher in self.loaded.pipeline.teachers})
        run_coroutine(self._run_forge(progress, {}, asked, lambda: iter(estimator.drawn)), interrupt=self.interrupt)
        if progress.stopped is Stop.INTERRUPTED:
            raise KeyboardInterrupt
        if progress.stopped:
            give_notices([f"the probe ended early: {progress.told}"])
        estimator.probed()

    def build(self, *, offline: bool = False, refresh: Sequence[str] = (), retry: Sequence[str] = (), replace: bool = False) -> str:
        """Forge what is missing, curate, export. Raises Stopped where asking ended early, after exporting what there is.

        `refresh` names teachers whose Calls are asked anew; `retry` says why a Call came to nothing that is asked anew, and no other then.
        Without `replace`, a dataset that was made of more samples stays where this is offline or under a limit.
        """
        people = gold.find_gold(self.loaded, self.folder.path)  # what is wrong with it is told before anything is paid for
        keep_larger = not replace and (offline or self._is_limited)
        stays = keep_larger and self._sample_limit is not None and self._sample_limit < Previous.of(self.folder.path).samples
        if not stays and not (offline and self.folder.pipeline.exists()):
            self._keep_pipeline()
        self.again = Retry.of(self.loaded, retry, samples=self.samples, journal=self.journal) if retry else None
        progress = Progress({teacher.name: TeacherCounts() for teacher in self.loaded.pipeline.teachers})
        before = self._refreshes.unfinished()
        refreshed = self._refreshes.begin(refresh, self.journal.latest())
        if offline:
            give_notices(self._replies_elsewhere(refreshed, self._make_guide()))
        else:
            give_notices(
                [*_going_on(name for name in before if name not in refresh), *claims.before_paying(people, self.loaded.pipeline.consensus)]
            )
            self.forge(progress, refreshed, first=[_STAYS.format(dataset=self.folder.dataset, limit=self._sample_limit)] if stays else [])
            if not progress.stopped and not any(meter.postponed or meter.closed in CLOSED for meter in progress.teachers.values()):
                self._refreshes.settle(before if self.limit else {})
        text = self._export_dataset(progress, keep_larger=keep_larger)
        why, told = ended_early(self.loaded, progress)
        give_notices(told)
        if why:
            raise Stopped.after(text, self.folder.path, why)
        return text

    def curate(self, *, replace: bool = False) -> str:
        """Vote, filter and export again, asking nothing. Without `replace`, a dataset that was made of more samples stays."""
        return self._export_dataset(
            Progress({teacher.name: TeacherCounts() for teacher in self.loaded.pipeline.teachers}), keep_larger=not replace
        )

    def what_if(self) -> str:
        """Every rule, target and order of asking over what the journal holds, asking nothing; the dataset stays as it is."""
        from cotforge.whatif import what_if  # polars

        return what_if(self._make_curation(), self.folder, lambda: self.reader.total)

    def gold(self, *, count: int | None = None, answers: Path | None = None, audit: bool = False) -> str:
        """Samples drawn for a person to check, with `audit` the likeliest wrong labels, or the answers in a file put to those of the run.

        Asks no teacher. Raises PipelineError where the answers are wrong, having taken none of them, and where there is nothing to audit.
        """
        from cotforge.doubts import ask_person  # Pillow: only where pictures are shown
        from cotforge.gold.taking import take_answers

        if not self.folder.pipeline.exists():
            self._keep_pipeline()
        if answers is not None:
            return take_answers(
                self.loaded, self.folder, replace(self, limit=None).samples, answers
            )  # people may have seen more than a trial has
        return ask_person(
            self.loaded, self.folder, self.samples, None if self.journal.empty else self._make_curation, count=count, audit=audit
        )

    def _keep_pipeline(self) -> None:
        """Leave in the folder what its dataset is made by."""
        limit = f"# limit: {self.limit}{', spread' if self.spreads else ''}\n" if self.limit else ""
        self.folder.write(RunFolder.PIPELINE, self.loaded.text() + limit)

    def _export_dataset(self, progress: Progress, *, keep_larger: bool) -> str:
        from cotforge import results  # pyarrow: not before the first call is out

        now = results.Invocation(progress, self.begun, lambda: self.counts, keep_larger)
        return results.write_results(self._make_curation(), self.folder, now, settled=self._keep_pipeline)

    def _make_curation(self) -> Curation:
        found = gold.find_gold(self.loaded, self.folder.path)
        guide, rows = self._make_guide(), self._heard
        same = guide is not None and rows is not None and rows.setting.waves.total == guide.waves.total
        return Curation(
            self.loaded, self.journal, self.samples, gold=found, guide=guide, rows=rows if same else None, repeats=self.reader.lesson_rule()
        )

    @property
    def _refreshes(self) -> RefreshMarks:
        return RefreshMarks(self.folder, [teacher.name for teacher in self.loaded.pipeline.teachers])

    def _replies_elsewhere(self, refreshed: dict[str, int], guide: Guide | None) -> list[str]:
        """A line for each other run folder that has what this one lacks."""
        return answered_elsewhere(self.loaded, islice(self._missing_work(refreshed, guide), LOOKED_AT), self.journal)

    def forge(self, progress: Progress, refreshed: dict[str, int], *, first: Sequence[str] = ()) -> None:
        """Ask what is missing; teachers with calls to make are looked at first. `refreshed`: see `missing`; `first` is told before."""
        guide = self._make_guide()
        asked = self._to_ask(refreshed, guide)
        if not asked:
            return
        give_notices(saves_nothing(guide))
        give_notices(first)
        give_notices(self._replies_elsewhere(refreshed, guide))
        give_notices(asked_anew(self.loaded, self._missing_work(refreshed, guide), self.journal, limited=self._is_limited))
        self._look_at(asked)
        with Display(progress) as display:
            Thread(target=self._count_samples, args=(display, guide), name="counting", daemon=True).start()
            run_coroutine(self._run_forge(progress, refreshed, asked, guide=guide), interrupt=self.interrupt)
        if progress.stopped is Stop.INTERRUPTED:
            raise KeyboardInterrupt
        if progress.lacking > self.loaded.pipeline.max_failures:
            progress.stop(Stop.FAILURES)

    def _count_samples(self, display: Display, guide: Guide | None) -> None:
        """Find out about how many Samples there will be, so that the display can tell the time left."""
        source = self.loaded.pipeline.source
        with contextlib.suppress(Exception):  # whoever reads the source for good tells what is wrong with it
            if (rows := source.size(self.loaded.root) if guide is None else guide.total) is not None:
                display.expected = min(rows, self.limit or rows, source.limit or rows)

    def _make_guide(self) -> Guide | None:
        """By what teachers are asked one after another; None where they are asked all at once."""
        if not self.loaded.pipeline.consensus.sequential:
            return None
        return Guide.of(self.loaded, self.folder.path, lambda: self.reader.total, rule=self.rule, features=self.reader.features)

    def _to_ask(self, refreshed: dict[str, int], guide: Guide | None = None) -> set[str]:
        """The teachers with, or under `sequential` perhaps with, calls to make. Reads the source only until all are found."""
        teachers, found = {teacher.name for teacher in self.loaded.pipeline.teachers}, set[str]()
        if guide is not None:
            more, self._heard = work_left(guide, self._remaining_work(refreshed, guide))
            return teachers if more else found
        for work in self._missing_work(refreshed):
            if isinstance(work, PendingSample):
                found |= {teacher.name for teacher, _ in work.calls}
            if found == teachers:
                break
        return found

    def _remaining_work(self, refreshed: dict[str, int], guide: Guide) -> Iterator[PendingSample | Fault]:
        return remaining_work(guide, lambda wave: self._missing_work(refreshed, guide, wave))

    def _missing_work(self, refreshed: dict[str, int], guide: Guide | None = None, wave: int = 0) -> Iterator[PendingSample | Fault]:
        """What is still to be asked about each Sample, with a `guide` those of one wave.

        Raises SourceError where, of all, the prompt can be made for none.
        """
        read = self.samples() if guide is None else self.reader.of_wave(guide, wave)
        found = missing_work(self.loaded, read, self.journal, refreshed, again=self.again)
        return not_only_faults(found) if guide is None else found

    async def _run_forge(
        self,
        progress: Progress,
        refreshed: dict[str, int],
        asked: Collection[str],
        samples: Callable[[], Iterator[Sample | Fault]] | None = None,
        guide: Guide | None = None,
    ) -> None:
        """Have the teachers `asked` what is missing, about all of the source or `samples` alone, until an end or a signal."""
        purse = Purse.of(self.loaded.pipeline.budget, self.loaded.pipeline.teachers, self.journal)
        sending = Sending(self.loaded.pipeline.images, self.folder.path)
        forge = Forge(self.loaded, self.journal, progress, sending=sending, purse=purse, again=self.again, tell=give_notice, guide=guide)
        loop = asyncio.get_running_loop()

        def interrupted() -> None:
            if progress.stopped:
                forge.abandon()
                return
            forge.stop()
            give_notice("finishing what is in flight; once more drops it")

        def terminated() -> None:
            forge.stop()
            loop.call_later(DRAIN_S, forge.abandon)

        if current_thread() is main_thread():  # elsewhere Python allows no handlers, and `interrupt` stands for them
            loop.add_signal_handler(signal.SIGINT, interrupted)
            loop.add_signal_handler(signal.SIGTERM, terminated)
        self._end = partial(loop.call_soon_threadsafe, interrupted)
        read = self.samples if guide is None else partial(self.reader.of_wave, guide)
        try:
            await forge.run(samples or read, refreshed, teachers=asked)
        finally:
            self._end = None
        self._heard = forge.rows if not refreshed and self.again is None else None

    def interrupt(self) -> None:
        """Take no new Call, and finish those in flight; the second time drop them too. From any thread; nothing unless it is asking."""
        if (end := self._end) is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                end()


_STAYS = "{dataset} is made of more samples than the limit of {limit:,} and stays; --replace takes the smaller one, --out DIR keeps both"


def _going_on(teachers: Iterable[str]) -> list[str]:
    return [
        f"teacher {name!r}: its refresh was interrupted and goes on: what it has not said since then is asked anew" for name in teachers
    ]
