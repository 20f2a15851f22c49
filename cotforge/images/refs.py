"""Where the bytes of an image lie: a file on disk, or a member of a tar, readable again at any time."""

import os
import stat
from dataclasses import dataclass
from typing import Protocol

from cotforge.images.limits import HARD_BYTES
from cotforge.plain_record import Record
from cotforge.records import Fault

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Without waiting: opening a pipe would hang until someone writes."""


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

    def ahead(self) -> bool:
        """Has the system fetch the bytes into its memory, without waiting for them. False where it cannot, or where `read` does more."""


def file_stamp(path: str, name: str) -> tuple[int, int]:
    """(bytes, mtime in ns) of a regular file. Raises Fault `image_missing`, `image_unreadable` or `image_not_an_image`."""
    try:
        found = os.stat(path)
    except OSError as err:
        raise unreadable_fault(err, name) from err
    _demand_file(found, name)
    return found.st_size, found.st_mtime_ns


def _demand_file(found: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Fault("image_not_an_image", f"image: {name!r} is not a file")


def unreadable_fault(err: OSError, name: str) -> Fault:
    """The Fault for an image whose file the system would not give."""
    said = err.strerror or str(err)
    missing = isinstance(err, (FileNotFoundError, NotADirectoryError))
    return Fault("image_missing" if missing else "image_unreadable", f"image: {name!r}: {said.lower()}")


def open_file(path: str) -> int:
    """A descriptor to read from, without waiting for a pipe's writer. Raises OSError."""
    return os.open(path, _READ)


def slice_of(path: str, name: str, offset: int = 0, size: int | None = None) -> bytes:
    """`size` bytes of a file from `offset`, or all. Raises Fault where the file is gone, is none, or ends before."""
    try:
        file = open_file(path)
        try:
            found = os.fstat(file)
            _demand_file(found, name)
            size = found.st_size if size is None else size
            if size > HARD_BYTES:
                raise Fault("image_too_many_bytes", f"image: {name!r} has {size:,} bytes; at most {HARD_BYTES:,} are read")
            data = os.pread(file, size, offset)
            while len(data) < size and (more := os.pread(file, size - len(data), offset + len(data))):
                data += more
        finally:
            os.close(file)
    except OSError as err:
        raise unreadable_fault(err, name) from err
    if len(data) < size:
        raise Fault("image_truncated", f"image: {name!r} ends after {len(data):,} of {size:,} bytes")
    return data


def fetch_ahead(path: str, offset: int = 0, size: int = 0) -> bool:
    """Has the system read `size` bytes (0: all) into its memory ahead; False where it knows no such wish, or the file is not there."""
    if not hasattr(os, "posix_fadvise"):
        return False
    try:
        file = open_file(path)
        try:
            os.posix_fadvise(file, offset, size, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)
    except OSError:  # reading tells why
        return False
    return True


@dataclass(frozen=True, slots=True)
class FileRef(Record):
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
        return file_stamp(self.path, self.name)

    def read(self) -> bytes:
        """See `Ref`."""
        return slice_of(self.path, self.name)

    def ahead(self) -> bool:
        """See `Ref`."""
        return fetch_ahead(self.path)


@dataclass(frozen=True, slots=True)
class MemberRef(Record):
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
        return file_stamp(self.path, self.name)

    def read(self) -> bytes:
        """See `Ref`."""
        return slice_of(self.path, self.name, self.offset, self.size)

    def ahead(self) -> bool:
        """See `Ref`."""
        return fetch_ahead(self.path, self.offset, self.size)
