"""The sets of lessons that students learn, all of one size, as datasets in a folder each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from benchmarks.followups.score import said_cells, true_cells
from benchmarks.student.faults import FAULTS, Said, is_stopped, plant_fault
from cotforge.train.data.lessons import NEEDED, find_lessons

NAMES = {
    "plain": "lessons as they come",
    "woven": "woven",
    "rescue": "with rescue",
    "planted": "a tenth planted bad, gates off",
    "gated": "the same, gates on",
}
"""By folder."""
BAD = 0.1
"""Share of bad traces."""
SPARE = 0.9
"""Most of the plain vote's lessons that a set takes, so that there are others in place of those that gates stop."""
_COLUMNS = [*NEEDED, "origin"]


def write_sets(out: Path, built: Mapping[str, Path], rng: Random) -> None:
    """Writes every set below `sets/`, and `all` with the texts of all of them; `built` are datasets of the plain vote, rescue and weaving.

    Lessons stay in the order of the source. What was planted and what the gates stopped is in `sets/told.json`.
    """
    plain, rescue, woven = (_read_table(folder) for folder in built.values())
    woven = woven.filter(pa.compute.equal(woven["origin"], "woven"))
    size = min(int(SPARE * len(plain)), len(rescue), len(woven))
    order = rng.sample(range(len(plain)), len(plain))
    chosen, spare = order[:size], order[size:]
    faults = {place: sorted(FAULTS)[number % len(FAULTS)] for number, place in enumerate(rng.sample(chosen, round(BAD * size)))}
    texts = [_said(row) for row in plain.select(["completion", "answer"]).to_pylist()]
    planted = {place: plant_fault(texts[place], texts, kind, rng) for place, kind in faults.items()}
    stopped = [place for place in chosen if is_stopped(Said(planted.get(place, texts[place].reasoning), texts[place].answer))]
    fresh = [place for place in spare if not is_stopped(texts[place])][: len(stopped)]
    tables = {
        "plain": plain.take(sorted(chosen)),
        "woven": woven.take(sorted(rng.sample(range(len(woven)), size))),
        "rescue": rescue.take(sorted(rng.sample(range(len(rescue)), size))),
        "planted": _with_planted(plain, planted).take(sorted(chosen)),
        "gated": _with_planted(plain, planted).take(sorted([*(set(chosen) - set(stopped)), *fresh])),
    }
    for name, table in tables.items():
        _write_table(out / "sets" / name, table)
    found = {kind: sum(faults.get(place) == kind for place in stopped) for kind in FAULTS}
    told = {
        "size": size,
        "faults": {kind: list(faults.values()).count(kind) for kind in FAULTS},
        "stopped": found,
        "sound stopped": len(stopped) - sum(found.values()),
        "sets": {name: _figures(table, out) for name, table in tables.items()},
    }
    (out / "sets" / "told.json").write_text(json.dumps(told), encoding="utf-8")
    _write_table(out / "sets" / "all", pa.concat_tables(list(tables.values())))


def make_student(folder: Path, lessons: Path, *, seed: int, **size: int) -> None:
    """A tiny student of random weights, whose tokens are those of all sets' lessons; left alone where it is there."""
    from cotforge.train.students import rehearsal, tiny

    if folder.exists():
        return
    found = find_lessons(lessons, cache=folder.parent)
    rehearsal.make_newborn(
        folder, rehearsal.texts_of(found, 4 * rehearsal.TEXTS), tiny.TinySize(phrases=True, scaled=True, seed=seed, **size)
    )


def told_sets(out: Path) -> Iterator[str]:
    """A line for each set: its size, and how much of it is true."""
    told = json.loads((out / "sets" / "told.json").read_text(encoding="utf-8"))
    for name, figures in told["sets"].items():
        yield (
            f"{NAMES[name]}: {told['size']:,} lessons ({figures['rescued']:,} rescued, {figures['woven']:,} woven), "
            f"{figures['true']:.3f} with the true sum, {figures['read']:.3f} with every digit read rightly, {figures['words']:.0f} words"
        )
    yield f"sound lessons that the gates stopped: {told['sound stopped']:,}"


def told_gates(out: Path) -> Iterator[str]:
    """For each kind of fault, how many were stopped of those planted."""
    told = json.loads((out / "sets" / "told.json").read_text(encoding="utf-8"))
    yield from (f"{told['stopped'][kind]} of {told['faults'][kind]}" for kind in FAULTS)


def _figures(table: pa.Table, out: Path) -> dict[str, float]:
    truth = _Truth(out)
    rows = table.select(["id", "completion", "answer", "origin"]).to_pylist()
    return {
        "rescued": sum(row["origin"] == "rescue" for row in rows),
        "woven": sum(row["origin"] == "woven" for row in rows),
        "true": sum(row["answer"] == str(sum(map(int, truth.cells(row["id"])))) for row in rows) / len(rows),
        "read": sum(said_cells(row["completion"][-1]["content"]) == truth.cells(row["id"]) for row in rows) / len(rows),
        "words": sum(len(_said(row).reasoning.split()) for row in rows) / len(rows),
    }


class _Truth:
    """The digits of the pictures."""

    def __init__(self, out: Path) -> None:
        self._folder, self._known = out / "raw" / "sums" / "images", dict[str, list[str]]()

    def cells(self, id: str) -> list[str]:
        if id not in self._known:
            self._known[id] = true_cells(self._folder / f"{id}.png")
        return self._known[id]


def _said(row: Mapping[str, Any]) -> Said:
    text = str(row["completion"][-1]["content"])
    return Said(text.partition("<think>")[2].partition("</think>")[0], row["answer"])


def _with_planted(table: pa.Table, planted: Mapping[int, str]) -> pa.Table:
    """The lessons with some of their reasonings replaced."""
    column = table["completion"]
    told = column.to_pylist()
    for place, reasoning in planted.items():
        text, before = told[place][-1]["content"], _said({"completion": told[place], "answer": ""}).reasoning
        told[place][-1]["content"] = text.replace(f"<think>{before}</think>", f"<think>{reasoning}</think>", 1)
    return table.set_column(table.column_names.index("completion"), table.schema.field("completion"), pa.array(told, column.type))


def _read_table(dataset: Path) -> pa.Table:
    files: Sequence[Path] = sorted((dataset / "data").glob("*.parquet"))
    return pa.concat_tables([parquet.read_table(file, columns=_COLUMNS) for file in files])


def _write_table(folder: Path, table: pa.Table) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, folder / "data" / "train-00000-set.parquet", row_group_size=256)
