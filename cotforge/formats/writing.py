"""A whole export: made in a folder beside its place, which it takes once it is complete."""

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cotforge.errors import PipelineError, in_words
from cotforge.formats.dataset_rows import DatasetRows
from cotforge.formats.format import ExportTerms, Format
from cotforge.formats.row import ExportRow
from cotforge.formats.split_files import KINDS_OF_FILES, SplitFiles
from cotforge.regular_files import read_regular

MARK = "cotforge-export.json"
"""In an exported folder: what it is, and the names of the files that are not pictures."""
_LARGEST = 1 << 20
_PICTURE = re.compile(r"images/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z]+")
_THOUGHT = re.compile(r"<think>\s*(.*?)\s*</think>\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Written:
    """An exported folder."""

    folder: Path
    files: Mapping[str, str]
    """The file of each split."""
    rows: Mapping[str, int]
    """Of each split."""
    rewritten: int
    """Rows whose text `<image>` was written as `< image>`."""
    left_out: int
    """Rows of which a picture is no JPEG, PNG or WebP."""
    start: str
    """How its trainer reads it."""

    def text(self) -> str:
        """Lines for a person."""
        lines = [f"{self.folder}: {', '.join(f'{self.files[split]} ({count:,} rows)' for split, count in self.rows.items())}"]
        if self.rewritten:
            lines.append(f"{self.rewritten:,} rows hold the text <image>, which stands for a picture there: written as < image>")
        if self.left_out:
            lines.append(f"{self.left_out:,} rows are left out: one of their pictures is no JPEG, PNG or WebP")
        return "\n".join([*lines, *(["", self.start] if self.start else [])])


def write_export(run: Path, form: Format, terms: ExportTerms, *, out: Path | None = None) -> Written:
    """Write the rows of a run's dataset for another trainer into `out`, by default `RUN/export/<format>-<kind>`.

    Raises PipelineError where the run has no such rows, the format is not for them, `out` holds what no export wrote, or the disk is full.
    """
    if terms.kind not in form.kinds:
        raise PipelineError(f"--kind {terms.kind}: {form.name} is written for {', '.join(form.kinds)} alone")
    rows = DatasetRows(run, terms.kind)
    folder = out or run / "export" / f"{form.name}-{terms.kind}"
    _demand_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        passing = Path(tempfile.mkdtemp(prefix=".cotforge-export-", dir=folder.parent))
        try:
            written = _fill_folder(passing, folder, rows, form, terms)
            _replace_folder(folder, passing)
        finally:
            shutil.rmtree(passing, ignore_errors=True)
    except OSError as fault:
        raise PipelineError(f"{folder}: cannot be written: {in_words(fault)}") from fault
    return written


def _fill_folder(passing: Path, folder: Path, rows: DatasetRows, form: Format, terms: ExportTerms) -> Written:
    splits: dict[str, SplitFiles] = {}
    counts: Counter[str] = Counter()
    rewritten = 0
    for row in rows:
        shown = row.without_placeholders() if form.splits_apart else row
        rewritten += shown != row
        if row.split not in splits:
            splits[row.split] = KINDS_OF_FILES[form.suffix](passing, row.split)
        splits[row.split].add(form.row(_in_lines(shown) if terms.newlines else shown, terms), form.pictures(shown))
        counts[row.split] += 1
    files = {split: each.close() for split, each in splits.items()}
    beside = form.beside(files, terms)
    for name, text in beside.items():
        (passing / name).write_text(text, encoding="utf-8", newline="\n")
    own = sorted([MARK, *beside, *(path.name for path in passing.iterdir() if path.is_file() and path.name not in beside)])
    mark = {"format": form.name, "kind": terms.kind, "rows": dict(counts), "of": rows.names, "files": own}
    (passing / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    return Written(folder, files, dict(counts), rewritten, rows.left_out, form.start(files, terms))


def _in_lines(row: ExportRow) -> ExportRow:
    """Thoughts on lines of their own, as the reasoning templates of LLaMA-Factory look for them."""
    return row.with_thoughts(lambda text: _THOUGHT.sub(r"<think>\n\1\n</think>\n\n", text, count=1))


def _demand_free(folder: Path) -> None:
    """Raises PipelineError where something is at its place that no export wrote: it would be removed."""
    if not folder.is_symlink() and not folder.exists():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise PipelineError(f"{folder}: is no folder; name another place with --out")
    own: set[str] = set()
    with suppress(OSError, ValueError, TypeError):
        own = {MARK, *map(str, json.loads(read_regular(folder / MARK, most=_LARGEST))["files"])}
    for above, folders, files in os.walk(folder):
        for name in (*files, *(each for each in folders if (Path(above) / each).is_symlink())):
            place = (Path(above) / name).relative_to(folder).as_posix()
            if place not in own and not (own and _PICTURE.fullmatch(place)):
                raise PipelineError(f"{folder}: holds {place!r}, which no export wrote; name another place with --out, or move it away")


def _replace_folder(folder: Path, passing: Path) -> None:
    """Have a complete folder take its place."""
    old = passing.with_name(f"{passing.name}.old")
    if folder.exists():
        folder.rename(old)
    passing.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
