"""A run from end to end: check, forge, curate, export. Everything a command does, as functions that a notebook can call too."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Self

from cotforge import gold
from cotforge.budget import Purse
from cotforge.curate import Curation
from cotforge.display import Display
from cotforge.errors import PipelineError, Stopped
from cotforge.estimate import Estimator, asked_anew
from cotforge.folder import RunFolder
from cotforge.forge import Forge, Meter, Progress, Work, missing
from cotforge.forge.batches import waiting
from cotforge.forge.places import together
from cotforge.forge.retry import Retry
from cotforge.forge.tour import remaining
from cotforge.images import PictureStore, Sending
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.plan import lines
from cotforge.records import Closing, Fault, Sample, Stop
from cotforge.sample_reader import SampleReader
from cotforge.sequence import ENGINE, Engine, Guide
from cotforge.sources import Counts, not_only_faults
from cotforge.sources.text import clean
from cotforge.teachers.preflight import preflight

DRAIN_S = 30.0
"""Seconds that what is in flight has after SIGTERM."""


@dataclass
class Run:
    """One pipeline in one run folder, held by this process until it is closed."""

    loaded: Loaded
    folder: RunFolder
    journal: Journal
    store: PictureStore
    limit: int | None = None
    """Sound Samples, at most."""
    spreads: bool = True
    """Whether these are spread over the classes; else they are the first ones, as in a run folder of an earlier version."""
    engine: Engine = ENGINE
    """The statistics of `consensus.rule: sequential`."""
    again: Retry | None = None
    """Which Calls that came to nothing are asked anew in this invocation; None leaves that to how they failed."""
    begun: float = field(default_factory=time.monotonic)
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.reader = self._open.enter_context(closing(SampleReader(self.loaded, self.store, self.limit, spreads=self.spreads)))

    @classmethod
    def open(
        cls,
        pipeline: str | Path,
        *,
        out: Path | None = None,
        sets: Sequence[str] = (),
        limit: int | None = None,
        engine: Engine = ENGINE,
    ) -> Self:
        """The pipeline of a file, or the shipped one of that name, in `out` or `runs/<its name>`.

        Raises PipelineError where the file is wrong, JournalError where the folder is in use, of another pipeline, or cannot be kept.
        """
        loaded = Loaded.load(pipeline, sets)
        return cls._in(loaded, out or Path("runs") / loaded.pipeline.name, limit, engine)

    @classmethod
    def reopen(cls, run: Path, *, sets: Sequence[str] = (), engine: Engine = ENGINE) -> Self:
        """The run in a folder, by the pipeline file it came from. Raises PipelineError where the folder is no run."""
        loaded = Loaded.of_run(run, sets)
        limit, spreads = loaded.limit(run)
        return cls._in(loaded, run, limit, engine, spreads=spreads)

    @classmethod
    def _in(cls, loaded: Loaded, out: Path, limit: int | None, engine: Engine, *, spreads: bool = True) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(RunFolder(out, name=loaded.pipeline.name))
            journal = stack.enter_context(Journal(folder.journal))
            store = PictureStore(out, loaded.pipeline.images)
            stack.callback(store.close)
            return cls(loaded, folder, journal, store, limit, spreads, engine, _open=stack.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def samples(self) -> Iterator[Sample | Fault]:
        """The source from its beginning, but for what `eval:` holds out; `counts` is of this reading from now on."""
        return self.reader.samples()

    @property
    def counts(self) -> Counts:
        """Of the latest reading of the source."""
        return self.reader.counts

    def check(self, tell: Callable[[str], object], *, probe: int = 0) -> None:
        """Look at everything a build needs, and tell what it would ask and cost. Raises CotforgeError where something is wrong.

        With `probe`, so many Samples are asked about, and paid for, so that the figures are measured; a build does not ask them again.
        """
        guide = self._guide()
        estimator = Estimator(self.loaded, self.journal, everybody=guide.waves.everybody if guide else None)
        if self.journal.empty:
            found = estimator.read_unasked(self.samples(), draw=probe)
        else:
            works = self._works({}) if guide is None else not_only_faults(self._remaining({}, guide))
            found = estimator.read(works, draw=probe)
        if self.counts.labels_unknown:
            warn([f"{self.counts.labels_unknown:,} labels are not in the set and count as unknown"])
        warn(self.counts.notes())
        if not probe:
            tell(estimator.text())
        if self.loaded.pipeline.train is not None:
            tell("\n".join(["train:", *(f"  {line}" for line in lines(self.loaded.pipeline.train))]))
        asked = {name for name, share in found.shares.items() if share.calls}
        warn(waiting(self.loaded, self.journal))
        self._look_at(asked)
        if probe:
            self._probe(estimator, asked)
            tell(estimator.text())

    def _look_at(self, asked: Collection[str]) -> None:
        """See that the teachers with calls to make are there, before anything is paid. Raises TeacherError with all that is wrong."""
        teachers = [teacher for teacher in self.loaded.pipeline.teachers if teacher.name in asked]
        if self.loaded.pipeline.consensus.sequential:
            together(teachers)
        for teacher in teachers:
            teacher.look(self.loaded.root)
        warn(asyncio.run(preflight(teachers)))

    def _probe(self, estimator: Estimator, asked: Collection[str]) -> None:
        """Ask about the Samples that were drawn, as a build would."""
        self._keep()
        progress = Progress({teacher.name: Meter() for teacher in self.loaded.pipeline.teachers})
        asyncio.run(self._run(progress, {}, asked, lambda: iter(estimator.drawn)))
        if progress.stopped is Stop.INTERRUPTED:
            raise KeyboardInterrupt
        if progress.stopped:
            warn([f"the probe ended early: {progress.told}"])
        estimator.probed()

    def build(self, *, offline: bool = False, refresh: Sequence[str] = (), retry: Sequence[str] = ()) -> str:
        """Forge what is missing, curate, export. Raises Stopped where asking ended early, after exporting what there is.

        `refresh` names teachers whose Calls are asked anew; `retry` says why a Call came to nothing that is asked anew, and no other then.
        """
        self._keep()
        self.again = Retry.of(self.loaded, retry, samples=self.samples, journal=self.journal) if retry else None
        progress = Progress({teacher.name: Meter() for teacher in self.loaded.pipeline.teachers})
        refreshed = self._refreshed(refresh)
        if not offline:
            self.forge(progress, refreshed)
            if not progress.stopped and not any(meter.postponed or meter.closed in _CLOSED for meter in progress.teachers.values()):
                self._marks.unlink(missing_ok=True)
        text = self._export(progress)
        if why := self._ended_early(progress):
            sys.stdout.write(text + "\n")
            raise Stopped(*why)
        return text

    def curate(self) -> str:
        """Vote, filter and export again, asking nothing."""
        self._keep()
        return self._export(Progress({teacher.name: Meter() for teacher in self.loaded.pipeline.teachers}))

    def what_if(self) -> str:
        """Every rule, target and order of asking over what the journal holds, asking nothing; the dataset stays as it is."""
        from cotforge.whatif import what_if  # polars

        return what_if(self._curation(), self.folder)

    def gold(self, *, count: int | None = None, answers: Path | None = None) -> str:
        """Samples picked for a person to check, or the answers in a file put to those of the run; asks no teacher.

        Raises PipelineError where the answers are wrong, having taken none of them.
        """
        from cotforge.gold import command  # Pillow: only where pictures are shown

        if not self.folder.pipeline.exists():
            self._keep()
        if answers is not None:
            return command.take(self.loaded, self.folder, self.samples, answers)
        return command.ask(self.loaded, self.folder, self.samples, count=count)

    def _keep(self) -> None:
        """Leave in the folder what its dataset is made by."""
        limit = f"# limit: {self.limit}{', spread' if self.spreads else ''}\n" if self.limit else ""
        self.folder.write(RunFolder.PIPELINE, self.loaded.text() + limit)

    def _export(self, progress: Progress) -> str:
        from cotforge import results  # pyarrow: not before the first call is out

        return results.write(self._curation(), self.folder, counts=lambda: self.counts, progress=progress, begun=self.begun)

    def _curation(self) -> Curation:
        found = gold.find(self.loaded, self.folder.path)
        return Curation(self.loaded, self.journal, self.samples, gold=found, guide=self._guide())

    def _refreshed(self, names: Sequence[str]) -> dict[str, int]:
        known = [teacher.name for teacher in self.loaded.pipeline.teachers]
        if unknown := [name for name in names if name not in known]:
            raise PipelineError(f"--refresh {unknown[0]}: no teacher of that name; there are {', '.join(known)}")
        begun: dict[str, int] = json.loads(self._marks.read_text()) if self._marks.exists() else {}
        marks = dict.fromkeys(names, self.journal.latest()) | {name: mark for name, mark in begun.items() if name in known}
        if marks:
            self.folder.write(self._marks.name, json.dumps(marks))
        return marks

    @property
    def _marks(self) -> Path:
        """Per teacher to be asked anew, the last attempt before that: it stands until all are asked, so that an interrupted one goes on."""
        return self.folder.path / "refresh.json"

    def forge(self, progress: Progress, refreshed: dict[str, int]) -> None:
        """Ask what is missing; teachers with calls to make are looked at first. `refreshed`: see `missing`."""
        guide = self._guide()
        asked = self._to_ask(refreshed, guide)
        if not asked:
            return
        warn(asked_anew(self.loaded, self._works(refreshed, guide), self.journal))
        self._look_at(asked)
        with Display(progress) as display:
            Thread(target=self._count, args=(display, guide), name="counting", daemon=True).start()
            asyncio.run(self._run(progress, refreshed, asked, guide=guide))
        if progress.stopped is Stop.INTERRUPTED:
            raise KeyboardInterrupt
        if progress.lacking > self.loaded.pipeline.max_failures:
            progress.stop(Stop.FAILURES)

    def _count(self, display: Display, guide: Guide | None) -> None:
        """Find out about how many Samples there will be, so that the display can tell the time left."""
        source = self.loaded.pipeline.source
        with contextlib.suppress(Exception):  # whoever reads the source for good tells what is wrong with it
            if (rows := source.size(self.loaded.root) if guide is None else guide.total) is not None:
                display.expected = min(rows, self.limit or rows, source.limit or rows)

    def _guide(self) -> Guide | None:
        """By what teachers are asked one after another; None where they are asked all at once."""
        if not self.loaded.pipeline.consensus.sequential:
            return None
        return Guide.of(self.engine, self.loaded, self.folder.path, lambda: self.reader.total)

    def _to_ask(self, refreshed: dict[str, int], guide: Guide | None = None) -> set[str]:
        """The teachers with, or under `sequential` perhaps with, calls to make. Reads the source only until all are found."""
        found: set[str] = set()
        if guide is not None:
            more = any(isinstance(work, Work) and work.calls for work in self._remaining(refreshed, guide))
            return {teacher.name for teacher in self.loaded.pipeline.teachers} if more else found
        for work in self._works(refreshed):
            if isinstance(work, Work):
                found |= {teacher.name for teacher, _ in work.calls}
            if len(found) == len(self.loaded.pipeline.teachers):
                break
        return found

    def _remaining(self, refreshed: dict[str, int], guide: Guide) -> Iterator[Work | Fault]:
        return remaining(guide, lambda wave: self._works(refreshed, guide, wave))

    def _works(self, refreshed: dict[str, int], guide: Guide | None = None, wave: int = 0) -> Iterator[Work | Fault]:
        """What is still to be asked about each Sample, with a `guide` those of one wave.

        Raises SourceError where, of all, the prompt can be made for none.
        """
        read = self.samples() if guide is None else self.reader.of_wave(guide, wave)
        found = missing(self.loaded, read, self.journal, refreshed, again=self.again)
        return not_only_faults(found) if guide is None else found

    async def _run(
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
        forge = Forge(
            self.loaded, self.journal, progress, sending=sending, purse=purse, again=self.again, tell=lambda line: warn([line]), guide=guide
        )
        loop = asyncio.get_running_loop()

        def interrupted() -> None:
            if progress.stopped:
                forge.abandon()
                return
            forge.stop()
            warn(["finishing what is in flight; once more drops it"])

        def terminated() -> None:
            forge.stop()
            loop.call_later(DRAIN_S, forge.abandon)

        loop.add_signal_handler(signal.SIGINT, interrupted)
        loop.add_signal_handler(signal.SIGTERM, terminated)
        read = self.samples if guide is None else partial(self.reader.of_wave, guide)
        await forge.run(samples or read, refreshed, teachers=asked)

    def _ended_early(self, progress: Progress) -> list[str]:
        """Why the run ends with exit 3, a line each; none where it does not. Tells of teachers that the run went on without."""
        bound = self.loaded.pipeline.max_failures
        why = []
        if progress.stopped in (Stop.BUDGET, Stop.MINUTES, Stop.UNREACHABLE):
            why.append(f"{progress.told}; {_RAISE if progress.stopped is Stop.BUDGET else _GO_ON}")
        batched = {teacher.name for teacher in self.loaded.pipeline.teachers if teacher.batched}
        for name, meter in progress.teachers.items():
            if meter.closed in _CLOSED and (meter.postponed or meter.failed or name in batched):
                line = self._closed_early(name, meter, batched=name in batched)
                ends = meter.closed in _ENDS_THE_RUN
                why += [line] if ends else []
                warn([] if ends else [line])
        if progress.lacking > bound:
            worst = max(progress.teachers.values(), key=lambda meter: meter.failed + meter.postponed)
            name = next(name for name, meter in progress.teachers.items() if meter is worst)
            postponed = sum(meter.postponed for meter in progress.teachers.values())
            why.append(
                f"{progress.failed - progress.filtered + postponed:,} of {progress.asked + progress.had + postponed:,} calls were given up"
                f"{' or not asked' if postponed else ''}, more than max_failures {bound:g} allows; "
                f"the last of teacher {name!r}: {worst.last_error or worst.closing_words or worst.closed}"
            )
        return why

    def _closed_early(self, name: str, meter: Meter, *, batched: bool) -> str:
        """The line about a teacher that was not asked to the end, in its server's own words where it said any."""
        assert meter.closed is not None
        reason = _NO_BATCHES if batched and meter.closed is Closing.MODEL else _CLOSED[meter.closed]
        words = f"; it said {clean(meter.closing_words)!r}" if meter.closing_words else ""
        count = meter.postponed or meter.failed
        many = "1 call was" if count == 1 else f"{count:,} calls were" if count else "some calls were"
        lost = f"{many} not asked" if meter.postponed else f"{many} not answered"
        return f"teacher {name!r}: {reason}; {lost}: {_GO_ON}{words}"


_GO_ON = "what was paid for is kept and in the dataset, the same command goes on from here"
_RAISE = "what was paid for is kept and in the dataset, a higher bound in `budget` goes on from here"
_CLOSED = {
    Closing.QUOTA: "paused: quota or credit is used up",
    Closing.ACCOUNT: "paused: its account is suspended or shut out",
    Closing.KEY: "its key is not accepted",
    Closing.MODEL: "its model is gone",
    Closing.FILES: "its server cannot read images by file; give it --allowed-local-media-path, or set images.via to data",
    Closing.ENGINE: "its engine has died again",
    Closing.TROUBLE: "its provider is in trouble",
    Closing.REPEATED: "paused: one call after another ended in the same words, and none was answered in between",
    Closing.OUT_OF_REACH: "out of reach",
}
"""What a person is told of a teacher that was not asked to the end."""
_ENDS_THE_RUN = (Closing.QUOTA, Closing.ACCOUNT, Closing.KEY, Closing.REPEATED)
"""With these a person has to do something before the run can be complete: exit 3."""
_NO_BATCHES = "there is no batch API at its url, or no such model"


def warn(lines: Sequence[str]) -> None:
    """Say something on stderr that is no fault."""
    for line in lines:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
