"""Marks that people gave to reasoning texts, read from a CSV: what judges are compared with."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from cotforge.errors import show_value
from cotforge.followups.judge_marks import Dimension
from cotforge.gold.csv_cells import demand_faultless, read_table, unguard_cell
from cotforge.gold.gold_file import demand_named
from cotforge.tally.compared_marks import PeopleMarks

if TYPE_CHECKING:  # whoever only reads a file needs no pipeline, which takes a second to import
    from cotforge.pipeline import Loaded

MARKS_FORM = "a CSV with the columns id or call, dimension and mark"
_Given = dict[str, dict[str, list[float]]]


def find_people_marks(loaded: "Loaded") -> PeopleMarks:
    """The marks of the file that `judge.gold` names; none where it names none. Raises PipelineError with every fault of the file."""
    judge = loaded.pipeline.judge
    if judge is None or judge.gold is None:
        return PeopleMarks()
    path = loaded.root / judge.gold
    demand_named(path, "judge.gold", loaded.unexpanded["judge"]["gold"], loaded.root, form=MARKS_FORM)
    return read_people_marks(path, judge.dimensions)


def read_people_marks(path: Path, rubric: Sequence[Dimension]) -> PeopleMarks:
    """The marks of a file with the columns `dimension`, `mark`, and `call` (the text) or `id` (a sample, for its first lesson) or both.

    Rows without a mark are not marked yet. Several rows about one text and dimension are several people: their mean counts. Rows that
    also agree in `mark` and `person` count once. Raises PipelineError with every fault of the file, a line each.
    """
    scale = {dimension.name: dimension for dimension in rubric}
    table = read_table(path, ("dimension", "mark"), form=MARKS_FORM)
    faults: list[str] = []
    if not {"id", "call"} & set(table.columns):
        demand_faultless([f"{path}:1: no column 'id' or 'call'; one of them says which text a mark is for"])
    by_call: _Given = {}
    by_id: _Given = {}
    empty, repeated, rows = list[str](), list[str](), set[tuple[str, str, str, float, str]]()
    for line, cells in table.rows:
        told = {name: unguard_cell(cells.get(name, "")).strip() for name in ("id", "call", "dimension", "mark", "person")}
        if not told["mark"]:
            empty += [key for key in (told["call"] or told["id"],) if key]
            continue
        if wrong := _wrong_mark(told, scale):
            faults.append(f"{path}:{line}: {wrong}")
            continue
        given, key = (by_call, told["call"]) if told["call"] else (by_id, told["id"])
        dimension, mark = told["dimension"].casefold(), float(told["mark"].replace(",", "."))
        if (row := (told["call"], key, dimension, mark, told["person"])) in rows:
            repeated.append(key)
            continue
        rows.add(row)
        given.setdefault(key, {}).setdefault(dimension, []).append(mark)
    demand_faultless(faults)
    return PeopleMarks(_means(by_call), _means(by_id), tuple(empty), tuple(repeated))


def _wrong_mark(told: dict[str, str], scale: dict[str, Dimension]) -> str:
    """What is wrong with a row; empty where nothing is."""
    dimension = scale.get(told["dimension"].casefold())
    if dimension is None:
        return f"dimension: {show_value(told['dimension'])} is not in judge.rubric; there are {', '.join(scale)}"
    try:
        mark = float(told["mark"].replace(",", "."))
    except ValueError:
        mark = dimension.low - 1
    if not dimension.low <= mark <= dimension.high:
        return (
            f"mark: {show_value(told['mark'])} is no mark for {dimension.name}; a number from {dimension.low} to {dimension.high} is wanted"
        )
    return "" if told["call"] or told["id"] else "id, call: both are empty; one of them says which text the mark is for"


def _means(given: _Given) -> dict[str, dict[str, float]]:
    return {key: {name: fmean(marks) for name, marks in by_name.items()} for key, by_name in given.items()}
