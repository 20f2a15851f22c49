"""CSV files that people fill in: read with the line of every row, and written so that no spreadsheet runs what stands in a cell."""

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from cotforge.atomic import write_whole
from cotforge.errors import JournalError, PipelineError, group_faults
from cotforge.records import Fault
from cotforge.sources.lines import numbered_lines
from cotforge.visible import spell_text, unspell_text

LARGEST = 64 << 20
"""Bytes of a file that is read: people check hundreds of samples, not millions."""
FORM = "a CSV with the columns id and answer"
"""What is wanted of a file of gold."""
TOLD = 20
"""Faults of a file that have a line of their own."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*%?")


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file as it is: its columns, and the cells that are not empty of each row."""

    text: str
    delimiter: str
    columns: tuple[str, ...]
    """As the header names them, in lower case."""
    rows: tuple[tuple[int, dict[str, str]], ...]
    """(line, cells by column)."""
    raw: tuple[Sequence[str], ...] = ()
    """The header, then the cells of each of the `rows`, as the file has them."""

    def with_cells(self, column: str, values: Mapping[int, str]) -> str:
        """The file's text with these cells of a column, by the line of their row; the column comes last where there was none."""
        columns = self.columns if column in self.columns else (*self.columns, column)
        place = columns.index(column)
        lines = [[*self.raw[0], column] if column not in self.columns else self.raw[0]]
        for (line, _), cells in zip(self.rows, self.raw[1:], strict=True):
            if line in values:
                cells = [*cells, *[""] * (place + 1 - len(cells))]
                cells[place] = values[line]
            lines.append(cells)
        return self._joined_lines(lines)

    def edited_text(self, columns: Sequence[str], *, without: Collection[int], added: Iterable[Mapping[str, str]]) -> str:
        """The file's text with these columns beside its own, without the rows of these lines, and with new rows at its end."""
        names = [*self.columns, *(column for column in columns if column not in self.columns)]
        header = [*(self.raw[0] if self.raw else ()), *names[len(self.columns) :]]
        kept = [cells for (line, _), cells in zip(self.rows, self.raw[1:], strict=True) if line not in without]
        fresh = [[guard_cell(cells.get(name, "")) for name in names] for cells in added]
        return self._joined_lines([header, *kept, *fresh])

    def _joined_lines(self, lines: Iterable[Sequence[str]]) -> str:
        return "".join(self.delimiter.join(map(_quote_cell, cells)) + "\n" for cells in lines)


def guard_cell(cell: str) -> str:
    """The cell with a quote before what a spreadsheet would take for a formula, and what nobody sees as escapes; a number stays.

    Undone by `unguard_cell`.
    """
    return spell_text(f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell)


def unguard_cell(cell: str) -> str:
    """The cell as it was before `guard_cell`."""
    cell = unspell_text(cell)
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell


def csv_text(rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    """Rows as CSV (RFC 4180, but lines end as they do here), every cell guarded."""
    return "".join(delimiter.join(_quote_cell(guard_cell(cell)) for cell in row) + "\n" for row in rows)


def _quote_cell(cell: str) -> str:
    # Python's own writer leaves a lone carriage return bare, and its reader then refuses it.
    return '"' + cell.replace('"', '""') + '"' if re.search(r'[",;\t\r\n]|^\s|\s$', cell) else cell


def put_text(path: Path, text: str) -> None:
    """A text file in its place by renaming, and on the disk before that. Raises JournalError."""
    try:
        write_whole(path, text, durable=True, shared=True)
    except OSError as fault:
        raise JournalError(f"{path}: {fault.strerror}; make room, or see that the folder can be written") from fault


def read_table(path: Path, wanted: Sequence[str], *, form: str = FORM) -> CsvTable:
    """The file's rows; commas, semicolons or tabs part the cells. Raises PipelineError with every fault of its form.

    `form`: what is wanted, for the error of a file that is none.
    """
    texts = _text_lines(path, form)
    delimiter = max(",;\t", key=texts[0].count) if texts else ","
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    try:
        first = next(reader, [])
        header = tuple(name.strip().casefold() for name in first)
        demand_faultless([f"{path}:1: {fault}" for fault in _header_faults(header, wanted)])
        rows, faults, raw = [], [], [first]
        for cells in reader:
            raw.append(cells)
            # Some spreadsheets leave out the empty cells at the end of a row, so a short row is a sound one.
            rows.append((reader.line_num, {name: cell for name, cell in zip(header, cells, strict=False) if cell}))
            if any(cells[len(header) :]):
                faults.append(
                    f"{path}:{reader.line_num}: {len(cells)} cells; the header has {len(header)}: put a text with {delimiter!r} in quotes"
                )
    except csv.Error as fault:
        raise PipelineError(f"{path}:{reader.line_num}: not CSV: {fault}; save it as CSV anew") from fault
    demand_faultless(faults)
    return CsvTable("".join(texts), delimiter, header, tuple(rows), tuple(raw))


def _text_lines(path: Path, form: str) -> list[str]:
    """The lines. Raises PipelineError where one is too long or not UTF-8, or where there is no such file."""
    try:
        if path.exists() and not path.is_file():
            raise PipelineError(f"{path}: is no file; {form} is wanted")
        if (size := path.stat().st_size) > LARGEST:
            raise PipelineError(f"{path}: has {size:,} bytes, at most {LARGEST:,} are read; {form} is wanted")
        found = list(numbered_lines(path))
    except OSError as fault:
        raise PipelineError(f"{path}: {(fault.strerror or str(fault)).lower()}; {form} is wanted") from fault
    demand_faultless([f"{path}:{number}: {line.detail}" for number, line in found if isinstance(line, Fault)])
    return [line for _, line in found if isinstance(line, str)]


def _header_faults(header: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """What is wrong with the header."""
    faults = [
        f"column {name!r} stands twice; what several people answered stands in several rows" for name in wanted if header.count(name) > 1
    ]
    if header and not set(wanted) & set(header) and not any(get_close_matches(name, header, n=1) for name in wanted):
        return [
            *faults,
            f"no column {wanted[0]!r}; there: {_columns_there(header)}; nor is there a column {' or '.join(map(repr, wanted[1:]))}",
        ]
    for name in wanted:
        if name not in header:
            near = get_close_matches(name, header, n=1)
            faults.append(f"no column {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there: {_columns_there(header)}"))
    return faults


def _columns_there(header: Sequence[str]) -> str:
    return ", ".join(repr(other[:40]) for other in header[:20]) or "none"


def demand_faultless(faults: Sequence[str]) -> None:
    """Raises PipelineError with the faults, if there are any: the first 20, equal ones as one, and how many more."""
    faults = group_faults(faults)
    if len(faults) > TOLD:
        raise PipelineError(*faults[:TOLD], f"and {len(faults) - TOLD:,} more faults of this kind")
    if faults:
        raise PipelineError(*faults)
