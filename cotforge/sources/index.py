"""The rows of a source by wave: the source is read once, and a picture is looked at when its Sample is asked for."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

from cotforge.images import PictureStore
from cotforge.records import Fault, Sample
from cotforge.sources.chunked import ChunkedPool, Pending
from cotforge.sources.labels import TaskRules
from cotforge.sources.parked import Parked
from cotforge.sources.raw_rows import RawRow
from cotforge.sources.sample_rules import DuplicateRule, HeldOutRule, RowSource
from cotforge.sources.sample_stream import (
    THREADS,
    Counts,
    Soundness,
    id_from,
    is_held_out,
    make_samples,
    wanted_rows,
    work_ahead,
)

Stopped = Callable[[], object]


class Index:
    """Reads a source wave by wave. Rows wait in a file without a name, and in memory with 8 bytes each.

    A row without an id of its own has one that follows from its picture, which is then read in the first reading, but decoded later
    where that does. Under a limit, which counts sound Samples, all pictures are looked at in the first reading. Rows of equal ids meet
    in one wave, in the order of the source.
    """

    def __init__(
        self,
        source: RowSource,
        task: TaskRules,
        store: PictureStore,
        *,
        root: Path,
        wave: Callable[[str], int],
        limit: int | None = None,
        spreads: bool = False,
        held_out: HeldOutRule | None = None,
        repeated: Callable[[], DuplicateRule | None] = lambda: None,
    ) -> None:
        """`wave`: that of an id, from 0; `repeated`: makes what judges duplicates in one reading; the others as `samples` has them.

        Duplicates follow from the order of the source, so that all pictures are looked at in the first reading then.
        """
        self._source, self._task, self._store, self._root, self._wave = source, task, store, root, wave
        self._limit, self._spreads, self._held_out = limit, spreads, held_out
        self._repeated = repeated
        self._left = min((most for most in (source.limit, limit) if most is not None), default=None)
        self.counts = Counts()
        """Of the first reading of each wave."""
        self._whole = False
        """Whether the source has been read to its end."""
        self._begin_reading()

    def _begin_reading(self) -> None:
        self.counts.clashes.close()
        self.counts = Counts(repeated=self._repeated())
        self._soundness = Soundness(self._source.path, self.counts, most=self._source.limit, limit=self._limit)
        self._parked = Parked(self._store.scratch())
        self._places: dict[int, array[int]] = defaultdict(lambda: array("Q"))
        self._unread: set[int] = set()
        """Waves with rows of which none has been looked at."""

    def close(self) -> None:
        """Lets go of the files."""
        self._parked.close()
        self.counts.clashes.close()

    def of_wave(self, wave: int, *, stopped: Stopped = bool) -> Iterator[Sample | Fault]:
        """The Samples of a wave in the order of the source, until `stopped`; 0 has the Faults of rows that have no wave.

        Raises SourceError as `samples` does, where no row is sound in the last of the waves.
        """
        if not self._whole and wave:
            for _ in self._first_wave(bool):
                pass
        read = self._later_wave(wave) if self._whole else self._first_wave(stopped)
        with closing(read):
            for item in read:
                if stopped():
                    return
                yield item

    def _first_wave(self, stopped: Stopped) -> Generator[Sample | Fault]:
        """The source from its beginning: what is of wave 0 comes, all is kept."""
        self._parked.close()
        self._begin_reading()
        rows = wanted_rows(
            self._source, self._task, self._store, root=self._root, counts=self.counts, limit=self._limit, spreads=self._spreads,
            held_out=self._held_out,
        )  # fmt: skip
        with closing(make_samples(self._sift_rows(rows, stopped), self._task, self._store, self.counts, self._held_out)) as read:
            while not self._soundness.is_enough and (pair := next(read, None)) is not None:
                row, item = pair
                self._soundness.saw(item, is_held=(is_held := is_held_out(item, self._held_out)))
                if is_held:
                    continue
                wave = 0 if isinstance(item, Fault) else self._wave(item.id)
                self._keep_row(_recall_row(row, item), wave)
                if wave == 0:
                    yield item
        if not stopped():
            self._whole = True
            self._unread.discard(0)
            self._demand_sound()

    def _sift_rows(self, rows: Iterator[RawRow | Fault], stopped: Stopped) -> Iterator[RawRow | Fault]:
        """The rows whose pictures are looked at now; the others are kept for their waves."""
        looks_at_all = self._left is not None or self.counts.repeated is not None
        for row in rows if looks_at_all else self._name_rows(rows):
            if stopped():
                return
            if not looks_at_all and isinstance(row, RawRow) and row.id is not None and (wave := self._wave(row.id)):
                self._keep_row(row, wave)
                self._unread.add(wave)
            else:
                yield row

    def _name_rows(self, rows: Iterator[RawRow | Fault]) -> Iterator[RawRow | Fault]:
        """The rows with their ids: their pictures are read for that where it has to be, and decoded where reading does not tell."""
        pool = ChunkedPool(self._row_id, THREADS, name="naming")
        try:
            for row, id in work_ahead(rows, lambda row: row.id or pool.submit(row)):
                found = id.result() if isinstance(id, Pending) else None
                yield row if found is None or isinstance(row, Fault) else row.with_derived_id(found)
        finally:
            pool.close()

    def _row_id(self, row: RawRow) -> str | None:
        """That of a row without one; None where it is no Sample, which is told where that would be made."""
        question = row.question or self._task.question
        try:
            return None if question is None else id_from([self._store.digest(ref) for ref in row.images], question)
        except Fault:
            return None

    def _later_wave(self, wave: int) -> Generator[Sample | Fault]:
        """What was kept for a wave."""
        first = wave in self._unread
        judged = self.counts.repeated
        counts = self.counts if first else Counts(repeated=judged and judged.again())
        with closing(make_samples(self._kept_rows(wave), self._task, self._store, counts, self._held_out)) as read:
            for _, item in read:
                is_held = is_held_out(item, self._held_out)
                if first:
                    self._soundness.saw(item, is_held=is_held)
                if not is_held:
                    yield item
        if first:
            self._unread.discard(wave)
            self._demand_sound()
        else:
            counts.clashes.close()

    def _demand_sound(self) -> None:
        if not self._unread and self._left != 0:
            self._soundness.demand()

    def _keep_row(self, row: RawRow | Fault, wave: int) -> None:
        self._places[wave].append(self._parked.keep(row))

    def _kept_rows(self, wave: int) -> Iterator[RawRow | Fault]:
        return map(self._parked.at, self._places.get(wave, ()))


def _recall_row(row: RawRow | Fault, item: Sample | Fault) -> RawRow | Fault:
    """What is kept of a row that was looked at: where it is sound, the row with its id."""
    if isinstance(item, Fault) or isinstance(row, Fault):
        return item if isinstance(item, Fault) else row
    return row if row.id is not None else row.with_derived_id(item.id)
