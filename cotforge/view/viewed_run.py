"""One run as the viewer sees it: its index, the rows behind it, pictures, and what people said of its samples."""

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from cotforge.errors import CotforgeError, PipelineError
from cotforge.folder import name_in
from cotforge.records import Sample
from cotforge.view.index_reader import Stamp, read_index, stamp_of
from cotforge.view.sample_index import SampleIndex, empty_index
from cotforge.view.shard_rows import ShardRows

if TYPE_CHECKING:
    from cotforge.pipeline import Loaded
    from cotforge.view.journal_reader import JournalReader
    from cotforge.view.live_answers import LiveAnswers
    from cotforge.view.source_samples import SourceWalk


PATIENCE_S = 1.0
"""Seconds after which the pipeline is read although no page has been asked for."""


@dataclass(frozen=True, slots=True)
class OpenedDataset:
    """An index, and the files that its numbers are of."""

    index: SampleIndex
    lessons: ShardRows
    traces: ShardRows
    shards: tuple[Path, ...] = ()
    """Of the traces."""
    stamp: Stamp = ()


class ViewedRun:
    """Everything that pages ask of a run folder. Safe to use from any thread."""

    def __init__(self, run: Path, *, trust: bool = True) -> None:
        """Raises PipelineError where the folder is no run. What takes long is begun by `warm_up`."""
        if not run.is_dir() or (name := name_in(run)) is None:
            raise PipelineError(f"{run}: is not a run folder; give the folder that `cotforge build` has made, such as runs/emotions")
        self.run, self.name, self._trust = run, name, trust
        self._lock, self._opened = Lock(), OpenedDataset(empty_index(), ShardRows(()), ShardRows(()))
        self._pipeline: Future[Loaded] = Future()
        self._shown = Event()
        self._walk: SourceWalk | None = None
        self._live: LiveAnswers | None = None
        self._journal: JournalReader | None = None

    def warm_up(self) -> None:
        """Begin reading index and pipeline, the index first."""
        Thread(target=self._warm_up, name="opening", daemon=True).start()

    def _warm_up(self) -> None:
        found = None
        with suppress(CotforgeError), self._lock:  # the page tells
            found = self._read_dataset()
        if found is not None:
            self._shown.wait(PATIENCE_S)
        try:
            from cotforge.view.source_samples import load_pipeline  # with all that a pipeline needs, which takes a second

            self._pipeline.set_result(load_pipeline(self.run, trust=self._trust))
        except Exception as fault:
            self._pipeline.set_exception(fault)

    def first_page_is_out(self) -> None:
        """What is read beside may begin: until then it would only hold the page up."""
        self._shown.set()

    def close(self) -> None:
        """End all threads, and let go of all files."""
        for part in (self._live, self._walk):
            if part is not None:
                part.stop()
        if self._journal is not None:
            self._journal.close()

    # index

    def open_dataset(self) -> OpenedDataset:
        """The present dataset of the run; where there is none yet, what its journal says.

        Raises CotforgeError.
        """
        with self._lock:
            found = self._read_dataset()
        return found or OpenedDataset(self._live_index(), ShardRows(()), ShardRows(()))

    def _read_dataset(self) -> OpenedDataset | None:
        """Read again where a build has written it anew; None where there is none."""
        stamp = stamp_of(self.run)
        if stamp != self._opened.stamp or self._opened.index.is_live:
            found = read_index(self.run)
            if found is None:
                return None
            self._opened = OpenedDataset(found.index, ShardRows(found.lessons), ShardRows(found.traces), found.traces, stamp)
        return self._opened

    def _live_index(self) -> SampleIndex:
        from cotforge.view.live_answers import LiveAnswers

        loaded = self.wait_for_pipeline()
        with self._lock:
            if self._live is None:
                self._live = LiveAnswers(loaded, self._read_journal(), self._begin_walk(loaded))
        return self._live.current_index()

    def open_journal(self) -> "JournalReader":
        """The journal, which is read along while a build writes it. Raises JournalError where there is none."""
        with self._lock:
            return self._read_journal()

    def _read_journal(self) -> "JournalReader":
        from cotforge.view.journal_reader import JournalReader

        if self._journal is None:
            self._journal = JournalReader(self.run / "journal.sqlite")
        return self._journal

    def wait_for_pipeline(self, seconds: float | None = 60) -> "Loaded":
        """The run's pipeline, once it is read.

        Raises CotforgeError where it cannot be, TimeoutError after so many seconds.
        """
        return self._pipeline.result(seconds)

    def _begin_walk(self, loaded: "Loaded") -> "SourceWalk":
        from cotforge.view.source_samples import SourceWalk

        if self._walk is None:
            self._walk = SourceWalk(self.run, loaded)
        return self._walk

    @property
    def progress(self) -> tuple[int, bool, str]:
        """(samples read from the source so far, whether these are all, why it cannot be read)."""
        walk = self._walk
        return (0, False, "") if walk is None else (len(walk.shelf), walk.is_whole, walk.fault)

    @property
    def may_read_more(self) -> bool:
        """Whether more of the source is still to come, so that a picture that is not known yet may be later."""
        failed = self._pipeline.done() and self._pipeline.exception() is not None
        _, whole, fault = self.progress
        return not (failed or whole or fault)

    def replies_since(self) -> bool:
        """Whether the journal has grown since the dataset was written."""
        try:
            written = (self.run / "summary.json").stat().st_mtime
            logs = [path for end in ("", "-wal") if (path := self.run / f"journal.sqlite{end}").exists()]
            return any(log.stat().st_size and log.stat().st_mtime > written + 1 for log in logs)
        except OSError:
            return False

    # one sample

    def source_sample(self, id: str, *, seconds: float = 0) -> Sample | None:
        """The Sample of this id as the source has it.

        None where it is not known, or not yet: the source is read in the background.
        """
        try:
            loaded = self.wait_for_pipeline(seconds)
        except (CotforgeError, TimeoutError, OSError):
            return None
        if not loaded.pipeline.source.at_hand:
            return None  # it would be fetched over a network
        with self._lock:
            walk = self._begin_walk(loaded)
        found = walk.shelf.get_sample(id)
        if found is None and seconds and not walk.is_whole:
            walk.wait(min(seconds, 0.3))
            found = walk.shelf.get_sample(id)
        return found
