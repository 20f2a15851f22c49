"""Answers given one at a time, as `cotforge view` saves them: each is on the disk before the next is asked for.

They stand in the same file as all gold. What is read, changed and written as a whole is guarded by a lock of its own, so that a person may
review while a build holds the run folder.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cotforge.errors import JournalError
from cotforge.given_answers import GivenAnswer, GoldSheet
from cotforge.gold.csv_cells import CsvTable, put_text, read_table, unguard_cell
from cotforge.gold.gold_file import DRAWN, drawn_probability
from cotforge.regular_files import open_regular

LOCK = "gold.lock"
"""In the run folder."""
NOTE = "note"
"""The column with what a person wrote beside an answer; nothing but people reads it."""
CHOSEN = "1"
"""In the column `drawn`: whoever reviews has chosen the sample, so that it stands for no other in a bound."""
_COLUMNS = ("id", "answer", "person", DRAWN, NOTE)


@contextmanager
def locked_gold(run: Path) -> Iterator[None]:
    """Keeps every other process from changing the gold of a run meanwhile.

    Raises JournalError where the folder cannot be written.
    """
    try:
        handle = open_regular(run / LOCK, os.O_CREAT | os.O_RDWR, alone=True)
    except OSError as fault:
        raise JournalError(f"{run / LOCK}: {fault.strerror}; the run folder has to be one that can be written") from fault
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_sheet(path: Path) -> GoldSheet:
    """All answers and notes of a file; none where there is no file.

    Raises PipelineError where it is no such table.
    """
    if not path.exists():
        return GoldSheet()
    found: dict[str, list[GivenAnswer]] = {}
    for _, cells in read_table(path, ("id", "answer")).rows:
        one = GivenAnswer(*(unguard_cell(cells.get(column, "")).strip() for column in ("person", "answer", NOTE)))
        if one.answer or one.note:
            found.setdefault(unguard_cell(cells.get("id", "")), []).append(one)
    return GoldSheet({id: tuple(said) for id, said in found.items()})


def save_answer(run: Path, path: Path, id: str, given: GivenAnswer) -> None:
    """Put a person's answer in the file, in the place of what the same person said before.

    It is on the disk then.

    `path` is that of the gold of the run folder `run`. Raises PipelineError where the file is wrong, JournalError on a full disk.
    """
    with locked_gold(run):
        had = read_table(path, ("id", "answer")) if path.exists() else _empty_table()
        row = {"id": id, "answer": given.answer, "person": given.person, DRAWN: _drawn_as(had, id), NOTE: given.note}
        put_text(path, had.edited_text(_COLUMNS, without=_lines_of(had, id, given.person), added=[row]))


def withdraw_answer(run: Path, path: Path, id: str, person: str) -> bool:
    """Take back what a person said of a sample; whether there was anything. Raises as `save_answer`."""
    with locked_gold(run):
        had = read_table(path, ("id", "answer")) if path.exists() else _empty_table()
        lines = _lines_of(had, id, person)
        if lines:
            put_text(path, had.edited_text((), without=lines, added=()))
        return bool(lines)


def _empty_table() -> CsvTable:
    return CsvTable("", ",", (), (), ())


def _drawn_as(had: CsvTable, id: str) -> str:
    """The cell `drawn` of one more answer.

    As the file has it where the sample is checked already, so that its weight stays.
    """
    before = [cells.get(DRAWN, "") for _, cells in had.rows if unguard_cell(cells.get("id", "")) == id and cells.get("answer")]
    if not before:
        return CHOSEN
    return "" if "" in before else unguard_cell(max(before, key=lambda cell: drawn_probability(cell)[0] or 0.0))


def _lines_of(had: CsvTable, id: str, person: str) -> set[int]:
    """The lines that hold what a person said of a sample."""
    said = ((line, unguard_cell(cells.get("id", "")), unguard_cell(cells.get("person", "")).strip()) for line, cells in had.rows)
    return {line for line, *whose in said if whose == [id, person]}
