"""A scan of all that is about to be published, for what should not be: credentials, local paths, names of user and machine.

    find_leaks(run / "dataset", secrets=[token])     [Leak(kind='github-token', file='README.md', place='line 3', ...)]

Parquet files are read column by column and in batches, other files in windows, so memory does not grow with the dataset. A quick pattern
(RE2, over whole columns) rules out nearly all texts; only what it leaves is looked at closely. Pictures inside parquet are not looked at.
"""

import json
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cotforge.hub.detector import LeakDetector, Sighting, plain_form
from cotforge.hub.machine import Machine
from cotforge.hub.parquet_texts import TextColumn, text_columns
from cotforge.redaction import remembered_secrets

MOST = 1_000
"""Different leaks after which the scan ends: nobody reads more."""
WINDOW = 2**20
"""Characters of a file that are looked at together."""
LAP = 2**13
"""Characters that two windows share, so that nothing is cut in two."""
_HEADER = 100_000_000
"""Most bytes of the header of a safetensors file. Source: github.com/huggingface/safetensors, MAX_HEADER_SIZE."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that should not be published, and the first place in a file where it stands."""

    kind: str
    """In words, with hyphens: `github-token`, `local-path`."""
    file: str
    """Relative to the folder."""
    place: str
    """`line 3`, `row 17 of reasoning`, `its name`."""
    excerpt: str
    """What stands around it, on one line, with `***` in its place."""
    name: str
    """For `--allow`: its kind and eight digits of a hash. The same thing has the same name wherever and whenever it is found."""
    count: int = 1
    """How often it stands in the file, about."""

    def __str__(self) -> str:
        times = f" ({self.count:,} times)" if self.count > 1 else ""
        return f"{self.file}: {self.place}: {self.kind.replace('-', ' ')}{times}: {self.excerpt}; remove it, or say --allow {self.name}"


def find_leaks(
    folder: Path,
    *,
    files: Sequence[Path] | None = None,
    secrets: Sequence[str] = (),
    allow: Collection[str] = (),
    machine: Machine | None = None,
) -> list[Leak]:
    """What should not be published of a folder, at most MOST leaks, in the order of the files; one for each thing and file.

    `files`: of it, all by default; relative to it or absolute. `secrets`: values to look for in every spelling (see `Redactor`), beside
    those that this process remembers. `allow`: names of leaks, kinds of `machine.PERSONAL`, or names of users and hosts as they are.
    `machine`: whose paths and names count; by default this one's, with `folder`. Raises OSError where a file cannot be read.
    """
    detector = LeakDetector({*secrets, *remembered_secrets()}, machine or Machine.here(folder), allow)
    found: dict[tuple[str, str], Leak] = {}
    chosen = sorted(path for path in folder.rglob("*") if path.is_file()) if files is None else [folder / file for file in files]
    for path in chosen:
        file = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        for sighting, text, place in _seen(detector, path, file):
            key = file, sighting.name
            if (known := found.get(key)) is not None:
                found[key] = replace(known, count=known.count + 1)
                continue
            found[key] = Leak(sighting.kind, file, place, detector.excerpt(text, sighting), sighting.name)
            if len(found) >= MOST:
                return list(found.values())
    return list(found.values())


Seen = tuple[Sighting, str, str]
"""A sighting, the text it is in, and the place of that text."""


def _seen(detector: LeakDetector, path: Path, file: str) -> Iterator[Seen]:
    """Everything in one file, and in its name."""
    yield from _in_short(detector, file, "its name")
    if path.suffix == ".parquet":
        for column in text_columns(path, detector.hints):
            yield from _in_column(detector, column)
    elif path.suffix == ".safetensors":
        yield from _in_short(detector, _safetensors_header(path), "its header")
    else:
        yield from _in_long(detector, _windows(path))


def _in_short(detector: LeakDetector, text: str, place: str) -> Iterator[Seen]:
    yield from ((sighting, text, place) for sighting in detector.sightings(text))
    yield from ((sighting, text, place) for sighting in detector.known_sightings(text))


def _in_column(detector: LeakDetector, column: TextColumn) -> Iterator[Seen]:
    for row, text in column.suspects:
        yield from ((sighting, text, f"row {row:,} of {column.name}") for sighting in detector.sightings(text))
    if detector.knows_keys and detector.holds_known("\n".join(column.texts())):
        for row, text in column.rows():
            if detector.holds_known(text):
                yield from ((sighting, text, f"row {row:,} of {column.name}") for sighting in detector.known_sightings(text))


def _in_long(detector: LeakDetector, windows: Iterable[str]) -> Iterator[Seen]:
    """Of a text that comes in windows; what stands in the characters that two of them share is told once."""
    line, lap = 1, ""
    following = iter(windows)
    window = next(following, None)
    while window is not None:
        text, window = lap + window, next(following, None)
        for sighting, form in _in_window(detector, text, lap=len(lap), is_cut=window is not None):
            yield sighting, form, f"line {line + form.count(chr(10), 0, sighting.start):,}"
        lap = text[-LAP:]
        line += text.count("\n") - lap.count("\n")


def _in_window(detector: LeakDetector, text: str, *, lap: int, is_cut: bool) -> Iterator[tuple[Sighting, str]]:
    """(sighting, the text it is in); `lap` characters were in the window before, and what is cut by its end is in the next."""
    form, before = plain_form(text), len(plain_form(text[:lap])) if lap else 0
    for sighting in detector.sightings(form):
        if sighting.end > before and not (is_cut and sighting.end == len(form)):
            yield sighting, form
    if detector.holds_known(text):
        yield from ((sighting, text) for sighting in detector.known_sightings(text))


def _windows(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        while text := file.read(WINDOW):
            yield text


def _safetensors_header(path: Path) -> str:
    """What a file of weights says of itself, as text; empty where it has no such header."""
    with path.open("rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        raw = file.read(size) if size <= _HEADER else b""
    try:
        said = json.loads(raw).get("__metadata__") or {}
    except (ValueError, AttributeError):
        return ""
    return "\n".join(f"{name}: {value}" for name, value in said.items())
