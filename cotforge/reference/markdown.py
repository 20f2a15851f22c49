"""Tables of Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a cell may hold Markdown of one line."""
    lines = [_table_line(head), "|" + "---|" * len(head), *map(_table_line, rows)]
    return "".join(f"{line}\n" for line in lines)


def _table_line(cells: Iterable[str]) -> str:
    plain = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return "|" + "".join(f" {cell} |" for cell in plain)
