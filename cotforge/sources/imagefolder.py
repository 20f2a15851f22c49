"""`kind: imagefolder`: a folder of images whose class is the name of their folder, or a metadata file beside them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cotforge.errors import SourceError
from cotforge.records import Fault
from cotforge.sources.files import Folder, Splits, existing, is_split_name, shown
from cotforge.sources.rows import Columns, Layout, RawData, Row, Spool, placed
from cotforge.sources.table import laid_out

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
"""Of files that are taken for images; those that cannot be read are counted, and not passed over."""
_METADATA = ("metadata.jsonl", "metadata.csv")


class ImageFolder(RawData):
    """`<class>/<name>.jpg`, maybe below `train/`, `test/`, ...

    With a `metadata.csv` or `.jsonl` (its column `file_name` names the image), only what that says counts.
    """

    kind: Literal["imagefolder"] = "imagefolder"

    def size(self, root: Path) -> int:
        """Image files of the wanted splits."""
        top, splits = existing(root, self.path), Splits(self.split)
        return sum(1 for folder, _ in _divided(top, splits) or [(top, "")] for _ in _images(folder))

    def rows(self, root: Path, spool: Spool) -> Iterator[Row | Fault]:
        """Every image of the wanted splits, in the order of the names. Raises SourceError for what is wrong with the whole."""
        top = existing(root, self.path)
        where = shown(top, root)
        if not top.is_dir():
            raise SourceError(f"source.path: {where!r} is not a folder; kind table reads single files")
        splits = Splits(self.split)
        for folder, split in _divided(top, splits) or [(top, splits.undivided(where))]:
            metadata = next((folder / name for name in _METADATA if (folder / name).is_file()), None)
            try:
                yield from self._listed(metadata, split, root) if metadata else self._walked(folder, split, root)
            except OSError as err:
                yield Fault("file_unreadable", err.strerror or str(err), where=shown(metadata or folder, root))
        splits.demand(where)

    def _listed(self, metadata: Path, split: str, root: Path) -> Iterator[Row | Fault]:
        where, folder = shown(metadata, root), Folder(metadata.parent)
        for number, record, layout in laid_out(self, metadata, where, ("file_name", "image", "images")):
            here = f"{where}:{number}"
            if isinstance(record, Fault):
                yield placed(record, here)
            else:
                yield layout.tried(record, folder.refs(layout.images(record)), here, split)

    def _walked(self, top: Path, split: str, root: Path) -> Iterator[Row | Fault]:
        folder, layout = (
            Folder(top),
            Layout(Columns(label="class", id="file_name" if self.columns.id == "file_name" else None), self.label_names),
        )
        for path in _images(top):
            above = os.path.dirname(path)
            label = None if above == str(top) else os.path.basename(above)
            name = os.path.relpath(path, top)
            yield layout.tried({"class": label, "file_name": name}, map(folder.ref, [name]), shown(Path(path), root), split)


def _divided(top: Path, splits: Splits) -> list[tuple[Path, str]]:
    """(folder, split) of the wanted splits; empty where the folder has none. A class may be called `train`: then it holds no folders."""
    below = sorted(entry for entry in top.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    named = [entry for entry in below if is_split_name(entry.name) or entry.name in splits.wanted]
    if not named or (len(named) < len(below) and not any(_is_divided(entry) for entry in named)):
        return []
    found = [(entry, split) for entry in named if (split := splits.named(entry.name)) is not None]
    splits.demand(top.name)
    return found


def _is_divided(folder: Path) -> bool:
    return any(entry.is_dir() or entry.name in _METADATA for entry in folder.iterdir())


def _images(folder: Path) -> Iterator[str]:
    """Image files below, sorted by name within each folder; a linked folder stands for itself, as a fault: it may lead in circles."""
    with os.scandir(folder) as entries:
        found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _images(Path(entry.path))
        elif entry.name.lower().endswith(IMAGE_ENDINGS) or entry.is_dir():
            yield entry.path
