"""Rows of a source as Samples: pictures looked at a little ahead, ids made and compared, labels brought into the set."""

import json
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from cotforge.errors import SourceError
from cotforge.images import PictureStore, Ref
from cotforge.records import Fault, Picture, Sample
from cotforge.sources.chunked import ChunkedPool, Pending
from cotforge.sources.clashes import Clashes
from cotforge.sources.labels import TaskRules, label_of, not_astray
from cotforge.sources.raw_rows import RawRow, Unused
from cotforge.sources.sample_rules import DuplicateRule, HeldOutRule, RowSource
from cotforge.sources.seen import Seen
from cotforge.sources.spread import spread_classes
from cotforge.sources.values import clean_value

T = TypeVar("T")

UNUSED_NAMED = 5
"""Files that are not used, of which the names are told."""

LABELLED_PER_CLASS = 20
"""Labelled samples per class from which on one without any is told of (chosen by us): among few it is chance."""
COLUMNS_NAMED, COLUMN_SHOWN = 10, 40
"""Columns that nothing is read from that are told, and characters of each."""
LABELS_NAMED, LABEL_SHOWN, LABELS_TOLD_APART = 10, 40, 1_000
"""Labels outside the set that are told with their counts, characters of each, and how many different ones are counted."""

THREADS = 3
_AHEAD = 32
"""Rows whose pictures are looked at before they are asked for."""

_Pictures = ChunkedPool[Sequence[Ref], tuple[Picture, ...]]
_Begun = tuple[Picture, ...] | Pending[Sequence[Ref], tuple[Picture, ...]] | Fault
"""Pictures that are known, or on their way, or why there are none."""

Read = tuple[RawRow | Fault, Sample | Fault]
"""What the data says, and what became of it."""


@dataclass(slots=True)
class Counts:
    """What was met, counted as the source is read."""

    rows: int = 0
    """Sound or not."""
    labels_unknown: int = 0
    """Labels outside the set; their samples go on without one."""
    astray: Counter[str] = field(default_factory=Counter)
    """Those labels, as they stand in the data; at most LABELS_TOLD_APART are told apart."""
    clashes: Clashes = field(default_factory=Clashes, compare=False)
    """Photos that stand under two labels."""
    classes: dict[str, int] = field(default_factory=dict, compare=False)
    """How often each label of the closed set was met; empty where there is none, or only a part of the source is read."""
    labels_missing: int = 0
    held_out: int = 0
    """Sound samples that nobody is asked about."""
    duplicates: int = 0
    """Rows left out as equal to an earlier one of the same id."""
    unused: int = 0
    """Files among the data that no sample comes from."""
    unused_names: list[str] = field(default_factory=list)
    """Of the first of them."""
    unused_columns: dict[str, None] = field(default_factory=dict, compare=False)
    """Names of columns that nothing is read from, in order."""
    labelled: int = field(default=0, compare=False)
    """Sound samples with a label."""
    repeated: DuplicateRule | None = field(default=None, compare=False)
    """What was found to be a duplicate; None where nobody looks for it."""
    shown_otherwise: int = 0
    """Samples with a picture that would have become one colour."""

    def used(self, rows: Iterator[RawRow | Fault | Unused]) -> Iterator[RawRow | Fault]:
        """The rows alone; what is not used is counted."""
        for row in rows:
            if not isinstance(row, Unused):
                yield row
                continue
            if row.is_column:
                self.unused_columns[clean_value(row.name)[:COLUMN_SHOWN]] = None
                continue
            self.unused += 1
            if len(self.unused_names) < UNUSED_NAMED:
                self.unused_names.append(clean_value(row.name)[:100])

    def notes(self) -> list[str]:
        """Lines for the user about what was passed over, or is not sent as it is."""
        lines = []
        if self.held_out:
            lines.append(f"{self.held_out:,} of {count_rows(self.rows)} held out by eval.share: no teacher is asked about them")
        if self.unused:
            names = ", ".join(map(repr, self.unused_names)) + (", ..." if self.unused > len(self.unused_names) else "")
            files = "1 file in the source is" if self.unused == 1 else f"{self.unused:,} files in the source are"
            lines.append(f"{files} not used: {names}")
        if self.shown_otherwise:
            have = "1 sample has" if self.shown_otherwise == 1 else f"{self.shown_otherwise:,} samples have"
            lines.append(f"{have} a picture that would be one colour: it is scaled by its own range, or put on black")
        if self.labels_unknown:
            named = ", ".join(f"{label!r} {count:,}" for label, count in self.astray.most_common(LABELS_NAMED))
            more = ", ..." if len(self.astray) > LABELS_NAMED else ""
            labels = "1 label is" if self.labels_unknown == 1 else f"{self.labels_unknown:,} labels are"
            lines.append(f"{labels} not in the set and count{'s' * (self.labels_unknown == 1)} as unknown: {named}{more}")
        return [*lines, *self._empty_classes(), *filter(None, [self.clashes.note()]), *(self.repeated.notes() if self.repeated else ())]

    def without_labels(self) -> str:
        """A line that no sample has a label; empty where one has, or none was read."""
        if self.labelled or not self.labels_missing:
            return ""
        line, remedy = "no sample that was read has a label", "source.columns.label names the one with the labels"
        return f"{line}; unused columns: {self.name_columns()}: {remedy}" if self.unused_columns else line

    def name_columns(self) -> str:
        """The columns that nothing is read from, the first of them by name."""
        return ", ".join(list(self.unused_columns)[:COLUMNS_NAMED]) + (", ..." if len(self.unused_columns) > COLUMNS_NAMED else "")

    def _empty_classes(self) -> Iterator[str]:
        """A line about labels of the set that no sample has, with what may have been meant."""
        labelled = sum(self.classes.values())
        empty = [name for name, count in self.classes.items() if not count] if labelled else []
        near = next((found[0] for name in empty if (found := get_close_matches(name, list(self.astray), n=1))), None)
        if empty and (near or labelled >= LABELLED_PER_CLASS * len(self.classes)):
            named = ", ".join(f"{name[:LABEL_SHOWN]!r}" for name in empty[:LABELS_NAMED]) + (", ..." if len(empty) > LABELS_NAMED else "")
            yield f"no sample that was read is labelled {named}" + (f"; did you mean {near!r}?" if near else "")

    def stray(self, label: str) -> None:
        """Count a label outside the set."""
        self.labels_unknown += 1
        shown = clean_value(label)[:LABEL_SHOWN]
        if shown in self.astray or len(self.astray) < LABELS_TOLD_APART:
            self.astray[shown] += 1


def count_rows(count: int) -> str:
    """So many rows, in words."""
    return "1 row" if count == 1 else f"{count:,} rows"


def read_samples(
    source: RowSource,
    task: TaskRules,
    store: PictureStore,
    *,
    root: Path,
    limit: int | None = None,
    spreads: bool = False,
    held_out: HeldOutRule | None = None,
    counts: Counts | None = None,
) -> Generator[Sample | Fault]:
    """Every sound Sample in the order of the source, at most `limit`, and a Fault in the place of each row that is none.

    Those that are `held_out` are left out; `limit` does not count them, and `source.limit` does.

    With `spreads` those under a limit are drawn by chance instead, as many of each class (see `spread`), unless the source is read
    over a network. Paths are relative to `root`. Samples come while the source is being read; as long as every label met was outside
    the set, they are held back (at most 1,000), so that nothing is paid for with a wrong label column. Raises SourceError where no
    label is in the set, no row is sound, or the source cannot be read at all.
    """
    left = min((most for most in (source.limit, limit) if most is not None), default=None)
    counts = counts or Counts()
    counts.classes = dict.fromkeys(task.options(None), 0) if left is None else {}
    soundness = Soundness(source.path, counts, most=source.limit, limit=limit)
    rows = wanted_rows(source, task, store, root=root, counts=counts, limit=limit, spreads=spreads, held_out=held_out)
    with closing(make_samples(rows, task, store, counts, held_out)) as read, closing(counts.clashes):
        while not soundness.is_enough and (pair := next(read, None)) is not None:
            soundness.saw(pair[1], is_held=(is_held := is_held_out(pair[1], held_out)))
            if not is_held:
                yield pair[1]
    if left != 0:
        soundness.demand()


def wanted_rows(
    source: RowSource,
    task: TaskRules,
    store: PictureStore,
    *,
    root: Path,
    counts: Counts,
    limit: int | None,
    spreads: bool,
    held_out: HeldOutRule | None = None,
) -> Iterator[RawRow | Fault]:
    """The rows that Samples are made of, until there are enough. Raises as `read_samples` does, but for rows that are none."""
    rows = not_astray(counts.used(source.rows(root, store.spool)), source.path, task)
    if not spreads or limit is None or not source.at_hand:
        return rows
    return spread_classes(_first_rows(rows, source.limit), task, store, lambda row: _is_held_row(row, store, held_out))


def is_held_out(item: Sample | Fault, held_out: HeldOutRule | None) -> bool:
    """Whether it is a Sample that nobody is asked about."""
    return held_out is not None and isinstance(item, Sample) and held_out.holds_pictures(picture.digest for picture in item.pictures)


def _is_held_row(row: RawRow, store: PictureStore, held_out: HeldOutRule | None) -> bool:
    """The same of a row; one whose pictures cannot be read is not held out."""
    if held_out is None:
        return False
    try:
        return held_out.holds_pictures([store.digest(ref) for ref in row.images])
    except Fault:
        return False


def _first_rows(rows: Iterator[RawRow | Fault], most: int | None) -> Iterator[RawRow | Fault]:
    """So many rows that are none Faults, with the Faults before them."""
    count = 0
    for row in rows:
        yield row
        count += isinstance(row, RawRow)
        if count == most:
            return


def not_only_faults(items: Iterator[T | Fault]) -> Iterator[T | Fault]:
    """The same. Raises SourceError at the end where all were Faults: rows that are sound, and of which nothing can be made."""
    first: Fault | None = None
    sound = False
    for item in items:
        if isinstance(item, Fault):
            first = first or item
        else:
            sound = True
        yield item
    if first is not None and not sound:
        raise SourceError(f"no sample can be asked about; the first: {first}")


class Soundness:
    """How many Samples were sound, and why the others were not."""

    def __init__(self, path: str, counts: Counts, *, most: int | None = None, limit: int | None = None) -> None:
        """`most`: sound Samples that are read, at most; `limit`: of them those that are not held out."""
        self._path, self._counts, self._most, self._limit = path, counts, most, limit
        self.sound = self.asked = 0
        self._faults: Counter[str] = Counter()
        self._examples: dict[str, Fault] = {}

    @property
    def is_enough(self) -> bool:
        """Whether no more are wanted."""
        return self.sound == self._most or self.asked == self._limit

    def saw(self, item: Sample | Fault, *, is_held: bool = False) -> None:
        """One more."""
        if isinstance(item, Fault):
            self._faults[item.reason] += 1
            self._examples.setdefault(item.reason, item)
        else:
            self.sound += 1
            self.asked += not is_held

    def demand(self) -> None:
        """Raises SourceError where none was sound."""
        if not self.sound:
            raise SourceError(self._nothing_sound())

    def _nothing_sound(self) -> str:
        if not self._faults:
            nothing = f"has no row; {self._counts.notes()[0]}" if self._counts.unused else "is empty"
            return f"source.path: {self._path!r} {nothing}; at least one row is needed"
        reason, count = self._faults.most_common(1)[0]
        all_faults, first = self._faults.total(), self._examples[reason]
        return f"source.path: no sound row in {self._path!r}; {count:,} of {all_faults:,} faults are {reason!r}, the first: {first}"


def make_samples(
    rows: Iterator[RawRow | Fault], task: TaskRules, store: PictureStore, counts: Counts, held_out: HeldOutRule | None = None
) -> Generator[Read]:
    """Every row with its Sample or Fault, but for rows that are equal to an earlier one. Those `held_out` are counted.

    Duplicates are judged by `counts.repeated`, in the order of the rows; those `held_out` are not.
    """
    repeated = counts.repeated
    pool = _Pictures(lambda refs: _look_at_pictures(refs, store, repeated), THREADS, name="pictures")
    with closing(Seen()) as seen:
        try:
            for row, begun in work_ahead(rows, lambda row: _begin_row(row, store, pool, repeated)):
                counts.rows += 1
                try:
                    sample = _make_sample(row, _end_pictures(begun), task)
                    clash = counts.clashes.of(sample)
                    if (
                        clash is not None and isinstance(row, RawRow) and row.own_id is None
                    ):  # its id is that of the earlier row, which has another label
                        raise Fault("label_clash", f"the same photo stands under another label: {clash}; only the earlier row is taken")
                    if not _is_new(sample, seen):
                        counts.duplicates += 1
                        continue
                    if repeated is not None and not is_held_out(sample, held_out):
                        sample = repeated.judge(sample)
                except Fault as fault:
                    yield row, _fault_with_place(fault, row)
                    continue
                counts.shown_otherwise += any(picture.digest in store.shown_otherwise for picture in sample.pictures)
                told = None if isinstance(row, Fault) else row.label if row.label_index is None else row.label_index
                if told is not None and sample.label is None:
                    counts.stray(str(told))
                counts.labels_missing += told is None
                counts.labelled += sample.label is not None
                if sample.label in counts.classes:
                    counts.classes[sample.label] += 1
                counts.held_out += is_held_out(sample, held_out)
                yield row, sample
        finally:
            pool.close()


def work_ahead(rows: Iterator[RawRow | Fault], begin: Callable[[RawRow], T]) -> Iterator[tuple[RawRow | Fault, T | Fault]]:
    """Rows with what was begun for them, before they are asked for: few rows ahead at first, then more."""
    waiting: deque[tuple[RawRow | Fault, T | Fault]] = deque()
    most = 1
    while True:
        while len(waiting) < most and (row := next(rows, None)) is not None:
            waiting.append((row, row if isinstance(row, Fault) else begin(row)))
        if not waiting:
            return
        yield waiting.popleft()
        most = min(2 * most, _AHEAD)


def _look_at_pictures(refs: Sequence[Ref], store: PictureStore, repeated: DuplicateRule | None) -> tuple[Picture, ...]:
    pictures = tuple(store.picture(ref) for ref in refs)
    if repeated is not None:
        repeated.prepare(pictures)
    return pictures


def _begin_row(row: RawRow, store: PictureStore, pool: _Pictures, repeated: DuplicateRule | None) -> _Begun:
    try:
        known = [store.recall(ref) for ref in row.images]
    except Fault as fault:
        return fault
    pictures = tuple(picture for picture in known if picture is not None)
    ready = len(pictures) == len(known) and (repeated is None or not repeated.lacks(pictures))
    return pictures if ready else pool.submit(row.images)


def _end_pictures(begun: _Begun) -> tuple[Picture, ...]:
    if isinstance(begun, Fault):
        raise begun
    return begun.result() if isinstance(begun, Pending) else begun


def _make_sample(row: RawRow | Fault, pictures: tuple[Picture, ...], task: TaskRules) -> Sample:
    assert isinstance(row, RawRow)  # a Fault has been raised before
    question = row.question or task.question
    if question is None:
        raise Fault(
            "no_question", "no question in the row, and none under task.question; columns.question names its column, maybe a conversation"
        )
    options = task.options(row.options)
    id = row.id or id_from([picture.digest for picture in pictures], question)
    return Sample(id, pictures, question, options, label_of(row, options, task), row.split, row.meta, clean_value(row.where))


def _is_new(sample: Sample, seen: Seen) -> bool:
    """False for a row equal to an earlier one. Raises Fault `duplicate_id` for the same id with other content."""
    meta = json.dumps(sample.meta, sort_keys=True) if sample.meta else ""
    parts = (*(picture.digest for picture in sample.pictures), sample.question, *sample.options, str(sample.label), meta)
    before = seen.before(sample.id, "\0".join(parts))
    if before == "other":
        raise Fault("duplicate_id", f"id {sample.id!r} stands for other content in an earlier row; only that one is taken", id=sample.id)
    return before is None


def _fault_with_place(fault: Fault, row: RawRow | Fault) -> Fault:
    """The Fault on one line, with its place and no harmful characters: details quote names and values of the data."""
    return Fault(
        fault.reason,
        " ".join(clean_value(fault.detail).split()),
        where=clean_value(fault.where or row.where),
        id=fault.id or (row.id if isinstance(row, Fault) else row.own_id),
        stage=fault.stage,
    )


def id_from(digests: Sequence[str], question: str) -> str:
    """The id of a row that has none of its own: from what is seen and asked."""
    return sha256("\n".join((*digests, question)).encode()).hexdigest()[:32]
