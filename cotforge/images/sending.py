"""Pictures as servers are given them: `data:` URLs, or `file:` URLs of files that hold exactly the bytes of their digest."""

import base64
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote_from_bytes
from weakref import WeakValueDictionary

from cotforge.images.kept import sent_path, write_file
from cotforge.images.limits import Images
from cotforge.images.loading import read_ahead, standing_file
from cotforge.records import Picture


def data_url(picture: Picture) -> bytes:
    """The picture in base64. Raises Fault where its file has changed or gone."""
    return b"data:%b;base64,%b" % (picture.mime.encode(), base64.b64encode(picture.load()))


def file_url(path: str) -> bytes:
    """The URL of an absolute path, percent-encoded. Source: RFC 8089."""
    return b"file://" + quote_from_bytes(os.fsencode(path)).encode()


class _Encoded:
    """A data URL, for as long as someone holds it."""

    __slots__ = ("__weakref__", "url")

    def __init__(self) -> None:
        self.url: bytes | None = None


class Sending:
    """How the pictures of one run are sent. Safe to use from any thread."""

    def __init__(self, spec: Images, folder: Path) -> None:
        """`folder` is the run folder, where a PictureStore has been made before."""
        self.via, self._folder = spec.via, folder
        self.encoded = 0
        """Pictures brought into the form they are sent in so far: into base64, or into files of their own."""
        self._lock = threading.Lock()
        self._alive: WeakValueDictionary[str, _Encoded] = WeakValueDictionary()

    def of(self, pictures: Iterable[Picture]) -> "Urls":
        """The URLs of some pictures by digest. What is encoded is shared by all that hold the same picture at a time."""
        with self._lock:
            return Urls(self, {picture.digest: (picture, self._alive.setdefault(picture.digest, _Encoded())) for picture in pictures})

    def url(self, picture: Picture, encoded: _Encoded) -> bytes:
        """The picture's URL. Raises Fault where its file has changed or gone, JournalError where a copy cannot be written."""
        if self.via == "file":
            return file_url(self._picture_file(picture))
        if encoded.url is None:
            encoded.url = data_url(picture)
            self.encoded += 1
        return encoded.url

    def _picture_file(self, picture: Picture) -> str:
        """A file with the picture's bytes: its own, or one under the run folder, written where it is not there yet."""
        own = standing_file(picture)
        if own is not None and _is_text(own):
            return own
        copy = sent_path(self._folder, picture.digest, picture.mime)
        if not _holds_size(copy, picture.size):
            write_file(copy, picture.load())
            self.encoded += 1
        return copy


class Urls(Mapping[str, bytes]):
    """URLs of pictures by digest, each made when it is first asked for. Raises as `Sending.url` does."""

    def __init__(self, sending: Sending, pictures: Mapping[str, tuple[Picture, _Encoded]]) -> None:
        self._sending, self._pictures = sending, pictures
        self._made: dict[str, bytes] = {}

    def __getitem__(self, digest: str) -> bytes:
        if digest not in self._made:
            self._made[digest] = self._sending.url(*self._pictures[digest])
        return self._made[digest]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def ahead(self) -> None:
        """To be called where waiting does no harm, before an event loop asks: pictures come from the disk, and costly URLs are made.

        Raises as `Sending.url` does.
        """
        for digest, (picture, _) in self._pictures.items():
            if self._sending.via == "file" or not read_ahead(picture):
                self[digest]

    def anew(self) -> "Urls":
        """The same, holding nothing yet that was made."""
        return self._sending.of([picture for picture, _ in self._pictures.values()])

    def encode(self) -> None:
        """Make what is not made yet, and look again whether files still stand. Once it has not raised, no look-up does."""
        if self._sending.via == "file":
            self._made.clear()
        for digest in self._pictures:
            self[digest]


def _is_text(path: str) -> bool:
    """Whether a server that takes URLs for UTF-8 finds the file."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _holds_size(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size
    except OSError:
        return False
