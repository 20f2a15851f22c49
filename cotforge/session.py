"""A run from end to end: check, forge, curate, export. Everything that a command does, and the Python face calls."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cotforge import gold
from cotforge.asking import RunAsking
from cotforge.consensus.sequential.rule import Sequential
from cotforge.early_end import CLOSED, ended_early
from cotforge.endings import Stop
from cotforge.errors import Interrupted, PipelineError, Stopped, demand_count
from cotforge.estimate import Estimate, Estimator
from cotforge.estimate.prompt import shown_prompt
from cotforge.finished import QUIET, FinishedMark
from cotforge.folder import RunFolder, demand_apart, read_kept
from cotforge.forge import Progress, TeacherCounts
from cotforge.forge.batches import waiting_lines
from cotforge.forge.retry import Retry
from cotforge.gold.people_marks import find_people_marks
from cotforge.images import PictureStore
from cotforge.journal import Journal
from cotforge.notices import give_notices
from cotforge.pipeline import Loaded, Pipeline
from cotforge.plan import plan_lines, plan_notes
from cotforge.records import Fault, Gold, Sample
from cotforge.refreshes import RefreshMarks
from cotforge.sample_reader import SampleReader
from cotforge.sequence import saves_nothing
from cotforge.sources import Counts, not_only_faults
from cotforge.sources.files import absolute_path
from cotforge.tally import claims
from cotforge.tree import parse_tree, unknown_keys

if TYPE_CHECKING:
    from cotforge.results import WrittenResults

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
    begun: float = field(default_factory=time.monotonic)
    finished: FinishedMark | None = None
    """Of the run folder, where a build may be over at once."""
    _open: ExitStack = field(default_factory=ExitStack)
    _people: Gold = field(default_factory=Gold, init=False)
    """What people checked, as this command found it."""

    def __post_init__(self) -> None:
        self.reader = self._open.enter_context(
            closing(SampleReader(self.loaded, self.store, self.limit, spreads=self.spreads, tell=give_notices))
        )
        self.asking = RunAsking(self.loaded, self.folder, self.journal, self.reader, self.store, limit=self._sample_limit, rule=self.rule)

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
        give_notices(_unread_keys(run / RunFolder.PIPELINE, loaded))
        limit, spreads = loaded.limit(run)
        return cls._in_folder(loaded, run, limit, rule, spreads=spreads)

    @classmethod
    def _in_folder(cls, loaded: Loaded, out: Path, limit: int | None, rule: Sequential | None, *, spreads: bool = True) -> Self:
        demand_apart(out, absolute_path(loaded.root, loaded.pipeline.source.path))
        with ExitStack() as stack:
            folder = stack.enter_context(RunFolder(out, name=loaded.pipeline.name))
            finished = FinishedMark(folder) if rule is None else None
            stack.callback(finished.write if finished else bool)  # by the journal as it lies there once it is closed
            journal = stack.enter_context(Journal(folder.journal))
            store = PictureStore(out, loaded.pipeline.images)
            stack.callback(store.close)
            loaded = loaded.in_run(out, new="content" if gold.names_content(loaded, out) else "path")
            give_notices(folder.notes())
            return cls(loaded, folder, journal, store, limit, spreads, rule, finished=finished, _open=stack.pop_all())

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
        people = self._find_gold()  # what is wrong with it is told before anything is paid for
        find_people_marks(self.loaded)
        give_notices(_replies_gone(self.folder, self.journal))
        if show is not None:
            tell(shown_prompt(self.loaded, self.samples(), show))
        guide, refreshed = self.asking.make_guide(), self._refreshes.unfinished()
        estimator = Estimator(self.loaded, self.journal, everybody=guide.waves.everybody if guide else None, limited=self._is_limited)
        if self.journal.empty:
            found = estimator.read_unasked(self.samples(), draw=probe)
        else:
            works = self.asking.missing_work(refreshed) if guide is None else not_only_faults(self.asking.remaining_work(refreshed, guide))
            found = estimator.read(works, draw=probe)
        self.asking.expect_follow_ups(estimator, refreshed)
        labels = self.reader.missing_labels()
        idle = self.loaded.pipeline.consensus.idle_keys()
        give_notices([*labels, *_going_on(refreshed), *self.counts.notes(), *self.loaded.lacking(), *idle, *self._unmet_gold()])
        if not probe:
            tell(estimator.text())
        if people.checked or self.loaded.pipeline.consensus.promise is not None:
            tell(f"gold: {claims.best_case_of(people, self.loaded.pipeline.consensus)}")
        if self.loaded.pipeline.train is not None:
            tell("\n".join(["train:", *(f"  {line}" for line in plan_lines(self.loaded.pipeline.train))]))
            give_notices([*plan_notes(self.loaded.pipeline.train), *([NOTHING_HELD_OUT] if self.loaded.pipeline.eval is None else [])])
        asked = {name for name, share in found.shares.items() if share.calls}
        following = {name for name, share in found.shares.items() if share.following}
        if self.loaded.does:
            tell("\n".join(["what the file does beside asking:", *(f"  {found}" for found in self.loaded.does)]))
        if asked:
            give_notices(self.asking.replies_elsewhere(refreshed, guide))
        give_notices([*waiting_lines(self.loaded, self.journal), *saves_nothing(guide)])
        self.asking.look_at(() if offline else asked | following)
        if probe:
            self._keep_pipeline()
            self.asking.ask_probe(estimator, asked)
            self.asking.expect_follow_ups(estimator, refreshed)
            tell(estimator.text())
        return estimator.found

    def build(self, *, offline: bool = False, refresh: Sequence[str] = (), retry: Sequence[str] = (), replace: bool = False) -> str:
        """Forge what is missing, curate, export. Raises Stopped where asking ended early, after exporting what there is; after an interrupt
        KeyboardInterrupt, then too unless there was a second one.

        `refresh` names teachers whose Calls are asked anew; `retry` says why a Call came to nothing that is asked anew, and no other then.
        Without `replace`, a dataset that was made of more samples stays where this is offline or under a limit.
        """
        people = self._find_gold()  # what is wrong with it is told before anything is paid for
        marks = find_people_marks(self.loaded)
        give_notices(_replies_gone(self.folder, self.journal))
        keep_larger = not replace and (offline or self._is_limited)
        stays = keep_larger and self._sample_limit is not None and self._sample_limit < self._samples_before()
        if not stays and not (offline and self.folder.pipeline.exists()):
            self._keep_pipeline()
        self.asking.again = Retry.of(self.loaded, retry, samples=self.samples, journal=self.journal) if retry else None
        progress = Progress({teacher.name: TeacherCounts() for teacher in self.loaded.pipeline.teachers})
        before = self._refreshes.unfinished()
        if self.finished is not None:
            self.finished.begin(self.loaded, people, marks, self.limit, self.spreads)
        refreshed = self._refreshes.begin(refresh, self.journal.latest())
        if not offline:
            give_notices(
                [*_going_on(name for name in before if name not in refresh), *claims.before_paying(people, self.loaded.pipeline.consensus)]
            )
        if not refreshed and not retry and (told_before := self._recall_finished()) is not None:
            return told_before
        if offline:
            give_notices(self.asking.replies_elsewhere(refreshed, self.asking.make_guide()))
        else:
            stay = [_STAYS.format(dataset=self.folder.dataset, limit=self._sample_limit)] if stays else []
            self.forge(progress, refreshed, first=[*self.loaded.lacking(), *stay])
            if not progress.stopped and not any(meter.postponed or meter.closed in CLOSED for meter in progress.teachers.values()):
                self._refreshes.settle(before if self.limit else {})
        interrupted = progress.stopped is Stop.INTERRUPTED
        if interrupted:
            give_notices([_WRITING])
        self.reader.hashes = self.finished is not None and self.finished.can_tell
        written = self._export_dataset(progress, keep_larger=keep_larger or (interrupted and not replace))
        if interrupted:
            raise Interrupted(result=written.told)
        why, told = ended_early(self.loaded, progress)
        give_notices(told)
        if why:
            raise Stopped.after(written.told, self.folder.path, why)
        if self.finished is not None and self.asking.is_over:
            self.finished.keep(self.reader.source_hash, written.told_next)
        return written.told

    def _recall_finished(self) -> str | None:
        """What a build says that would leave all as it is; None where there may be something to do."""
        kept = None if self.finished is None else self.finished.recall(self.reader.hash_source)
        if kept is None or self.finished is None:
            return None
        give_notices(self._unmet_gold())
        self._keep_pipeline()
        seconds = {"seconds": round(time.monotonic() - self.begun, 3)}
        self.folder.write_object("summary.json", (self.folder.read_object("summary.json") or {}) | QUIET | seconds)
        self.finished.keep(kept["source"], kept["told"])
        return kept["told"]

    def _samples_before(self) -> int:
        from cotforge.export.previous import Previous  # pyarrow

        return Previous.of(self.folder.path).samples

    def curate(self, *, replace: bool = False) -> str:
        """Vote, filter and export again, asking nothing.

        Without `replace`, all stays where the dataset was made of more samples, or of replies that are gone.
        """
        self._find_gold()  # what is wrong with it is told first
        give_notices(_replies_gone(self.folder, self.journal))
        return self._export_dataset(
            Progress({teacher.name: TeacherCounts() for teacher in self.loaded.pipeline.teachers}), keep_larger=not replace
        ).told

    def what_if(self) -> str:
        """Every rule, target and order of asking over what the journal holds, asking nothing; the dataset stays as it is."""
        from cotforge.whatif import what_if  # polars

        return what_if(self.asking.make_curation(follows=False), self.folder, lambda: self.reader.total)

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
            self.loaded,
            self.folder,
            self.samples,
            None if self.journal.empty else partial(self.asking.make_curation, follows=False),
            count=count,
            audit=audit,
        )

    def _keep_pipeline(self) -> None:
        """Leave in the folder what its dataset is made by."""
        limit = f"# limit: {self.limit}{', spread' if self.spreads else ''}\n" if self.limit else ""
        self.folder.write(RunFolder.PIPELINE, self.loaded.text() + limit)

    def _export_dataset(self, progress: Progress, *, keep_larger: bool) -> "WrittenResults":
        from cotforge import results  # pyarrow: not before the first call is out

        now = results.Invocation(progress, self.begun, lambda: self.counts, keep_larger)
        written = results.write_results(self.asking.make_curation(), self.folder, now, settled=self._keep_pipeline)
        give_notices(self._unmet_gold())
        return written

    def _find_gold(self) -> Gold:
        """What people checked; readings of the source look for its ids from now on. Raises PipelineError with every fault of the file."""
        self._people = gold.find_gold(self.loaded, self.folder.path)
        self.reader.sought, self.reader.unmet = self._people.checked, None
        return self._people

    def _unmet_gold(self) -> list[str]:
        """A line where people checked samples that are not in the source, once all of it has been read; none under a limit."""
        if self._is_limited or self.reader.unmet is None:
            return []
        path, held = gold.gold_path(self.loaded, self.folder.path), self.loaded.pipeline.eval
        return gold.unmet_ids(path, self._people, self.reader.unmet, holds_out=bool(held and held.share))

    @property
    def _refreshes(self) -> RefreshMarks:
        return RefreshMarks(self.folder, [teacher.name for teacher in self.loaded.pipeline.teachers])

    def forge(self, progress: Progress, refreshed: dict[str, int], *, first: Sequence[str] = ()) -> None:
        """Ask what is missing, see `RunAsking.ask_missing`."""
        self.asking.ask_missing(progress, refreshed, first=first)

    def interrupt(self) -> None:
        """Take no new Call, and finish those in flight; the second time drop them too. From any thread; nothing unless it is asking."""
        self.asking.interrupt()


_WRITING = "writing the dataset from what there is; once more leaves it as it was"
_STAYS = "{dataset} is made of more samples than the limit of {limit:,} and stays; --replace takes the smaller one, --out DIR keeps both"


def _unread_keys(kept: Path, loaded: Loaded) -> list[str]:
    """A line where the folder's own pipeline file has unknown keys and its original is read instead, which is where they are faults."""
    if loaded.path == kept.absolute() or (said := read_kept(kept)) is None:
        return []
    try:
        found = unknown_keys(parse_tree(said, kept), Pipeline)
    except PipelineError:  # it is not YAML any more, and nobody reads it
        return []
    return [f"{kept}: {'; '.join(found)}; this file is a copy that is not read: change {loaded.path}, or use --set"] if found else []


def _replies_gone(folder: RunFolder, journal: Journal) -> list[str]:
    """A line where the folder tells of calls that ended, and its journal holds none."""
    ended = (folder.read_object("summary.json") or {}).get("calls_total") if journal.empty else None
    if not isinstance(ended, int) or not ended:
        return []
    calls = "1 call" if ended == 1 else f"{ended:,} calls"
    return [
        f"{folder.journal}: holds no reply, though summary.json tells of {calls}: the journal was removed or moved away; put it back, "
        "or a build asks, and pays for, all of them again"
    ]


def _going_on(teachers: Iterable[str]) -> list[str]:
    return [
        f"teacher {name!r}: its refresh was interrupted and goes on: what it has not said since then is asked anew" for name in teachers
    ]
