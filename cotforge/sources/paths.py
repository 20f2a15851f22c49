"""Image paths as a data file writes them: held to its folder, and found in spite of another Unicode form or Windows' separators."""

import os
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from cotforge.images import FileRef
from cotforge.records import Fault
from cotforge.regular_files import fault_of
from cotforge.sources.inline import NAME, image_in, parts_of
from cotforge.sources.raw_rows import Spool
from cotforge.sources.values import clean_value

_DIRS_KEPT = 1_024
_NAMES_KEPT, _LONGEST_KEPT = 4_096, 4_096
_LINK = "is a link that leads out of the folder of the data; put a copy in its place"


class Folder:
    """The folder of a data file, and the images that the file names in it."""

    def __init__(self, folder: Path, spool: Spool | None = None) -> None:
        """With `spool`, a text that is an image in base64 is read too."""
        self._root = os.path.realpath(folder)
        self._spool = spool
        self._real: dict[str, str] = {}
        self._last: dict[str, FileRef] = {}
        """By name: many rows may be about one picture."""
        self._blobs = _hub_blobs(self._root)

    def ref(self, name: str) -> FileRef:
        """Where that image lies; links are followed first. Raises Fault `image_url`, `path_outside`, `image_missing` or `image_broken`."""
        if (known := self._last.get(name)) is not None:
            return known
        if self._spool is not None and (data := image_in(name)) is not None:
            return self._spool(data, NAME)
        if "://" in name or name.startswith("data:"):
            raise Fault("image_url", f"image: {name[:200]!r} is a URL; only files are read")
        try:
            if b"\0" in os.fsencode(name):
                raise ValueError("it holds a NUL")
            path = self._resolve_name(name)
            if ("\\" in name or not name.isascii()) and not os.path.lexists(path):
                path = self._resolve_name(_as_on_disk(self._root, name))
        except (ValueError, OSError) as err:  # half a character in the name too, or links in a circle
            raise Fault("image_missing", f"image: {name[:200]!r} cannot be a path; {err}") from err
        if not self._holds_path(path):
            self._demand_blob(path, name)
        found = FileRef(path, clean_value(name))
        if len(name) <= _LONGEST_KEPT:
            if len(self._last) >= _NAMES_KEPT:
                self._last.clear()
            self._last[name] = found
        return found

    def demand_file(self, path: str | os.PathLike[str]) -> None:
        """Raises Fault where a file of the data is a link that leads out of the folder (`path_outside`), or no file (`file_unreadable`)."""
        name = os.path.basename(path)[:200]
        try:
            real = os.path.realpath(path, strict=True)
            fault = fault_of(os.stat(real))
        except OSError as err:  # links in a circle, or into nothing, too
            raise Fault("file_unreadable", (err.strerror or str(err)).lower()) from err
        if not self._holds_path(real) and os.path.dirname(real) != self._blobs:
            raise Fault("path_outside", f"{name!r} {_LINK}, or name the file itself in source.path")
        if fault:
            raise Fault("file_unreadable", f"{name!r} {fault}")

    def demand_folder(self, path: str | os.PathLike[str]) -> None:
        """Raises Fault `path_outside` where a folder of the data is, or lies behind, a link that leads out of it."""
        if not self._holds_path(os.path.realpath(path)):
            raise Fault("path_outside", f"{os.path.basename(path)[:200]!r} {_LINK}, or name the folder itself in source.path")

    def has_file(self, path: str | os.PathLike[str]) -> bool:
        """Whether `demand_file` raises nothing."""
        try:
            self.demand_file(path)
        except Fault:
            return False
        return True

    def _holds_path(self, real: str) -> bool:
        return real == self._root or real.startswith(self._root.rstrip(os.sep) + os.sep)

    def refs(self, value: object) -> Iterator[FileRef]:
        """The images that a cell of text data names: a path, `{"path": ...}`, or a list of these. Raises Fault."""
        if isinstance(value, str) and value.strip():
            yield from map(self.ref, parts_of(value.strip()))
        elif isinstance(value, list):
            for item in value:
                yield from self.refs(item)
        elif isinstance(value, dict) and "path" in value:
            yield from self.refs(value["path"])
        elif value is not None and not isinstance(value, str):
            raise Fault("no_image", f"image: {str(value)[:80]!r} is not a path")

    def _resolve_name(self, name: str) -> str:
        """As `os.path.realpath`, but looking at each folder once: 5 us instead of 50."""
        above, last = os.path.split(os.path.join(self._root, name))
        if last in ("", ".", ".."):
            return os.path.realpath(os.path.join(above, last))
        real = self._real.get(above)
        if real is None:
            if len(self._real) >= _DIRS_KEPT:
                self._real.clear()
            real = self._real[above] = os.path.realpath(above)
        path = os.path.join(real, last)
        return os.path.realpath(path) if os.path.islink(path) else path

    def _demand_blob(self, path: str, name: str) -> None:
        """Lets a path outside the folder pass only where a link of the Hub's cache led there. Raises Fault `path_outside`."""
        written = os.path.normpath(os.path.join(self._root, name))
        if not self._holds_path(written):
            raise Fault("path_outside", f"image: {name[:200]!r} leads out of the folder of the data; only images in it are read")
        if os.path.dirname(path) != self._blobs:
            raise Fault("path_outside", f"image: {name[:200]!r} {_LINK}")


def _hub_blobs(root: str) -> str | None:
    """Where links of a snapshot in the Hub's cache lead: from `<repo>/snapshots/<commit>/x` to `<repo>/blobs/<hash>`.

    Source: huggingface_hub's guide "Understand caching".
    """
    repo, snapshots, commit = root.rpartition(f"{os.sep}snapshots{os.sep}")
    return os.path.join(repo, "blobs") if snapshots and commit else None


def _as_on_disk(root: str, name: str) -> str:
    """The name as the disk has it, part by part: as written, composed (NFC), or decomposed (NFD, as macOS writes); else with `/` for `\\`.

    Where it is there in no form, the name as written.
    """
    for written in (name, name.replace("\\", "/")):
        path = os.sep if written.startswith(os.sep) else root
        for part in written.split("/"):
            forms = (os.path.join(path, form) for form in dict.fromkeys([part, normalize("NFC", part), normalize("NFD", part)]))
            path = next(filter(os.path.lexists, forms), os.path.join(path, part))
        if os.path.lexists(path):
            return path
    return name
