"""The answer that a simulated teacher works out from the cells of a picture, and the words in which it says its steps."""

import re
from collections.abc import Sequence
from itertools import accumulate, cycle
from typing import NamedTuple

from cotforge.errors import PipelineError
from cotforge.teachers.simulated import GridCells

_NUMBER = re.compile(r"-?[0-9]{1,9}")


class Style(NamedTuple):
    """One teacher's words: `The top left shows 3, the top right shows 5 which makes 8.`"""

    read: str
    total: str
    """Before what all cells so far add up to."""


STYLES = (
    Style("shows", "which makes"),
    Style("is", "and that makes"),
    Style("reads", "for a total of"),
    Style("has", "so it is"),
    Style("holds", "giving"),
)
"""Taken in turn by `simulate.seed`."""
_DOWN: dict[int, tuple[str, ...]] = {1: ("",), 2: ("top ", "bottom "), 3: ("top ", "middle ", "bottom ")}
_ACROSS: dict[int, tuple[str, ...]] = {1: ("cell",), 2: ("left", "right"), 3: ("left", "centre", "right")}


def cell_places(cells: GridCells) -> list[str]:
    """What the cells are called, row by row: `the top left`, and in a larger grid `row 2 column 4`."""
    down, across = _DOWN.get(cells.rows), _ACROSS.get(cells.columns)
    if down is None or across is None:
        return [f"row {row} column {column}" for row in range(1, cells.rows + 1) for column in range(1, cells.columns + 1)]
    return [f"the {row}{column}" for row in down for column in across]


def demand_numbers(cells: GridCells, labels: Sequence[str], *, model: str) -> None:
    """Raises PipelineError where labels are to be added that are no whole numbers."""
    strange = [label for label in labels if not _NUMBER.fullmatch(label)]
    if cells.answer == "sum" and strange:
        raise PipelineError(f"model {model!r}: simulate.cells.answer: a sum needs whole numbers as labels, and it learned {strange[0]!r}")


def work_out(cells: GridCells, read: Sequence[str], *, style: Style) -> tuple[str, str]:
    """(reasoning, answer) from the labels that were read, row by row; the steps follow from these alone.

    Several pictures are read one after another.
    """
    seen = [f"{place} {style.read} {each}" for place, each in zip(cycle(cell_places(cells)), read, strict=False)]
    answer = "".join(read)
    if cells.answer == "sum":
        totals = [*accumulate(map(int, read))]
        seen[1:] = [f"{each} {style.total} {total}" for each, total in zip(seen[1:], totals[1:], strict=True)]
        answer = str(totals[-1])
    said = ", ".join(seen)
    return f"{said[0].upper()}{said[1:]}.", answer
