"""Rows of a source as Samples: pictures looked at a little ahead, ids made and compared, labels brought into the set."""

import json
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from cotforge.errors import SourceError
from cotforge.images import PictureStore, Ref
from cotforge.records import Fault, Picture, Sample
from cotforge.sources.clashes import Clashes
from cotforge.sources.rows import Row, Spool, Unused
from cotforge.sources.seen import Seen
from cotforge.sources.text import clean

T = TypeVar("T")

LABELS_TRIED = 1_000
"""If none of so many labels is in the set, the set or the label column is wrong."""

UNUSED_NAMED = 5
"""Files that are not used, of which the names are told."""

LABELS_NAMED, LABEL_SHOWN, LABELS_TOLD_APART = 10, 40, 1_000
"""Labels outside the set that are told with their counts, characters of each, and how many different ones are counted."""

_THREADS = 3
_AHEAD = 32
"""Rows whose pictures are looked at before they are asked for."""

_Begun = tuple[Picture, ...] | Future[tuple[Picture, ...]] | Fault
"""Pictures that are known, or on their way, or why there are none."""

_Made = Generator[tuple[Sample | Fault, str | None], None, None]
"""Each with its label where that is outside the set."""


class Data(Protocol):
    """What every kind of source offers."""

    @property
    def path(self) -> str:
        """As the pipeline file has it."""

    @property
    def limit(self) -> int | None:
        """Sound samples, at most."""

    def rows(self, root: Path, spool: Spool) -> Iterator[Row | Fault | Unused]:
        """Everything there is, in order."""


class Asked(Protocol):
    """What a task tells of a sample."""

    @property
    def question(self) -> str | None:
        """Where the row has none."""

    def options(self, row_options: Sequence[object] | None = None) -> tuple[str, ...]:
        """The closed set. Raises Fault where the row's is none."""

    def label(self, raw: object, options: tuple[str, ...] = ()) -> str | None:
        """Canonical; None outside the set."""


@dataclass(slots=True)
class Counts:
    """What was met, counted as the source is read."""

    rows: int = 0
    """Sound or not."""
    labels_unknown: int = 0
    """Labels outside the set; their samples go on without one."""
    astray: Counter[str] = field(default_factory=Counter)
    """Those labels, as they stand in the data; at most LABELS_TOLD_APART are told apart."""
    clashes: Clashes = field(default_factory=Clashes)
    """Photos that stand under two labels."""
    labels_missing: int = 0
    duplicates: int = 0
    """Rows left out as equal to an earlier one of the same id."""
    unused: int = 0
    """Files among the data that no sample comes from."""
    unused_names: list[str] = field(default_factory=list)
    """Of the first of them."""
    shown_otherwise: int = 0
    """Samples with a picture that would have become one colour."""

    def used(self, rows: Iterator[Row | Fault | Unused]) -> Iterator[Row | Fault]:
        """The rows alone; what is not used is counted."""
        for row in rows:
            if not isinstance(row, Unused):
                yield row
                continue
            self.unused += 1
            if len(self.unused_names) < UNUSED_NAMED:
                self.unused_names.append(clean(row.name)[:100])

    def notes(self) -> list[str]:
        """Lines for the user about what was passed over, or is not sent as it is."""
        lines = []
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
        return [*lines, *filter(None, [self.clashes.note()])]

    def stray(self, label: str) -> None:
        """Count a label outside the set."""
        self.labels_unknown += 1
        shown = clean(label)[:LABEL_SHOWN]
        if shown in self.astray or len(self.astray) < LABELS_TOLD_APART:
            self.astray[shown] += 1


def samples(
    source: Data, task: Asked, store: PictureStore, *, root: Path, limit: int | None = None, counts: Counts | None = None
) -> Iterator[Sample | Fault]:
    """Every sound Sample in the order of the source, at most `limit`, and a Fault in the place of each row that is none.

    Paths are relative to `root`. Samples come while the source is being read; as long as every label met was outside the set,
    they are held back (at most 1,000), so that nothing is paid for with a wrong label column. Raises SourceError where no label is
    in the set, no row is sound, or the source cannot be read at all.
    """
    left = min((most for most in (source.limit, limit) if most is not None), default=None)
    faults: Counter[str] = Counter()
    examples: dict[str, Fault] = {}
    sound = 0
    counts = counts or Counts()
    made = _made(counts.used(source.rows(root, store.spool)), task, store, counts)
    with closing(made), closing(_checked(made, source.path, task)) as checked:
        while sound != left and (found := next(checked, None)) is not None:
            if isinstance(found, Fault):
                faults[found.reason] += 1
                examples.setdefault(found.reason, found)
            else:
                sound += 1
            yield found
    if not sound and left != 0:
        raise SourceError(_nothing(source.path, faults, examples, counts))


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


def _nothing(path: str, faults: Counter[str], examples: Mapping[str, Fault], counts: Counts) -> str:
    if not faults:
        return f"source.path: {path!r} {f'has no row; {counts.notes()[0]}' if counts.unused else 'is empty'}; at least one row is needed"
    reason, count = faults.most_common(1)[0]
    return f"source.path: no sound row in {path!r}; {count:,} of {faults.total():,} faults are {reason!r}, the first: {examples[reason]}"


def _checked(made: _Made, path: str, task: Asked) -> Generator[Sample | Fault]:
    """The same without the strays (labels outside the set). Raises SourceError where all labels are strays."""
    held: list[Sample | Fault] = []
    strays: list[str] = []
    known = released = False
    for item, stray in made:
        known = known or (isinstance(item, Sample) and item.label is not None)
        if stray is not None and not known:
            strays.append(stray)
            if len(strays) == LABELS_TRIED:
                raise _astray(strays, path, task)
        if known or released or not strays:
            yield from held
            held.clear()
            yield item
        else:
            held.append(item)
            released = len(held) == LABELS_TRIED  # many rows without any label among few strays
    if strays and not known:
        raise _astray(strays, path, task)
    yield from held


def _astray(strays: list[str], path: str, task: Asked) -> SourceError:
    seen = ", ".join(repr(label[:40]) for label in list(dict.fromkeys(strays))[:5])
    labels = task.options(None)
    if not labels:
        return SourceError(f"{path}: task.labels is missing, and no row brings options; labels seen: {seen}")
    wanted = ", ".join(map(repr, labels[:10])) + (", ..." if len(labels) > 10 else "")
    return SourceError(f"{path}: none of the first {len(strays):,} labels is in the set; seen: {seen}; the set: {wanted}")


def _made(rows: Iterator[Row | Fault], task: Asked, store: PictureStore, counts: Counts) -> _Made:
    """(Sample or Fault, its label where that is outside the set), one for every row but those that are equal to an earlier one."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="pictures")
    with closing(Seen()) as seen, closing(counts.clashes):
        try:
            for row, begun in _ahead(rows, store, pool):
                counts.rows += 1
                try:
                    sample = _sample(row, _ended(begun), task)
                    clash = counts.clashes.of(sample)
                    if clash is not None and row.id is None:  # its id is that of the earlier row, which has another label
                        raise Fault("label_clash", f"the same photo stands under another label: {clash}; only the earlier row is taken")
                    if not _is_new(sample, seen):
                        counts.duplicates += 1
                        continue
                except Fault as fault:
                    yield _told(fault, row), None
                    continue
                counts.shown_otherwise += any(picture.digest in store.shown_otherwise for picture in sample.pictures)
                told = row.label if row.label_index is None else row.label_index
                stray = str(told) if told is not None and sample.label is None else None
                if stray is not None:
                    counts.stray(stray)
                counts.labels_missing += told is None
                yield sample, stray
        finally:
            pool.shutdown(cancel_futures=True)


def _ahead(rows: Iterator[Row | Fault], store: PictureStore, pool: Executor) -> Iterator[tuple[Row, _Begun]]:
    """Rows with their pictures, those that must be read under way in threads: few rows ahead at first, then more."""
    waiting: deque[tuple[Row, _Begun]] = deque()
    ahead = 1
    while True:
        while len(waiting) < ahead and (row := next(rows, None)) is not None:
            waiting.append((Row(row.where, (), row.id), row) if isinstance(row, Fault) else (row, _begin(row, store, pool)))
        if not waiting:
            return
        yield waiting.popleft()
        ahead = min(2 * ahead, _AHEAD)


def _begin(row: Row, store: PictureStore, pool: Executor) -> _Begun:
    try:
        known = [store.recall(ref) for ref in row.images]
    except Fault as fault:
        return fault
    pictures = tuple(picture for picture in known if picture is not None)
    return pictures if len(pictures) == len(known) else pool.submit(_pictures, store, row.images)


def _pictures(store: PictureStore, refs: Sequence[Ref]) -> tuple[Picture, ...]:
    return tuple(store.picture(ref) for ref in refs)


def _ended(begun: _Begun) -> tuple[Picture, ...]:
    if isinstance(begun, Fault):
        raise begun
    return begun.result() if isinstance(begun, Future) else begun


def _sample(row: Row, pictures: tuple[Picture, ...], task: Asked) -> Sample:
    question = row.question or task.question
    if question is None:
        raise Fault(
            "no_question", "no question in the row, and none under task.question; columns.question names its column, maybe a conversation"
        )
    options = task.options(row.options)
    id = row.id or _hash(*(picture.digest for picture in pictures), question)
    return Sample(id, pictures, question, options, _label(row, options, task), row.split, row.meta, clean(row.where))


def _label(row: Row, options: tuple[str, ...], task: Asked) -> str | None:
    if row.label_index is not None:
        return task.label(options[row.label_index], options) if 0 <= row.label_index < len(options) else None
    return None if row.label is None else task.label(row.label, options)


def _is_new(sample: Sample, seen: Seen) -> bool:
    """False for a row equal to an earlier one. Raises Fault `duplicate_id` for the same id with other content."""
    meta = json.dumps(sample.meta, sort_keys=True) if sample.meta else ""
    parts = (*(picture.digest for picture in sample.pictures), sample.question, *sample.options, str(sample.label), meta)
    before = seen.before(sample.id, "\0".join(parts))
    if before == "other":
        raise Fault("duplicate_id", f"id {sample.id!r} stands for other content in an earlier row; only that one is taken", id=sample.id)
    return before is None


def _told(fault: Fault, row: Row) -> Fault:
    """The Fault on one line, with its place and no harmful characters: details quote names and values of the data."""
    return Fault(fault.reason, " ".join(clean(fault.detail).split()), where=clean(fault.where or row.where), id=fault.id or row.id)


def _hash(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
