"""Outcomes to a dataset folder, a table of losses and one of verdicts, in one streaming pass.

Nothing of the old dataset is touched until all shards of the new one are there: shards carry a hash of their content in their names, the
card names them and is renamed into place last, and only then are shards that it does not name removed.
"""

import errno
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from cotforge.errors import JournalError
from cotforge.export import columns, rows
from cotforge.export import conflicts as conflicts
from cotforge.export import duplicates as duplicates
from cotforge.export.files import PREFIX, SUFFIX, Staged, remove_empty, sweep_folder
from cotforge.export.held_rows import HeldRows
from cotforge.export.owned import Owned
from cotforge.export.previous import KeepOldDataset
from cotforge.export.shards import Entry, Pictured, Traced
from cotforge.export.streamed import Row, Streamed, text_size
from cotforge.pages import Exported, Shard
from cotforge.reasons import BELOW_TARGET
from cotforge.records import CuratedSample, Fault
from cotforge.tally import Tally

__all__ = ["Exported", "export_dataset"]

FOLDERS = {"default": "data", "traces": "traces", "preference": "preference"}
"""Config of the card to folder of the dataset."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def export_dataset(
    stream: Iterable[CuratedSample | Fault],
    folder: Path,
    *,
    measures: Iterable[str],
    tally: Tally,
    card: Callable[[Exported], str],
    optional: Sequence[str] = (),
) -> Exported:
    """Write `dataset/`, `losses.parquet` and `verdicts.parquet` of the run folder, counting all that is given in `tally`.

    `optional` are the columns of `columns.OPTIONAL` that Lessons have.
    `card` is asked for the text of `dataset/README.md` once everything else is written; where it raises KeepOldDataset, the old dataset
    stays, and what was written for the new one is removed. Outcomes come in source order, which the shards
    follow; where Faults stand between them does not matter. The same stream gives the same files, to the byte.
    A Lesson whose pictures have changed or gone since it was made is a loss of stage `export`, not an error; its trace keeps its fate.
    Raises JournalError where the disk is full; the old dataset is whole then.
    """
    dataset = folder / "dataset"
    for place in (folder, dataset, *(dataset / name for name in FOLDERS.values())):
        sweep_folder(place, pattern=f"{PREFIX}*{SUFFIX}")
    owned = Owned(folder)
    before = set(owned.names)
    try:
        with ExitStack() as stack:
            tables = _Tables(folder, tally, tuple(measures), stack, owned, optional)
            for item in stream:
                if isinstance(item, Fault):
                    tables.fault(item)
                else:
                    tables.add(item)
            exported = tables.finish()
            readme = card(exported)
            tables.settle()
            _publish_card(dataset, exported, readme, owned)
            return exported
    except KeepOldDataset:
        owned.keep(before)
        raise
    except OSError as fault:
        if fault.errno not in FULL:
            raise
        raise JournalError(f"{folder}: the disk is full; make room, then run the same command again: nothing paid for is lost") from fault


def _publish_card(dataset: Path, exported: Exported, card: str, owned: Owned) -> None:
    """Put the card in place, then remove the run's shards that it does not name."""
    with Staged(dataset) as staged:
        staged.file.write(card.encode("utf-8", "replace"))
        staged.settle("README.md")
    owned.keep(shard.path for splits in exported.shards.values() for shards in splits.values() for shard in shards)
    for name in FOLDERS.values():
        remove_empty(dataset / name)


class _Tables:
    """The tables of one export while they are written."""

    def __init__(
        self, folder: Path, tally: Tally, measures: Sequence[str], stack: ExitStack, owned: Owned, optional: Sequence[str]
    ) -> None:
        self._owned, self._stack, self._optional = owned, stack, optional
        named = columns.measure_columns(measures)
        self._dataset = folder / "dataset"
        self._tally = tally
        self._measures = tuple(named.values())
        lessons = columns.lesson_columns(named, optional)
        self._columns = {"default": lessons, "traces": columns.trace_columns(named, optional), "preference": columns.PREFERENCE}
        self._pictured: dict[tuple[str, str], Pictured] = {}
        self._traces = Traced(self._dataset / FOLDERS["traces"], self._columns["traces"], stack, owned)
        self._staged = stack.enter_context(Staged(folder))
        self._losses = stack.enter_context(Streamed(self._staged, columns.LOSSES))
        self._staged_verdicts = stack.enter_context(Staged(folder))
        self._verdicts = stack.enter_context(Streamed(self._staged_verdicts, columns.VERDICTS))

    def fault(self, fault: Fault) -> None:
        self._tally.fault(fault)
        self._write_losses(fault.id or fault.where, [rows.fault_row(fault)])

    def add(self, outcome: CuratedSample) -> None:
        self._tally.add(outcome)
        self._write_losses(outcome.sample.id, list(rows.loss_rows(outcome)))
        self._verdicts.add(outcome.sample.id, [verdict := rows.verdict_row(outcome)], size=text_size([verdict]))
        traces = [rows.trace_row(outcome.sample, judged, self._measures, self._optional) for judged in outcome.traces]
        self._traces.add(outcome.sample.id, traces)
        split = rows.split_name(outcome.sample.split)
        lessons = [rows.lesson_row(lesson, self._measures, self._optional) for lesson in outcome.lessons]
        self._open_shards("default", split).add(outcome, lessons)
        self._open_shards("preference", split).add(outcome, rows.preference_rows(outcome))

    def finish(self) -> Exported:
        """End all tables; the shards have their names then."""
        shards: dict[str, dict[str, Sequence[Shard]]] = {}
        for (config, split), pictured in self._pictured.items():
            pictured.close()
            if pictured.shards:
                shards.setdefault(config, {})[split] = pictured.shards
        self._traces.close()
        if self._traces.shards:
            shards["traces"] = {"train": self._traces.shards}
        self._losses.close()
        self._verdicts.close()
        there = {config: shards[config] for config in FOLDERS if config in shards}
        features = {config: columns.hub_features(self._columns[config]) for config in there}
        return Exported(there, features, "" if "default" in there else self._why_no_lessons())

    def settle(self) -> None:
        """Give `verdicts.parquet` and `losses.parquet` their names."""
        self._staged_verdicts.settle("verdicts.parquet")
        self._staged.settle("losses.parquet")

    def _open_shards(self, config: str, split: str) -> Pictured:
        if (config, split) not in self._pictured:
            lost = self._add_losses if config == "default" else self._lost_pair
            folder = self._dataset / FOLDERS[config]
            self._stack.callback((held := HeldRows(folder)).clear)
            self._pictured[config, split] = Pictured(folder, split, self._columns[config], lost, self._owned, held)
        return self._pictured[config, split]

    def _add_losses(self, entry: Entry, rows: Sequence[Row], fault: Fault) -> None:
        lessons = [dict(zip(self._columns["default"], row, strict=True)) for row in rows]
        teachers, origins = ([lesson[name] for lesson in lessons] for name in ("teacher", "origin"))
        self._tally.withdraw(entry.sample, entry.verdict, teachers, reason=f"export:{fault.reason}", origins=origins)
        lost = [(entry.sample.id, lesson["teacher"], lesson["call"], "export", fault.reason, str(fault)) for lesson in lessons]
        self._write_losses(entry.sample.id, lost)

    def _lost_pair(self, entry: Entry, rows: Sequence[Row], fault: Fault) -> None:
        self._tally.preference -= 1
        self._write_losses(entry.sample.id, [(entry.sample.id, None, None, "export", fault.reason, f"preference: {fault}")])

    def _write_losses(self, id: str, lost: Sequence[Row]) -> None:
        """Write rows of `losses.parquet`."""
        if lost:
            self._losses.add(id, lost, size=text_size(lost))

    def _why_no_lessons(self) -> str:
        largest = self._tally.largest_reason()
        if largest is None:
            return "no lessons: the source gave no sample to ask about"
        reason, count = largest
        unpromised = self._tally.unpromised if reason == BELOW_TARGET else 0
        promise = f", {unpromised:,} of them left out by consensus.promise" if unpromised else ""
        return f"no lessons: {count:,} of {self._tally.rows():,} rows ended as {reason}{promise}; losses.parquet has each"
