"""What a format is: what a row becomes, how rows lie on the disk, and what else its trainer needs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cotforge.formats.row import ExportedPicture, ExportRow, Kind


@dataclass(frozen=True)
class ExportTerms:
    """What all rows of one export have in common."""

    name: str
    """Of the run's pipeline."""
    kind: Kind
    names: Mapping[str, str]
    """Every normal form that means a label, for rewards; empty for a free answer."""
    max_pixels: int | None = None
    """Of the pictures, where the pipeline bounds them."""
    newlines: bool = False
    """Whether thoughts stand on lines of their own."""


class Format(ABC):
    """One entry of `--to`."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]] = ("sft",)
    """What its trainer can do with our rows."""
    suffix: ClassVar[str] = "jsonl"
    """`jsonl`, `parquet` or `tar`: how rows lie on the disk."""
    splits_apart: ClassVar[bool] = True
    """Whether a prompt that holds the text `<image>` has to be written otherwise."""

    @abstractmethod
    def row(self, row: ExportRow, terms: ExportTerms) -> dict[str, Any]:
        """A row in the trainer's own keys."""

    def pictures(self, row: ExportRow) -> Sequence[ExportedPicture]:
        """Those that become files of their own."""
        return row.pictures

    def beside(self, files: Mapping[str, str], terms: ExportTerms) -> Mapping[str, str]:
        """Text files to write beside the rows, by name; `files` has the file of each split."""
        return {}

    def start(self, files: Mapping[str, str], terms: ExportTerms) -> str:
        """The command, or the lines of configuration, with which its trainer reads them."""
        return ""


def picture_cells(row: ExportRow) -> list[dict[str, Any]]:
    """Pictures as parquet files hold them."""
    return [{"bytes": picture.data, "path": picture.name} for picture in row.pictures]
