"""What the reading of a source asks of others: for its rows, which Samples are held out, and which are duplicates."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cotforge.records import Fault, Picture, Sample
from cotforge.sources.raw_rows import RawRow, Spool, Unused


class RowSource(Protocol):
    """What every kind of source offers."""

    @property
    def path(self) -> str:
        """As the pipeline file has it."""

    @property
    def limit(self) -> int | None:
        """Sound samples, at most."""

    @property
    def at_hand(self) -> bool:
        """Whether all rows can be listed quickly."""

    def rows(self, root: Path, spool: Spool) -> Iterator[RawRow | Fault | Unused]:
        """Everything there is, in order."""


class HeldOutRule(Protocol):
    """Which Samples nobody is asked about, because the student is evaluated on them."""

    def holds_pictures(self, digests: Iterable[str]) -> bool:
        """Whether the Sample with pictures of these digests is one of them."""


class DuplicateRule(Protocol):
    """Which Samples are left out because of those before them, or of a benchmark."""

    def lacks(self, pictures: Sequence[Picture]) -> bool:
        """Whether `prepare` has something to do."""

    def prepare(self, pictures: Sequence[Picture]) -> object:
        """Find out what pictures are known by, in any thread, before the Sample is judged. Raises Fault."""

    def judge(self, sample: Sample) -> Sample:
        """The Sample as it is asked about. Raises Fault where it is left out."""

    def again(self) -> "DuplicateRule":
        """What makes the same of Samples that were judged, and counts none of them twice."""

    def notes(self) -> list[str]:
        """Lines for the user about what was found so far."""
