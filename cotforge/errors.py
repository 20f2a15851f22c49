"""What can go wrong for a reason the user can mend: one line each, never a traceback.

    CotforgeError (ValueError)      where: what is wrong; what would be right       exit 2
    ├── PipelineError               the pipeline file, its prompts, its --set
    ├── SourceError                 the raw data as a whole (a bad row is data, not an error)
    ├── TeacherError                a teacher that cannot be asked at all
    ├── JournalError                the run folder or its journal
    └── Stopped                     a run that ended early on purpose               exit 3

A fault of one row, image or reply is none of these: it is counted (`records.Fault`, `records.Reply.error`).
"""

import re
from collections.abc import Iterable

from cotforge.redaction import redact

LONGEST = 300
"""Characters of a stranger's exception that are told."""


def in_words(fault: BaseException) -> str:
    """What an exception of a library says, on one line without credentials and the name of its class; else that name as words."""
    said = " ".join(redact(str(fault)).split())[:LONGEST]
    if isinstance(fault, KeyError) and said:
        return f"{said} is missing"
    return said or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(fault).__name__.removesuffix("Error")).lower() or "an error without words"


class CotforgeError(ValueError):
    """A fault of the user's file, data or environment; `faults` holds one line per fault, without credentials."""

    def __init__(self, *faults: str) -> None:
        faults = tuple(map(redact, faults))
        super().__init__("\n".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        return type(self), self.faults


class PipelineError(CotforgeError):
    """The pipeline file, a prompt it names, or a `--set` is wrong."""


class SourceError(CotforgeError):
    """The source is not there, empty, or has no sound row."""


class TeacherError(CotforgeError):
    """A teacher cannot be reached, refuses the key, or does not serve the model."""


class JournalError(CotforgeError):
    """The run folder is in use, of another pipeline, of a newer version, full, or on a disk that cannot keep it."""


class Stopped(CotforgeError):
    """The run ended before all was asked (too many failures); everything paid for is kept."""


ALIKE = 3
"""Faults that are the same but for their line or place, from which on they are told in one line."""
_PLACE = re.compile(r":([0-9]+)(?=:)|\[([0-9]+)\]")
_PLACES_NAMED = 5


def grouped(faults: Iterable[str]) -> list[str]:
    """The faults in their order; ALIKE or more that differ in nothing but line or place are the first one with the count of the others."""
    alike: dict[str, list[str]] = {}
    for fault in faults:
        alike.setdefault(_PLACE.sub("\0", fault, count=1), []).append(fault)
    lines = []
    for same in alike.values():
        if len(same) < ALIKE:
            lines += same
            continue
        found = [_PLACE.search(fault) for fault in same[1 : _PLACES_NAMED + 1]]
        places = ", ".join(f"[{place[2]}]" if place[2] else place[1] for place in found if place is not None)
        more = f", at {places}{', ...' if len(same) > _PLACES_NAMED + 1 else ''}" if places else ""
        lines.append(f"{same[0]}; and {len(same) - 1:,} more of the same{more}")
    return lines
