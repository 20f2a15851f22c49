"""The asking of one run: what is missing, who is looked at before anything is paid, and the asking itself.

First the Calls of the vote are asked. Once that has ended by itself, what follows from the replies is asked in rounds.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from threading import Thread, current_thread, main_thread

from cotforge import gold
from cotforge.asking.follow_up_rounds import FollowUpRounds
from cotforge.budget import Purse
from cotforge.consensus.decider import Rows
from cotforge.consensus.sequential.rule import Sequential
from cotforge.coroutines import run_coroutine
from cotforge.curation import Curation, Samples
from cotforge.display import Display
from cotforge.endings import Stop
from cotforge.errors import Interrupted
from cotforge.estimate import LOOKED_AT, Estimator, answered_elsewhere, asked_anew
from cotforge.estimate.forecast import forecast_follow_ups
from cotforge.folder import RunFolder
from cotforge.followups.frame import Common, FollowUp, SampleFollowUps
from cotforge.forge import Forge, PendingSample, Progress, TeacherCounts, missing_work
from cotforge.forge.pending import SettledReplies
from cotforge.forge.places import askable_together
from cotforge.forge.retry import Retry
from cotforge.forge.wave_tour import remaining_work, work_left
from cotforge.garbage import rare_collections
from cotforge.images import PictureStore, Sending
from cotforge.journal import Journal
from cotforge.notices import give_notice, give_notices
from cotforge.pipeline import Loaded
from cotforge.records import Fault, Sample
from cotforge.sample_reader import SampleReader
from cotforge.sequence import Guide, saves_nothing
from cotforge.sources import not_only_faults
from cotforge.teachers.preflight import check_teachers

DRAIN_S = 30.0
"""Seconds that what is in flight has after SIGTERM."""
PARTNERS = 64
"""Samples, spread over the classes, whose pictures a probe may show in place of another's (default chosen by us)."""


@dataclass
class RunAsking:
    """Asks what a run lacks; `follow_ups` raises PipelineError where a section cannot have what it needs."""

    loaded: Loaded
    folder: RunFolder
    journal: Journal
    reader: SampleReader
    store: PictureStore
    limit: int | None = None
    """Sound Samples, at most; None where all are."""
    rule: Sequential | None = None
    """How teachers are asked in turn; None for the pipeline's own rule."""
    again: Retry | None = None
    """Which Calls that came to nothing are asked anew in this invocation; None leaves that to how they failed."""
    follow_ups: tuple[FollowUp, ...] = field(init=False)
    is_over: bool = False
    """Whether nothing is left to ask: nothing was missing, or all of it was asked and answered."""
    _heard: Rows | None = None
    """What was said of all Samples, once it is known that nothing is left to ask for the vote."""
    _end: Callable[[], object] | None = None
    """Ends the asking from any thread, while it goes on."""

    def __post_init__(self) -> None:
        self.follow_ups = self.loaded.follow_ups()

    # what is missing

    def make_guide(self) -> Guide | None:
        """By what teachers are asked one after another; None where they are asked all at once."""
        if not self.loaded.pipeline.consensus.sequential:
            return None
        return Guide.of(self.loaded, self.folder.path, lambda: self.reader.total, rule=self.rule, features=self.reader.features)

    def missing_work(self, refreshed: dict[str, int], guide: Guide | None = None, wave: int = 0) -> Iterator[PendingSample | Fault]:
        """What is still to be asked about each Sample, with a `guide` those of one wave.

        Raises SourceError where, of all, the prompt can be made for none.
        """
        read = self.reader.samples() if guide is None else self.reader.of_wave(guide, wave)
        found = missing_work(self.loaded, read, self.journal, refreshed, again=self.again)
        return not_only_faults(found) if guide is None else found

    def remaining_work(self, refreshed: dict[str, int], guide: Guide) -> Iterator[PendingSample | Fault]:
        """The same of all waves, as far as the journal leads."""
        return remaining_work(guide, lambda wave: self.missing_work(refreshed, guide, wave))

    def replies_elsewhere(self, refreshed: dict[str, int], guide: Guide | None) -> list[str]:
        """A line for each other run folder that has what this one lacks."""
        return answered_elsewhere(self.loaded, islice(self.missing_work(refreshed, guide), LOOKED_AT), self.journal)

    def _to_ask(self, refreshed: dict[str, int], guide: Guide | None = None) -> set[str]:
        """The teachers with, or under `sequential` perhaps with, calls to make. Reads the source only until all are found."""
        teachers, found = {teacher.name for teacher in self.loaded.pipeline.teachers}, set[str]()
        if guide is not None:
            more, self._heard = work_left(guide, self.remaining_work(refreshed, guide))
            return teachers if more else found
        for work in self.missing_work(refreshed):
            if isinstance(work, PendingSample):
                found |= {teacher.name for teacher, _ in work.calls}
            if found == teachers:
                break
        return found

    # what the vote is taken by

    def make_curation(self, *, follows: bool = True, samples: Samples | None = None) -> Curation:
        """The curating of this run, by what the journal holds; with `follows` also what follows the vote."""
        found = gold.find_gold(self.loaded, self.folder.path)
        guide, rows = self.make_guide(), self._heard
        same = guide is not None and rows is not None and rows.setting.waves.total == guide.waves.total
        follows = follows and bool(self.follow_ups)
        return Curation(
            self.loaded,
            self.journal,
            samples or self.reader.samples,
            gold=found,
            guide=guide,
            rows=rows if same else None,
            repeats=self.reader.lesson_rule(),
            common=Common(gold=found.answers, partners=self.partners) if follows else None,
        )

    @cached_property
    def partners(self) -> tuple[Sample, ...]:
        """The first sound Samples of each class in turn, by their ids: the same under every `--limit`."""
        with closing(SampleReader(self.loaded, self.store, PARTNERS)) as reader:
            return tuple(item for item in reader.samples() if isinstance(item, Sample) and item.pictures)

    # looking

    def look_at(self, asked: Collection[str]) -> None:
        """See that the teachers with calls to make are there, before anything is paid. Raises TeacherError with all that is wrong."""
        self.reader.demand_features()
        teachers = [teacher for teacher in self.loaded.pipeline.teachers if teacher.name in asked]
        if self.loaded.pipeline.consensus.sequential:
            askable_together(teachers)
        for teacher in teachers:
            teacher.look(self.loaded.root)
        give_notices(run_coroutine(check_teachers(teachers)))

    def followers(self) -> set[str]:
        """The teachers that are probably asked what follows the vote."""
        expected = [one.expected_calls(accepted, self._voters) for one in self.follow_ups for accepted in (0.0, 1.0)]
        return {name for each in expected for name, calls in each.items() if calls}

    def expect_follow_ups(self, estimator: Estimator, refreshed: dict[str, int]) -> None:
        """Add to an estimate what will probably follow the vote, by what the journal holds."""
        if not self.follow_ups:
            return
        steps: Iterable[SampleFollowUps | Fault | None] = ()
        if not self.journal.empty:
            curation = self.make_curation()
            curation.decided()
            curation.bar_teachers()
            steps = (curation.curator.follow_ups_of(item) for item in self.reader.samples() if isinstance(item, Sample))
        by_section = dict(zip(self.loaded.follow_up_names, self.follow_ups, strict=True))
        lookup = SettledReplies(self.loaded, self.journal, refreshed, again=self.again).replies
        estimator.expect(forecast_follow_ups(by_section, estimator.found.samples, steps, lookup, voters=self._voters))

    @property
    def _voters(self) -> int:
        """Calls of the vote about a Sample."""
        return sum(teacher.samples for teacher in self.loaded.pipeline.teachers)

    # asking

    def ask_missing(self, progress: Progress, refreshed: dict[str, int], *, first: Sequence[str] = ()) -> None:
        """Ask what is missing; teachers with calls to make are looked at first. `refreshed`: see `missing_work`; `first` is told before.

        Raises KeyboardInterrupt after SIGTERM or a second interrupt; after the first one it ends early, and what there is can be exported.
        """
        guide = self.make_guide()
        asked = self._to_ask(refreshed, guide)
        rounds = self._make_rounds(progress, refreshed) if self.follow_ups else None
        following = self.followers() if rounds is not None and (asked or rounds.find_wanted()) else set[str]()
        if not asked | following:
            self.is_over = self.again is None
            return
        give_notices(saves_nothing(guide))
        give_notices(first)
        if asked:
            give_notices(self.reader.missing_labels())
            give_notices(self.replies_elsewhere(refreshed, guide))
            give_notices(asked_anew(self.loaded, self.missing_work(refreshed, guide), self.journal, limited=self.limit is not None))
        self.look_at(asked | following)
        with rare_collections(), Display(progress) as display:
            Thread(target=self._count_samples, args=(display, guide), name="counting", daemon=True).start()
            run_coroutine(self._run_forge(progress, refreshed, asked, guide=guide, rounds=rounds), interrupt=self.interrupt)
        if progress.stopped is Stop.INTERRUPTED and progress.is_hurried:
            raise Interrupted(f"what was paid for is kept ({progress.asked:,} calls ended now): run the same command again to go on")
        if progress.lacking > self.loaded.pipeline.max_failures:
            progress.stop(Stop.FAILURES)
        self.is_over = self.again is None and rounds is None and progress.is_complete

    def ask_probe(self, estimator: Estimator, asked: Collection[str]) -> None:
        """Ask for the vote about the Samples that were drawn, as a build would."""
        progress = Progress({teacher.name: TeacherCounts() for teacher in self.loaded.pipeline.teachers})
        run_coroutine(self._run_forge(progress, {}, asked, lambda: iter(estimator.drawn)), interrupt=self.interrupt)
        if progress.stopped is Stop.INTERRUPTED:
            raise KeyboardInterrupt
        if progress.stopped:
            give_notices([f"the probe ended early: {progress.told}"])
        estimator.probed()

    def _make_rounds(self, progress: Progress, refreshed: dict[str, int]) -> FollowUpRounds:
        curation = self.make_curation(samples=lambda: _until_stopped(self.reader.samples(), progress))
        settled = SettledReplies(self.loaded, self.journal, refreshed, again=self.again, since=self.journal.latest())
        return FollowUpRounds(curation, settled, progress, among=self.followers())

    def _count_samples(self, display: Display, guide: Guide | None) -> None:
        """Find out about how many Samples there will be, so that the display can tell the time left."""
        source = self.loaded.pipeline.source
        with contextlib.suppress(Exception):  # whoever reads the source for good tells what is wrong with it
            if (rows := source.size(self.loaded.root) if guide is None else guide.total) is not None:
                display.expected = min(rows, self.limit or rows, source.limit or rows)

    async def _run_forge(
        self,
        progress: Progress,
        refreshed: dict[str, int],
        asked: Collection[str],
        samples: Callable[[], Iterator[Sample | Fault]] | None = None,
        *,
        guide: Guide | None = None,
        rounds: FollowUpRounds | None = None,
    ) -> None:
        """Have the teachers `asked` what is missing, about all of the source or `samples` alone, until an end or a signal."""
        purse = Purse.of(self.loaded.pipeline.budget, self.loaded.pipeline.teachers, self.journal)
        sending = Sending(self.loaded.pipeline.images, self.folder.path)
        forge = Forge(self.loaded, self.journal, progress, sending=sending, purse=purse, again=self.again, tell=give_notice, guide=guide)
        loop = asyncio.get_running_loop()

        def interrupted() -> None:
            if progress.stopped:
                progress.is_hurried = True
                forge.abandon()
                return
            forge.stop()
            give_notice("finishing what is in flight; once more drops it")

        def terminated() -> None:
            progress.is_hurried = True
            forge.stop()
            loop.call_later(DRAIN_S, forge.abandon)

        if current_thread() is main_thread():  # elsewhere Python allows no handlers, and `interrupt` stands for them
            loop.add_signal_handler(signal.SIGINT, interrupted)
            loop.add_signal_handler(signal.SIGTERM, terminated)
        self._end = partial(loop.call_soon_threadsafe, interrupted)
        read = self.reader.samples if guide is None else partial(self.reader.of_wave, guide)
        try:
            if asked:
                await forge.run(samples or read, refreshed, teachers=asked)
                self._heard = forge.rows if not refreshed and self.again is None else None
            if rounds is not None:
                await rounds.ask(forge)
        finally:
            self._end = None

    def interrupt(self) -> None:
        """Take no new Call, and finish those in flight; the second time drop them too. From any thread; nothing unless it is asking."""
        if (end := self._end) is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                end()


def _until_stopped(items: Iterable[Sample | Fault], progress: Progress) -> Iterator[Sample | Fault]:
    for item in items:
        if progress.stopped:
            return
        yield item
