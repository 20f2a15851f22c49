"""Pictures from refs: looked at once, remembered by content, read anew whenever their bytes are needed."""

import os
import threading
import warnings
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from cotforge.errors import JournalError
from cotforge.images.cut import CutShortError, UntidyError, cut
from cotforge.images.limits import RECIPE, Images
from cotforge.images.memory import Known, Memory
from cotforge.images.refs import FileRef, Ref
from cotforge.records import Fault, Picture


@lru_cache(maxsize=4)
def _opened(folder: Path, spec: Images) -> "PictureStore":
    """The store of a run in another process, opened there once."""
    return PictureStore(folder, spec)


class PictureStore:
    """Turns refs into Pictures, and keeps under `folder`/cache what it took work to find out. Safe to use from any thread."""

    def __init__(self, folder: Path, spec: Images) -> None:
        """`folder` is the run folder, made where it is missing. Raises JournalError where it cannot be written."""
        for category in (UserWarning, RuntimeWarning):  # Pillow's, about odd files: what they warn of is judged here
            warnings.filterwarnings("ignore", category=category, module=r"PIL\.")
        self._folder, self._spec = folder, spec
        self._recoded, self._spooled = folder / "cache" / "recoded", folder / "cache" / "spool"
        for path in (folder, folder / "cache", self._recoded, self._spooled):
            _make(path)
        self._memory = Memory(folder / "cache" / "images.sqlite", f"{spec.max_pixels} {spec.max_bytes} {RECIPE}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._folder, self._spec)

    def picture(self, ref: Ref) -> Picture:
        """The image at `ref` as it is sent. Raises Fault where there is none, or none that is sound."""
        stamp = ref.stamp()
        known = self._memory.at(ref.key, stamp)
        if known is None or not self._holds(known):
            data = ref.read()
            content = sha256(data).digest()
            known = self._memory.of(content)
            if known is None or not self._holds(known):
                known = self._find_out(data)
                self._memory.learn(content, known)
            self._memory.place(ref.key, stamp, content)
        return self._picture(ref, known)

    def recall(self, ref: Ref) -> Picture | None:
        """`picture` where it needs neither reading nor decoding; else None. Raises Fault where a fault is remembered."""
        known = self._memory.at(ref.key, ref.stamp())
        return self._picture(ref, known) if known is not None and self._holds(known) else None

    def spool(self, data: bytes, name: str) -> FileRef:
        """Keeps bytes that cannot be asked for again, once per content, and says where they lie."""
        path = self._spooled / sha256(data).hexdigest()
        if not path.exists():
            _write(path, data)
        return FileRef(str(path), name)

    def close(self) -> None:
        """Closes the memory; Pictures already given out can still be loaded."""
        self._memory.close()

    def _find_out(self, data: bytes) -> Known:
        from cotforge.images.look import look  # Pillow is not needed where all is remembered

        try:
            seen = look(data, self._spec)
        except Fault as fault:
            return Known(reason=fault.reason, detail=fault.detail)
        digest = sha256(seen.data)
        if seen.recoded:
            _write(self._recoded / digest.hexdigest(), seen.data)
        return Known(digest.digest(), seen.mime, seen.width, seen.height, len(seen.data), seen.recoded)

    def _holds(self, known: Known) -> bool:
        """Whether the recoded bytes, where there are any, still lie in the cache."""
        return not known.recoded or (self._recoded / known.digest.hex()).exists()

    def _picture(self, ref: Ref, known: Known) -> Picture:
        if known.reason:
            raise Fault(known.reason, f"image: {ref.name!r} {known.detail}")
        source = FileRef(str(self._recoded / known.digest.hex()), ref.name) if known.recoded else ref
        load = partial(self._load, source, ref.key, known.digest, "" if known.recoded else known.mime)
        return Picture(known.digest.hex(), known.mime, known.width, known.height, known.size, load)

    def _load(self, source: Ref, place: str, digest: bytes, mime: str) -> bytes:
        """The bytes with that digest; `mime` where metadata has to be cut out first."""
        data = source.read()
        try:
            data = cut(data, mime) if mime else data
            if sha256(data).digest() == digest:
                return data
        except (CutShortError, UntidyError):
            pass  # what stands there now is no longer the image that was looked at, as with any other digest
        self._memory.forget(place)
        raise Fault("image_changed", f"image: {source.name!r} has changed since it was read; start again to take the new one")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise JournalError(f"{folder}: {err.strerror}; the run folder has to be one that can be written") from err


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, readable by the owner only. Raises JournalError where the disk does not take it."""
    half = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(os.open(half, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        half.replace(path)
    except OSError as err:
        half.unlink(missing_ok=True)
        raise JournalError(f"{path}: {err.strerror}; make room, or see that the folder can be written") from err
