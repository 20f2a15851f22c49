"""The answer that a simulated teacher works out from the cells of a picture, and the words in which it says its steps."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from cotforge.errors import PipelineError
from cotforge.teachers.simulated import Cells

_NUMBER = re.compile(r"-?[0-9]{1,9}")


class Style(NamedTuple):
    """One teacher's way of saying its steps."""

    first: str
    """Of the first cell: `{read}`."""
    added: str
    """Of each later one, in a sum: `{before}`, `{read}` and `{total}`."""


JOINED = ", then {read}"
"""Of each later cell, where the cells are one text."""
STYLES = (
    Style("{read}", " plus {read} makes {total},"),
    Style("{read};", " {before} + {read} = {total};"),
    Style("I start with {read}.", " Next comes {read}, that is {total}."),
    Style("First {read},", " then {read}, so far {total},"),
    Style("The first is {read}.", " With {read} it is {total}."),
)
"""Taken in turn by `simulate.seed`."""


def demand_numbers(cells: Cells, labels: Sequence[str], *, model: str) -> None:
    """Raises PipelineError where labels are to be added that are no whole numbers."""
    strange = [label for label in labels if not _NUMBER.fullmatch(label)]
    if cells.answer == "sum" and strange:
        raise PipelineError(f"model {model!r}: simulate.cells.answer: a sum needs whole numbers as labels, and it learned {strange[0]!r}")


def work_out(cells: Cells, read: Sequence[str], *, style: Style) -> tuple[str, str]:
    """(reasoning, answer) from the labels that were read, row by row; the steps follow from these alone."""
    if cells.answer == "joined":
        said = style.first.format(read=read[0]).rstrip(".,;") + "".join(JOINED.format(read=each) for each in read[1:])
        return f"{said}.", "".join(read)
    totals = [*accumulate(map(int, read))]
    steps = zip(totals, read[1:], totals[1:], strict=False)
    said = style.first.format(read=read[0]) + "".join(style.added.format(before=a, read=b, total=c) for a, b, c in steps)
    return f"{said.rstrip('.,;')}.", str(totals[-1])
