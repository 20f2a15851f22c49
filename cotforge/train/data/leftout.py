"""Rows that a stage leaves out because its student cannot learn them: told of in a line, and listed by id with the reason."""

import csv
from array import array
from collections.abc import Iterable

from cotforge.errors import PipelineError
from cotforge.gold.csv_cells import guard_cell
from cotforge.train import ranks
from cotforge.train.stage_run import StageRun

FILE = "left-out.csv"
"""In the stage's folder."""


def leave_out(work: StageRun, faults: Iterable[tuple[str, str]], what: str) -> "array[int] | None":
    """The rows without a fault, None where those are all; the others are told of, and listed in `left-out.csv`.

    `faults` has the id and the fault of each row, which is empty where there is none. Raises PipelineError where no row is left.
    """
    rows, line = ranks.from_first(lambda: _list_left_out(work, faults, what))
    if line:
        work.record.say(line)
    return rows if line else None


def _list_left_out(work: StageRun, faults: Iterable[tuple[str, str]], what: str) -> tuple["array[int]", str]:
    rows, count, first, file = array("q"), 0, "", work.out / FILE
    with file.open("w", newline="", encoding="utf-8") as opened:
        write = csv.writer(opened)
        write.writerow(("id", "reason"))
        for count, (name, fault) in enumerate(faults, 1):
            if fault:
                first = first or f"the first, {name!r}: {fault}"
                write.writerow((guard_cell(name), guard_cell(fault)))
            else:
                rows.append(count - 1)
    if not first:
        file.unlink()
        return rows, ""
    if not rows:
        raise PipelineError(f"stage {work.stage.name!r}: this student can learn none of {count:,} {what}; {file} lists them; {first}")
    lost = count - len(rows)
    return rows, f"this student cannot learn {lost:,} of {count:,} {what}; they are left out, and listed in {file}; {first}"
