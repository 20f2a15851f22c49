"""Labels of rows beside the set of the task: a label column that is wrong is found before a picture is looked at."""

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Protocol

from cotforge.errors import SourceError
from cotforge.records import Fault
from cotforge.sources.raw_rows import RawRow

LABELS_TRIED = 1_000
"""If none of so many labels is in the set, the set or the label column is wrong."""
LABELS_TOLD = 10
"""Labels, at most, that an error offers as the set."""


class TaskRules(Protocol):
    """What a task tells of a sample."""

    @property
    def question(self) -> str | None:
        """Where the row has none."""

    def options(self, row_options: Sequence[object] | None = None) -> tuple[str, ...]:
        """The closed set. Raises Fault where the row's is none."""

    def label(self, raw: object, options: tuple[str, ...] = ()) -> str | None:
        """Canonical; None outside the set."""


def label_of(row: RawRow, options: tuple[str, ...], task: TaskRules) -> str | None:
    """The row's label, canonical; None where there is none, or none of the set."""
    if row.label_index is not None:
        return task.label(options[row.label_index], options) if 0 <= row.label_index < len(options) else None
    return None if row.label is None else task.label(row.label, options)


def not_astray(rows: Iterator[RawRow | Fault], path: str, task: TaskRules) -> Iterator[RawRow | Fault]:
    """The same rows, held back (at most 1,000) as long as every label that was met is outside the set.

    Raises SourceError where all labels are, or the first 1,000.
    """
    held: list[RawRow | Fault] = []
    strays: list[str] = []
    released = False
    for row in rows:
        label, raw = _met_label(row, task)
        if label is None and raw is not None:
            strays.append(raw)
            if len(strays) == LABELS_TRIED:
                raise _astray_labels(strays, path, task)
        held.append(row)
        if label is not None or released or not strays:
            yield from held
            held.clear()
        released = released or len(held) == LABELS_TRIED  # many rows without any label among few strays
        if label is not None:
            yield from rows
            return
    if strays:
        raise _astray_labels(strays, path, task)
    yield from held


def _met_label(row: RawRow | Fault, task: TaskRules) -> tuple[str | None, str | None]:
    """(canonical label, raw label), each None where there is none."""
    if isinstance(row, Fault):
        return None, None
    raw = row.label if row.label_index is None else row.label_index
    try:
        return label_of(row, task.options(row.options), task), None if raw is None else str(raw)
    except Fault:  # of its options: told where the row becomes a Sample
        return None, None


def _astray_labels(strays: list[str], path: str, task: TaskRules) -> SourceError:
    different = list(dict.fromkeys(strays))
    seen = ", ".join(repr(label[:40]) for label in different[:5])
    labels, remedy = task.options(None), f"give every label of the data: --set {_labels_word(different)}"
    if not labels:
        return SourceError(f"{path}: task.labels is missing, and no row brings options; labels seen: {seen}; {remedy}")
    wanted = ", ".join(map(repr, labels[:10])) + (", ..." if len(labels) > 10 else "")
    found = f"none of the first {len(strays):,} labels is in the set; seen: {seen}; the set: {wanted}"
    return SourceError(f"{path}: {found}; if these labels are right, {remedy}")


def _labels_word(seen: Sequence[str]) -> str:
    """`task.labels` with the labels seen, as a shell takes it; without them where they are many, or cannot be typed."""
    if len(seen) > LABELS_TOLD or not all(label.isprintable() and len(label) <= 40 for label in seen):
        return "'task.labels=[...]'"
    return shlex.quote(f"task.labels={json.dumps(seen, ensure_ascii=False)}")
