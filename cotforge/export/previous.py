"""The dataset that a run folder holds already, and whether a new one may take its place."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cotforge.tally import Tally


class KeepOldDataset(Exception):
    """Raised while a dataset is exported where the one that is there stays: it was made of more samples."""


@dataclass(frozen=True, slots=True)
class Previous:
    """How much the last export of a run folder was made of, as its `summary.json` says; 0 where there is no dataset to lose."""

    samples: int = 0
    """Sound samples that were looked at."""
    asked: int = 0
    """Of these, such as a teacher was asked about."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Of a run folder. One without lessons, or whose summary cannot be read, has nothing to lose."""
        try:
            told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            found = [told[key] if isinstance(told.get(key), int) else 0 for key in ("samples", "samples_asked")]
            holds = bool(told["accepted"]) and (folder / "dataset" / "README.md").is_file()
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return cls()
        return cls(*found) if holds else cls()

    def larger_than(self, tally: Tally) -> str:
        """What the old dataset has more of, in words; empty where it has not. Filters and votes are no matter: they accept what they do."""
        for had, now, what in ((self.samples, tally.samples, "samples"), (self.asked, tally.asked, "samples that were asked about")):
            if had > now:
                return f"{had:,} {what}, this one of {now:,}"
        return ""
