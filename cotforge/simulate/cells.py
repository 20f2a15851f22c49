"""The answer that a simulated teacher works out from the cells of a picture, and the words in which it says its steps."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from cotforge.errors import PipelineError
from cotforge.teachers.simulated import Cells

_NUMBER = re.compile(r"-?[0-9]{1,9}")


class Style(NamedTuple):
    """One teacher's words for a step of a sum: `3 plus 5 makes 8, plus 0 makes 8, plus 8 makes 16.`"""

    add: str
    total: str


JOINED = ", then {}"
"""Of each later cell, where the cells are one text."""
STYLES = (Style("plus", "makes"), Style("+", "="), Style("and", "is"), Style("with", "gives"), Style("then", "brings"))
"""Taken in turn by `simulate.seed`."""


def demand_numbers(cells: Cells, labels: Sequence[str], *, model: str) -> None:
    """Raises PipelineError where labels are to be added that are no whole numbers."""
    strange = [label for label in labels if not _NUMBER.fullmatch(label)]
    if cells.answer == "sum" and strange:
        raise PipelineError(f"model {model!r}: simulate.cells.answer: a sum needs whole numbers as labels, and it learned {strange[0]!r}")


def work_out(cells: Cells, read: Sequence[str], *, style: Style) -> tuple[str, str]:
    """(reasoning, answer) from the labels that were read, row by row; the steps follow from these alone."""
    if cells.answer == "joined":
        return f"{read[0]}{''.join(JOINED.format(each) for each in read[1:])}.", "".join(read)
    totals = [*accumulate(map(int, read))]
    steps = (f" {style.add} {each} {style.total} {total}" for each, total in zip(read[1:], totals[1:], strict=True))
    return f"{read[0]}{','.join(steps)}.", str(totals[-1])
