"""The sheets that a person fills in with a spreadsheet; one with answers that the run does not have yet is never overwritten."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from cotforge.errors import PipelineError
from cotforge.gold.csv_cells import csv_text, put_text, read_table, unguard_cell
from cotforge.gold.gold_file import DRAWN
from cotforge.images import FileRef
from cotforge.images.loading import Loading
from cotforge.records import Picture, Sample

SHEET, AUDIT = "gold-to-fill.csv", "audit.csv"

Known = Sequence[tuple[str, str]]
"""(id, answer) as a file of gold has them, one of each Sample."""


def keep_sheet(path: Path, rows: Iterable[Sequence[str]], known: Known) -> bool:
    """Write a sheet, unless a person would miss what is in it; whether it was left as it was."""
    if is_filled(path, set(known)):
        return True
    put_text(path, csv_text(rows))
    return False


def to_fill(samples: Sequence[Sample], drawn: Mapping[str, float], known: Known) -> list[Sequence[str]]:
    """The rows of `gold-to-fill.csv`: samples without an answer; then those that have one, where their probability has changed."""
    rows: list[Sequence[str]] = [("id", "image", DRAWN, "answer")]
    rows += ((sample.id, picture_files(sample.pictures), share_cell(drawn.get(sample.id)), "") for sample in samples)
    return rows + [(id, "", share_cell(drawn[id]), answer) for id, answer in known if id in drawn]


def share_cell(probability: float | None) -> str:
    """A probability as a cell; empty where there is none."""
    return "" if probability is None else f"{probability:.6g}"


def is_filled(sheet: Path, known: Collection[tuple[str, str]]) -> bool:
    """Whether there is an answer in the sheet that is not `known`; one that cannot be read may hold anything."""
    if not sheet.exists():
        return False
    try:
        rows = read_table(sheet, ("id", "answer")).rows
    except PipelineError:
        return True
    given = ((unguard_cell(cells.get("id", "")), unguard_cell(cells.get("answer", "")).strip()) for _, cells in rows)
    return any(answer and (id, answer) not in known for id, answer in given)


def picture_files(pictures: Iterable[Picture]) -> str:
    """Where the pictures lie, for a person who opens them one by one; empty for those in a tar or table."""
    found = []
    for picture in pictures:
        source = picture.load.source if isinstance(picture.load, Loading) else None
        found.append(source.path if isinstance(source, FileRef) else picture.file or "")
    return " ".join(filter(None, found))
