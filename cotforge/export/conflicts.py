"""`conflicts.csv`: the samples whose label the teachers agree is wrong, for a person who relabels files. The surest stand first."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from cotforge.gold.csv_cells import csv_text
from cotforge.records import CuratedSample, Fault, Sample, Verdict
from cotforge.sources.values import clean_value
from cotforge.tally.counts import is_conflict

FILE = "conflicts.csv"
"""In the run folder."""
COLUMNS = ("file", "label", "answer", "confidence", "votes", "id")


class Conflicts:
    """The rows of `conflicts.csv`, gathered while the outcomes pass by; about 400 bytes of memory each."""

    def __init__(self, data: Path, run: Path) -> None:
        """`data`: the source's path, absolute; `run`: the run folder, where copies of pictures are kept that are no files of the source."""
        self._within = os.path.realpath(_source_folder(data)).rstrip(os.sep) + os.sep
        self._copies = os.path.realpath(run) + os.sep
        self._rows: list[tuple[float, tuple[str, ...]]] = []

    def watch(self, stream: Iterable[CuratedSample | Fault]) -> Iterator[CuratedSample | Fault]:
        """The stream as it is, having looked at it in passing."""
        for item in stream:
            if isinstance(item, CuratedSample) and is_conflict(item.sample, item.verdict):
                self._add_conflict(item.sample, item.verdict)
            yield item

    def text(self) -> str:
        """The file: a header, then the rows in an order that does not depend on that of the source."""
        rows = (row for _, row in sorted(self._rows, key=lambda entry: (-entry[0], entry[1])))
        return csv_text([COLUMNS, *rows])

    def _add_conflict(self, sample: Sample, verdict: Verdict) -> None:
        row = (
            self._picture_paths(sample),
            str(sample.label),
            str(verdict.answer),
            f"{verdict.confidence:.3f}",
            votes_text(verdict),
            sample.id,
        )
        self._rows.append((verdict.confidence, row))

    def _picture_paths(self, sample: Sample) -> str:
        """The pictures' paths below the source's folder; where they are no files of their own, the row's place in the source."""
        places = [picture.place for picture in sample.pictures]
        if places and all(place.startswith(self._within) and not place.startswith(self._copies) and "\0" not in place for place in places):
            return "; ".join(clean_value(place.removeprefix(self._within)) for place in places)
        return clean_value(sample.where)


def votes_text(verdict: Verdict) -> str:
    """Who said what, the most frequent answer first: `stain 2 (glm, qwen), clean 1 (intern)`."""
    said: dict[str, list[str]] = defaultdict(list)
    for ballot in verdict.ballots:
        said[ballot.answer].append(ballot.teacher)
    ranked = sorted(said.items(), key=lambda item: (-len(item[1]), item[0]))
    return ", ".join(f"{answer} {len(names)} ({', '.join(sorted(names))})" for answer, names in ranked)


def _source_folder(data: Path) -> Path:
    """The folder that the source lies in; of a glob, the part without wildcards."""
    parts = data.parts
    plain = next((place for place, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
    found = Path(*parts[:plain])
    return found if found.is_dir() else found.parent
