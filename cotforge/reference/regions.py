"""Regions of Markdown pages between two comments: what stands between them is written by `python -m cotforge.reference`."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cotforge.reference.command_help import commands_in_detail, commands_table, exits_table
from cotforge.reference.dataset_columns import columns_table
from cotforge.reference.key_tables import keys_tables
from cotforge.reference.measure_table import measures_table
from cotforge.reference.reasons import reasons_tables

REGIONS: Mapping[str, Callable[[], str]] = {
    "keys": keys_tables,
    "measures": measures_table,
    "reasons": reasons_tables,
    "commands": commands_table,
    "options": commands_in_detail,
    "exits": exits_table,
    "lessons": lambda: columns_table("lessons"),
    "traces": lambda: columns_table("traces"),
    "preference": lambda: columns_table("preference"),
    "losses": lambda: columns_table("losses"),
}
"""What makes the text of each region."""

_REGION = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)


def stale_pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """(page, its text as it should be) of every Markdown page below a folder whose generated regions are out of date.

    Raises KeyError where a page asks for a region that nothing makes.
    """
    made: dict[str, str] = {}
    for page in sorted(folder.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        wanted = _REGION.sub(lambda match: f"{match[1]}\n{made.setdefault(match[2], REGIONS[match[2]]())}\n{match[3]}", text)
        if wanted != text:
            yield page, wanted


def write_pages(folder: Path) -> list[Path]:
    """The pages below a folder whose generated regions were out of date, now written. Raises as `stale_pages`."""
    written = []
    for page, text in list(stale_pages(folder)):
        page.write_text(text, encoding="utf-8")
        written.append(page)
    return written
