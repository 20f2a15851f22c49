"""What a Picture's `load` is: the bytes read anew, and proved to be those that were looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cotforge.images.cut import CutShortError, UntidyError, cut_metadata
from cotforge.images.refs import FileRef, Ref
from cotforge.plain_record import Record
from cotforge.records import Fault, Picture


@dataclass(frozen=True, slots=True)
class Loading(Record):
    """Reads one picture; see `Picture.load`."""

    source: Ref
    stamp: tuple[int, int]
    """Of the source's file, when it was looked at."""
    digest: bytes
    """sha256 of what is sent."""
    mime: str
    whole: bool
    """Whether the source holds just these bytes; else metadata is cut out first."""
    place: str
    changed: Callable[[str], object]
    """Told the place where the picture no longer is."""

    def __call__(self) -> bytes:
        """See `Picture.load`."""
        data = self.source.read()
        if self.whole and sha256(data).digest() == self.digest:
            return data
        try:
            kept = cut_metadata(data, self.mime)
            if sha256(kept).digest() == self.digest:
                return kept
        except (CutShortError, UntidyError):
            pass  # what stands there now is no longer the image that was looked at, as with any other digest
        self.changed(self.place)
        raise Fault("image_changed", f"image: {self.source.name!r} has changed since it was read; start again to take the new one")

    def stands(self) -> bool:
        """Whether the source's file has the size and time that it had."""
        try:
            return self.source.stamp() == self.stamp
        except Fault:
            return False


def read_ahead(picture: Picture) -> bool:
    """Has the system fetch the picture into its memory, so that `load` needs no disk soon after; a few microseconds, and no waiting.

    False where that cannot be told to it, or loading is work of its own (a cell of a parquet file): then load it where nobody waits.
    """
    return isinstance(picture.load, Loading) and picture.load.source.ahead()


def standing_file(picture: Picture) -> str | None:
    """`picture.file`, where it is still the file that was looked at (by size and time, as ever since); None elsewhere."""
    return picture.file if isinstance(picture.load, Loading) and picture.load.stands() else None


def lies_in(picture: Picture) -> str | None:
    """The absolute path of a file whose pixels are the picture's, with or without metadata; None where it lies inside another file."""
    return picture.load.source.path if isinstance(picture.load, Loading) and isinstance(picture.load.source, FileRef) else None
