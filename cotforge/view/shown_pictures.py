"""Pictures of a run by their digests: out of the dataset, or of the source for samples that have no lesson."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from threading import Lock

from cotforge.records import Fault, Picture
from cotforge.view.viewed_run import OpenedDataset, ViewedRun

REMEMBERED = 2_000
"""Pictures of the source of which it is known where they lie."""
SMALL = 320
"""Pixels of the longer side of a picture in a list."""
_NAMES = ("images.list.element.path",)
_WHOLE = ("images.list.element.bytes", "images.list.element.path")
_NAME = re.compile(r"([0-9a-f]{64})\.(?:jpg|png|webp)")
_KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF", "image/webp"))


class ShownPictures:
    """Knows by their digests the pictures that a page has named. Safe to use from any thread."""

    def __init__(self, run: ViewedRun) -> None:
        self._run, self._lock = run, Lock()
        self._known: OrderedDict[str, Picture] = OrderedDict()

    def picture_digests(self, opened: OpenedDataset, numbers: Sequence[int]) -> dict[int, list[str]]:
        """Those of each sample's pictures.

        A sample without a lesson is left out until the source is read that far.
        """
        found: dict[int, list[str]] = {}
        for number in numbers:
            row = opened.index.row(number)
            if row["lesson"] is not None:
                found[number] = [digest for digest, _ in self._of_lesson(opened, row["lesson"], _NAMES)]
            elif (sample := self._run.source_sample(row["id"])) is not None:
                found[number] = [self._remember_picture(picture) for picture in sample.pictures]
        return found

    @property
    def may_come(self) -> bool:
        """Whether a picture that is not known yet may be later."""
        return self._run.may_read_more

    def load_picture(self, digest: str, key: str, *, small: bool = False) -> tuple[bytes, str] | None:
        """(bytes, media type) of the picture with this digest of the sample with this key.

        None where there is no such picture.
        """
        data = self._picture_bytes(digest, key)
        kind = next((kind for head, kind in _KINDS if data.startswith(head)), None)
        if kind is None or sha256(data).hexdigest() != digest:
            return None
        if not small:
            return data, kind
        from cotforge.images.small import shrink_picture  # Pillow: not before the first page is out

        return (shrink_picture(data, SMALL), "image/jpeg")

    def _picture_bytes(self, digest: str, key: str) -> bytes:
        opened = self._run.open_dataset()
        number = opened.index.number_of(key)
        lesson = None if number is None else opened.index.row(number)["lesson"]
        if lesson is not None:
            return next((data for name, data in self._of_lesson(opened, lesson, _WHOLE) if name == digest), b"")
        with self._lock:
            picture = self._known.get(digest)
        try:
            return b"" if picture is None else picture.load()
        except Fault:  # the file has changed or gone since
            return b""

    def _of_lesson(self, opened: OpenedDataset, lesson: int, columns: Sequence[str]) -> list[tuple[str, bytes]]:
        """(digest, bytes or nothing) of the pictures of a lesson; one whose name is none of ours is left out."""
        cells = [cell for row in opened.lessons.read_rows(lesson, columns=columns) for cell in row.get("images") or ()]
        return [(named[1], cell.get("bytes") or b"") for cell in cells if (named := _NAME.fullmatch(cell["path"] or ""))]

    def _remember_picture(self, picture: Picture) -> str:
        with self._lock:
            self._known[picture.digest] = picture
            self._known.move_to_end(picture.digest)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return picture.digest
