"""The dataset that a run folder holds already, and whether a new one may take its place."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cotforge.tally import Tally


class KeepOldDataset(Exception):
    """Raised while a dataset is exported where the one that is there stays: it was made of more samples, or of replies that are gone."""


@dataclass(frozen=True, slots=True)
class Previous:
    """How much the last export of a run folder was made of, as its `summary.json` says; 0 where there is nothing to lose."""

    samples: int = 0
    """Sound samples that were looked at."""
    asked: int = 0
    """Of these, such as a teacher was asked about."""
    calls: int = 0
    """Calls that ended, whatever came of them."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Of a run folder. One without lessons has its calls alone to lose, one whose summary cannot be read has nothing."""
        try:
            told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            keys = ("samples", "samples_asked", "calls_total")
            samples, asked, calls = (told[key] if isinstance(told.get(key), int) else 0 for key in keys)
            lessons, holds = bool(told["accepted"]), (folder / "dataset" / "README.md").is_file()
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return cls()
        if not holds:
            return cls()
        return cls(samples, asked, calls) if lessons else cls(calls=calls)

    def larger_than(self, tally: Tally, calls: int) -> str:
        """What the old dataset has more of, in words; empty where it has not. Filters and votes are no matter: they accept what they do.

        `calls` are those that the journal holds; fewer than there were do not matter, but none of them are a lost journal.
        """
        for had, now, what in ((self.samples, tally.samples, "samples"), (self.asked, tally.asked, "samples that were asked about")):
            if had > now:
                return f"{had:,} {what}, this one of {now:,}"
        if self.calls and not calls:
            return f"the replies to {'1 call' if self.calls == 1 else f'{self.calls:,} calls'}, this one of none"
        return ""
