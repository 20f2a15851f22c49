"""A trial of few Samples: drawn by chance, spread over the classes, and part of every larger trial."""

import os
from array import array
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from heapq import heapify, heappop, heapreplace

from cotforge.images import CellRef, FileRef, MemberRef, PictureStore, Ref
from cotforge.order import sample_rank
from cotforge.records import Fault
from cotforge.sources.labels import TaskRules, label_of
from cotforge.sources.parked import Parked
from cotforge.sources.raw_rows import RawRow

_NO_CLASS = -1
_BITS = 32
_NUMBER = (1 << _BITS) - 1


def spread_classes(
    rows: Iterator[RawRow | Fault], task: TaskRules, store: PictureStore, is_held: Callable[[RawRow], bool] = lambda row: False
) -> Generator[RawRow | Fault]:
    """All rows, one of each class in turn, each class in the order of `rank`; then the Faults. A row that `is_held` takes no turn.

    The order follows from ids and labels alone, whatever the order of the source. Rows without a label, or with one that is not in
    the set, are one more class; where there is no closed set, all are one. `rank` is that of `rule: sequential`, so that of a trial's
    Samples as many as can be are in the warm-up of the whole.
    """
    classes = {name: place for place, name in enumerate(task.options(None))}
    with closing(Parked(store.scratch())) as parked:
        places, ranks, labels = array("Q"), array("Q"), array("i")
        faults = array("Q")
        for row in rows:
            if isinstance(row, Fault):
                faults.append(parked.keep(row))
                continue
            places.append(parked.keep(row))
            ranks.append(sample_rank(_row_name(row)))
            labels.append(_row_class(row, task, classes) if classes else _NO_CLASS)
        turns = _in_turn(ranks, labels)
        number = next(turns, None)
        while number is not None:
            row = parked.at(places[number])
            yield row
            try:
                number = turns.send(isinstance(row, RawRow) and is_held(row))
            except StopIteration:
                break
        yield from map(parked.at, faults)


def _in_turn(ranks: "array[int]", labels: "array[int]") -> Generator[int, bool | None]:
    """Numbers of the rows: by rank within each class, and the first of each before the second of any.

    Whoever is sent True gets the next row of the same class for it. What is sorted are integers that hold their row's number in their
    last bits: with a key there would be a list more of them.
    """
    packed = [rank << _BITS | number for number, rank in enumerate(ranks)]
    packed.sort()
    classes: dict[int, array[int]] = defaultdict(lambda: array("I"))
    by_rank = array("I")
    for place, entry in enumerate(packed):
        by_rank.append(entry & _NUMBER)
        classes[labels[entry & _NUMBER]].append(place)
    del packed
    waiting = [(0, places[0], name, 0) for name, places in classes.items()]
    heapify(waiting)
    while waiting:
        turn, place, name, used = waiting[0]
        takes_none = yield by_rank[place]
        places, used = classes[name], used + 1
        if used < len(places):
            heapreplace(waiting, (turn + (not takes_none), places[used], name, used))
        else:
            heappop(waiting)


def _row_class(row: RawRow, task: TaskRules, classes: dict[str, int]) -> int:
    try:
        label = label_of(row, task.options(row.options), task)
    except Fault:  # of its options: told where the row becomes a Sample
        return _NO_CLASS
    return classes.get(label, _NO_CLASS) if label is not None else _NO_CLASS


def _row_name(row: RawRow) -> str:
    """The id, or what stands for it as long as nothing is known of the pictures: their names in the data, and the question."""
    return row.id if row.id is not None else "\n".join((*map(_ref_place, row.images), row.question or ""))


def _ref_place(ref: Ref) -> str:
    """The same on every machine. Bytes that were kept have the name of their content."""
    file = os.path.basename(ref.path) if isinstance(ref, FileRef | MemberRef | CellRef) else ""
    return f"{file}\0{ref.name}"
