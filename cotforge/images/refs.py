"""Where the bytes of an image lie: a file on disk, or a member of a tar, readable again at any time."""

import os
import stat
from dataclasses import dataclass
from typing import Protocol

from cotforge.images.limits import HARD_BYTES
from cotforge.records import Fault


class Ref(Protocol):
    """A place that image bytes can be read from, now and later, from any thread."""

    @property
    def name(self) -> str:
        """As the data calls it, for messages."""

    @property
    def key(self) -> str:
        """The place, unique on this machine."""

    def stamp(self) -> tuple[int, int]:
        """(bytes, mtime in ns) of the file that holds the image. Raises Fault where there is no such file."""

    def read(self) -> bytes:
        """The raw bytes. Raises Fault where they cannot be read."""


def stamp(path: str, name: str) -> tuple[int, int]:
    """(bytes, mtime in ns) of a regular file. Raises Fault `image_missing`, `image_unreadable` or `image_not_an_image`."""
    try:
        found = os.stat(path)
    except OSError as err:
        raise unreadable(err, name) from err
    if not stat.S_ISREG(found.st_mode):  # opening a pipe or a device could hang
        raise Fault("image_not_an_image", f"image: {name!r} is not a file")
    return found.st_size, found.st_mtime_ns


def unreadable(err: OSError, name: str) -> Fault:
    """The Fault for an image whose file the system would not give."""
    said = err.strerror or str(err)
    missing = isinstance(err, (FileNotFoundError, NotADirectoryError))
    return Fault("image_missing" if missing else "image_unreadable", f"image: {name!r}: {said.lower()}")


def slice_of(path: str, name: str, offset: int, size: int) -> bytes:
    """`size` bytes of a file from `offset`. Raises Fault where the file is gone or ends before."""
    if size > HARD_BYTES:
        raise Fault("image_too_many_bytes", f"image: {name!r} has {size:,} bytes; at most {HARD_BYTES:,} are read")
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(size)
            while len(data) < size and (more := file.read(size - len(data))):
                data += more
    except OSError as err:
        raise unreadable(err, name) from err
    if len(data) < size:
        raise Fault("image_truncated", f"image: {name!r} ends after {len(data):,} of {size:,} bytes")
    return data


@dataclass(frozen=True, slots=True)
class FileRef:
    """An image that is a file of its own."""

    path: str
    """Absolute."""
    name: str

    @property
    def key(self) -> str:
        """The path."""
        return self.path

    def stamp(self) -> tuple[int, int]:
        """See `Ref`."""
        return stamp(self.path, self.name)

    def read(self) -> bytes:
        """See `Ref`."""
        return slice_of(self.path, self.name, 0, self.stamp()[0])


@dataclass(frozen=True, slots=True)
class MemberRef:
    """An image inside an uncompressed tar: never extracted, read where it lies."""

    path: str
    """The tar, absolute."""
    name: str
    """The member."""
    offset: int
    """Bytes before the member's data."""
    size: int
    """Bytes of the member's data."""

    @property
    def key(self) -> str:
        """The tar and the place in it."""
        return f"{self.path}\0{self.offset}+{self.size}"

    def stamp(self) -> tuple[int, int]:
        """See `Ref`."""
        return stamp(self.path, self.name)

    def read(self) -> bytes:
        """See `Ref`."""
        return slice_of(self.path, self.name, self.offset, self.size)
