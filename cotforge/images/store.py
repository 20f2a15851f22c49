"""Pictures from refs: looked at once, remembered by content, read anew whenever their bytes are needed."""

import os
import warnings
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from cotforge.images import kept
from cotforge.images.limits import RECIPE, Images
from cotforge.images.loading import Loading
from cotforge.images.memory import Known, Memory
from cotforge.images.refs import FileRef, Ref
from cotforge.records import Fault, Picture

LAST = 4_096
"""Pictures given out last that are kept in mind."""

SHOWN_OTHERWISE = "shown otherwise"
"""What is remembered of a picture that would have become one colour."""


@lru_cache(maxsize=4)
def _opened_store(folder: Path, spec: Images) -> "PictureStore":
    """The store of a run in another process, opened there once."""
    return PictureStore(folder, spec)


class PictureStore:
    """Turns refs into Pictures, and keeps under `folder`/cache what it took work to find out. Safe to use from any thread."""

    def __init__(self, folder: Path, spec: Images) -> None:
        """`folder` is the run folder, made where it is missing. Raises JournalError where it cannot be written."""
        for category in (UserWarning, RuntimeWarning):  # Pillow's, about odd files: what they warn of is judged here
            warnings.filterwarnings("ignore", category=category, module=r"PIL\.")
        self.folder, self._spec = folder, spec
        for path in (folder, folder / "cache", folder / kept.SENT, folder / kept.SPOOL):
            kept.make_folder(path)
        self.shown_otherwise: set[str] = set()
        """Digests of pictures given out that would have become one colour, and were scaled by their own range or put on black."""
        self._last: dict[str, tuple[tuple[int, int], str, Picture]] = {}
        """By place: many rows may be about one picture."""
        self._memory = Memory(folder / "cache" / "images.sqlite", f"{spec.max_pixels} {spec.max_bytes} {RECIPE}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_store, (self.folder, self._spec)

    def picture(self, ref: Ref) -> Picture:
        """The image at `ref` as it is sent. Raises Fault where there is none, or none that is sound."""
        stamp = ref.stamp()
        known = self._memory.at(ref.key, stamp)
        if known is None or not self._holds_recoded(known):
            data = ref.read()
            content = sha256(data).digest()
            known = self._memory.of(content)
            if known is None or not self._holds_recoded(known):
                known = self._find_out(data, content)
                self._memory.learn(content, known)
            self._memory.place(ref.key, stamp, content)
        return self._make_picture(ref, stamp, known)

    def digest(self, ref: Ref) -> str:
        """That of `picture(ref)`, without decoding where it can be known so: `picture` may still raise. Raises Fault as it does."""
        known = self._memory.at(ref.key, ref.stamp())
        if known is None:
            data = ref.read()
            content = sha256(data).digest()
            known = self._memory.of(content)
            if known is None and (kept := self._without_decoding(data)) is not None:
                return (content if kept is data else sha256(kept).digest()).hex()
        return self.picture(ref).digest if known is None or known.reason else known.digest.hex()

    def recall(self, ref: Ref) -> Picture | None:
        """`picture` where it needs neither reading nor decoding; else None. Raises Fault where a fault is remembered."""
        stamp = ref.stamp()
        place = ref.key
        last = self._last.get(place)
        if last is not None and last[0] == stamp and last[1] == ref.name:
            return last[2]
        known = self._memory.at(place, stamp)
        if known is None or not self._holds_recoded(known):
            return None
        picture = self._make_picture(ref, stamp, known)
        if not known.recoded:  # of those the file in the cache has to be there
            if len(self._last) >= LAST:
                self._last.clear()
            self._last[place] = stamp, ref.name, picture
        return picture

    def spool(self, data: bytes, name: str) -> FileRef:
        """Keeps bytes that cannot be asked for again, once per content, and says where they lie."""
        path = os.path.join(os.path.abspath(self.folder), kept.SPOOL, sha256(data).hexdigest())
        if not os.path.exists(path):
            kept.write_file(path, data)
        return FileRef(path, name)

    def scratch(self) -> BinaryIO:
        """A file without a name in the cache, for what a run need not hold in memory. Raises JournalError."""
        return kept.unnamed_file(self.folder)

    def forget(self, place: str) -> None:
        """Drops what was known of a place, because the image there is another by now."""
        self._last.pop(place, None)
        self._memory.forget(place)

    def close(self) -> None:
        """Closes the memory; Pictures already given out can still be loaded."""
        self._memory.close()

    def _without_decoding(self, data: bytes) -> bytes | None:
        from cotforge.images.look import without_decoding  # as in `_find_out`

        return without_decoding(data, self._spec)

    def _find_out(self, data: bytes, content: bytes) -> Known:
        from cotforge.images.look import look_at  # Pillow is not needed where all is remembered

        try:
            seen = look_at(data, self._spec)
        except Fault as fault:
            return Known(reason=fault.reason, detail=fault.detail)
        digest = content if seen.data is data else sha256(seen.data).digest()
        note = SHOWN_OTHERWISE if seen.shown_otherwise else ""
        known = Known(digest, seen.mime, seen.width, seen.height, len(seen.data), seen.recoded, detail=note, whole=digest == content)
        if seen.recoded:
            kept.write_file(self._sent_path(known), seen.data)
        return known

    def _holds_recoded(self, known: Known) -> bool:
        """Whether the recoded bytes, where there are any, still lie in the cache."""
        return not known.recoded or os.path.exists(self._sent_path(known))

    def _sent_path(self, known: Known) -> str:
        return kept.sent_path(self.folder, known.digest.hex(), known.mime)

    def _make_picture(self, ref: Ref, stamp: tuple[int, int], known: Known) -> Picture:
        if known.reason:
            raise Fault(known.reason, f"image: {ref.name!r} {known.detail}")
        place, whole = ref.key, known.whole or known.recoded
        if known.recoded:
            ref = FileRef(self._sent_path(known), ref.name)
            stamp = ref.stamp()
        if known.detail == SHOWN_OTHERWISE:
            self.shown_otherwise.add(known.digest.hex())
        load = Loading(ref, stamp, known.digest, known.mime, whole, place, self.forget)
        file = ref.path if whole and isinstance(ref, FileRef) else None
        return Picture(known.digest.hex(), known.mime, known.width, known.height, known.size, load, file)
