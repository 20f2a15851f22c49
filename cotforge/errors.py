"""What can go wrong for a reason the user can mend: one line each, never a traceback.

    CotforgeError (ValueError)      where: what is wrong; what would be right       exit 2
    ├── PipelineError               the pipeline file, its prompts, its --set
    ├── SourceError                 the raw data as a whole (a bad row is data, not an error)
    ├── TeacherError                a teacher that cannot be asked at all
    ├── JournalError                the run folder or its journal
    ├── HubError                    what is pushed, or a repository on the Hub that refuses it
    └── Stopped                     a run that ended early on purpose               exit 3

A fault of one row, image or reply is none of these: it is counted (`records.Fault`, `records.Reply.error`).
"""

import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from cotforge.redaction import redact_text, without_userinfo
from cotforge.visible import show_invisible

LONGEST = 300
"""Characters of a stranger's exception that are told."""

_LOOKED_AT = 2**16
"""Characters of it in which credentials are looked for: those behind them are never told."""

SHOWN = 120
"""Characters of a stranger's value that are shown."""

LONGEST_LINE = 1_000
"""Characters of an error; a longer one loses its middle."""

MOST_FAULTS = 50
"""Faults that are told at once."""


class _Shown(reprlib.Repr):
    """`repr`, cut: of a long text its beginning and its length, of a list or mapping the first items."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother = 3, SHOWN
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = 6

    def repr_str(self, value: str, level: int) -> str:
        if len(value) <= SHOWN:
            return repr(value)
        return f"{value[:SHOWN]!r}... ({len(value):,} characters)"

    def repr_int(self, value: int, level: int) -> str:
        bits = value.bit_length()
        return repr(value) if bits <= 200 else f"a whole number of {bits:,} bits"


_shown = _Shown().repr


def show_value(value: object) -> str:
    """A stranger's value as it stands in an error: like `repr`, at most some hundred characters, control characters as escapes."""
    text = _shown(value)
    return text if len(text) <= 4 * SHOWN else f"{text[: 4 * SHOWN]}..."


def demand_count(name: str, value: object, *, least: int = 1) -> None:
    """Raises PipelineError where the value of an argument is no whole number from `least` up."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise PipelineError(f"{name}: {show_value(value)} does not do; a whole number, at least {least}")


def printable_line(line: str) -> str:
    """An error as a terminal may show it: no credentials, no middle where it is long, and escapes for what is invisible or obeyed."""
    return show_invisible(" ".join(_cut_middle(without_userinfo(redact_text(line))).split()))


def _cut_middle(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2 - 30  # room for the words between
    return f"{line[:half]} ... ({len(line) - 2 * half:,} characters left out) ... {line[-half:]}"


def in_words(fault: BaseException) -> str:
    """What an exception of a library says, on one line without credentials and the name of its class; else that name as words."""
    said = " ".join(redact_text(str(fault)[:_LOOKED_AT]).split())[:LONGEST]
    if isinstance(fault, KeyError) and said:
        return f"{said} is missing"
    return said or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(fault).__name__.removesuffix("Error")).lower() or "an error without words"


class CotforgeError(ValueError):
    """A fault of the user's file, data or environment; `faults` holds one line per fault, none of them long, without credentials."""

    def __init__(self, *faults: str) -> None:
        if len(faults) > MOST_FAULTS + 1:
            faults = tuple(group_faults(faults))
        if len(faults) > MOST_FAULTS + 1:
            faults = (*faults[:MOST_FAULTS], f"and {len(faults) - MOST_FAULTS:,} faults more")
        faults = tuple(_cut_middle(redact_text(fault)) for fault in faults)
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


class HubError(CotforgeError):
    """What would be pushed must not leave, or the Hub or a repository on it refuses; nothing on the Hub is half changed."""


class Stopped(CotforgeError):
    """The run ended before all was asked: by a budget, by too many failures. Everything paid for is kept, and in the dataset."""

    told = ""
    """What came of the run up to there: the text that the command prints."""
    run: Path | None = None
    """The run folder."""

    @classmethod
    def after(cls, told: str, run: Path, why: Iterable[str]) -> Self:
        """One that ended a run whose dataset is written; `why` has a line for each cause."""
        stopped = cls(*why)
        stopped.told, stopped.run = told, run
        return stopped


class Interrupted(KeyboardInterrupt):
    """An interrupt that says how to go on."""

    def __init__(self, told: str = "what was paid for is kept: run the same command again to go on", *, result: str = "") -> None:
        """`result`: what came of the command up to there, as it prints it."""
        super().__init__(told)
        self.result = result


ALIKE = 3
"""Faults that are the same but for their line or place, from which on they are told in one line."""
_PLACE = re.compile(r":([0-9]+)(?=:)|\[([0-9]+)\]")
_PLACES_NAMED = 5


def group_faults(faults: Iterable[str]) -> list[str]:
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
