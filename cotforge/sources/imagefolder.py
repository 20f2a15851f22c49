"""`kind: imagefolder`: a folder of images whose class is the name of their folder, or a metadata file beside them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from cotforge.errors import SourceError
from cotforge.images import FileRef
from cotforge.images.signatures import is_image_file
from cotforge.records import Fault
from cotforge.sources.files import Splits, existing_path, is_run_folder, is_split_name, shown_path
from cotforge.sources.paths import Folder
from cotforge.sources.raw_rows import Columns, Layout, RawData, RawRow, Spool, Unused, place_fault
from cotforge.sources.seen import Seen
from cotforge.sources.table import Splitter, parquet_rows
from cotforge.sources.text_files import laid_out
from cotforge.sources.values import clean_value

IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl"),
)
"""Of files that are taken for images; those that cannot be read are counted, and not passed over."""
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""As in `folder_based_builder.py` of huggingface/datasets, which refuses several of them; the first is read here."""
_IMAGES = ("file_name", "image", "images")


class ImageFolder(RawData):
    """`<class>/<name>.jpg`, maybe below `train/`, `test/`, ...

    A file without an image's ending is judged by its first bytes. With a `metadata.csv`, `.jsonl` or `.parquet` (its column
    `file_name` names the image) in the folder of the split, or above it, only what that says counts. Files that are not used
    are counted, with the first names.
    """

    kind: Literal["imagefolder"] = "imagefolder"
    """`imagefolder`: `<label>/<name>.jpg`, also below `train/`, `val/` and `test/`, or a metadata
    file that names the images."""
    ids: Literal["path", "content"] = "path"
    """Ids of samples without an id column. `path`: the image's path below `source.path`. `content`:
    a hash of image and question. A run folder keeps the ids it started with; folders older than
    this key use `content`."""

    def size(self, root: Path) -> int:
        """Image files of the wanted splits."""
        top, splits = existing_path(root, self.path), Splits(self.split)
        return sum(is_image for folder, _ in _split_folders(top, splits) or [(top, "")] for _, is_image in _sorted_files(folder))

    def rows(self, root: Path, spool: Spool) -> Iterator[RawRow | Fault | Unused]:
        """Every image of the wanted splits, in the order of the names. Raises SourceError for what is wrong with the whole."""
        top = existing_path(root, self.path)
        where = shown_path(top, root)
        if not top.is_dir():
            raise SourceError(f"source.path: {where!r} is not a folder; kind table reads single files")
        splits = Splits(self.split)
        divided = _split_folders(top, splits)
        held = Folder(top)
        for folder, split in divided or [(top, splits.undivided(where))]:
            metadata = _metadata_of(folder) or _metadata_of(top)
            try:
                held.demand_folder(folder)
                if metadata:
                    held.demand_file(metadata)
                found = self._metadata_rows(metadata, folder, split, root) if metadata else self._walk_folders(folder, split, root)
                yield from (_relative(item, top) if isinstance(item, Unused) else self._row_with_id(item, top) for item in found)
            except Fault as fault:
                yield place_fault(fault, shown_path(metadata or folder, root))
            except OSError as err:
                yield Fault("file_unreadable", err.strerror or str(err), where=shown_path(metadata or folder, root))
        splits.demand(where)
        if divided:
            read = {_metadata_of(top)} if any(_metadata_of(folder) is None for folder, _ in divided) else set()
            yield from (Unused(name) for name in _beside_splits(top, splits) if top / name not in read)

    def _row_with_id(self, row: RawRow | Fault, top: Path) -> RawRow | Fault:
        """The row with its path for an id, unless a column holds one; a question of its own is part of it, as other rows may ask others."""
        if isinstance(row, Fault) or row.id is not None or self.ids == "content":
            return row
        real = os.path.realpath(top)
        names = [os.path.relpath(ref.path, real) if isinstance(ref, FileRef) else ref.name for ref in row.images]
        asked = f"#{sha256(row.question.encode()).hexdigest()[:8]}" if row.question else ""
        return replace(row, id=clean_value("+".join(names)) + asked)

    def _metadata_rows(self, metadata: Path, folder: Path, split: str, root: Path) -> Iterator[RawRow | Fault | Unused]:
        """What the metadata says of the images in a folder, then the files there that it does not name."""
        where, within = shown_path(metadata, root), os.path.realpath(folder) + os.sep
        if metadata.suffix == ".parquet":
            splitter = Splitter(Splits(split), split, where)
            rows: Iterable[RawRow | Fault | Unused] = parquet_rows(self, metadata, where, splitter, images=_IMAGES)
        else:
            rows = self._metadata_lines(metadata, split, where)
        with closing(Seen()) as named:
            for row in rows:
                paths = [ref.path for ref in row.images if isinstance(ref, FileRef)] if isinstance(row, RawRow) else []
                if folder == metadata.parent or all(path.startswith(within) for path in paths):
                    yield row
                for path in paths:
                    named.before(path, "")
            for path, _ in _sorted_files(folder):
                if path != str(metadata) and named.before(os.path.realpath(path), "") is None:
                    yield Unused(path)

    def _metadata_lines(self, metadata: Path, split: str, where: str) -> Iterator[RawRow | Fault | Unused]:
        folder, told = Folder(metadata.parent), None
        for number, record, layout in laid_out(self, metadata, where, _IMAGES):
            if layout is not told:
                yield from (told := layout).unused()
            here = f"{where}:{number}"
            if isinstance(record, Fault):
                yield place_fault(record, here)
            else:
                yield layout.tried(record, folder.refs(layout.images(record)), here, split)

    def _walk_folders(self, top: Path, split: str, root: Path) -> Iterator[RawRow | Fault | Unused]:
        columns = Columns(label="class", id="file_name" if self.columns.id == "file_name" else None)
        folder, layout = Folder(top), Layout(columns, self.label_names)
        start, where = len(os.path.join(top, "")), shown_path(top, root)
        where = "" if where == os.curdir else where
        for path, is_image in _sorted_files(top):
            if not is_image:
                yield Unused(path)
                continue
            above = os.path.dirname(path)
            label = None if above == str(top) else os.path.basename(above)
            name = path[start:]
            yield layout.tried({"class": label, "file_name": name}, _file_ref(folder, path, name), os.path.join(where, name), split)


def _file_ref(folder: Folder, path: str, name: str) -> Iterator[FileRef]:
    """The image. Raises Fault as `Folder.ref` does, and `path_outside` for a linked folder."""
    if not name.lower().endswith(IMAGE_ENDINGS) and os.path.isdir(path):
        raise Fault("path_outside", f"image: {name[:200]!r} is a link to a folder, which is not followed; put a copy in its place")
    yield folder.ref(name)


def _split_folders(top: Path, splits: Splits) -> list[tuple[Path, str]]:
    """(folder, split) of the wanted splits; empty where the folder has none. A class may be called `train`: then it holds no folders."""
    below = sorted(entry for entry in top.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    named = [entry for entry in below if is_split_name(entry.name) or entry.name in splits.wanted]
    if not named or (len(named) < len(below) and not any(_is_divided(entry) for entry in named)):
        return []
    found = [(entry, split) for entry in named if (split := splits.named(entry.name)) is not None]
    splits.demand(top.name)
    return found


def _metadata_of(folder: Path) -> Path | None:
    return next((folder / name for name in _METADATA if os.path.lexists(folder / name)), None)


def _is_divided(folder: Path) -> bool:
    return any(entry.is_dir() or entry.name in _METADATA for entry in folder.iterdir())


def _beside_splits(top: Path, splits: Splits) -> Iterator[str]:
    """Names of what lies beside the folders of the splits, metadata first: those files may be meant to be read."""
    for entry in sorted(top.iterdir(), key=lambda entry: (entry.name not in _METADATA, entry.name)):
        is_folder = entry.is_dir()
        is_split = is_folder and (is_split_name(entry.name) or entry.name in splits.wanted)
        if not is_split and not entry.name.startswith("."):
            yield entry.name + "/" * is_folder


def _relative(unused: Unused, top: Path) -> Unused:
    """The same, a file's name relative to the folder."""
    return unused if unused.is_column else Unused(os.path.relpath(unused.name, top))


def _sorted_files(folder: Path) -> Iterator[tuple[str, bool]]:
    """(path, whether it is taken for an image) of the files below, sorted by name within each folder.

    A linked folder stands for itself, as an image, so that it becomes a fault: it may lead in circles. So does an empty folder that is
    named as an image. Run folders are passed over.
    """
    with os.scandir(folder) as entries:
        found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in found:
        is_named = entry.name.lower().endswith(IMAGE_ENDINGS)
        if entry.is_dir(follow_symlinks=False) and not (is_named and not os.listdir(entry)):
            if not is_run_folder(entry.path):
                yield from _sorted_files(Path(entry.path))
        else:
            yield entry.path, is_named or os.path.isdir(entry) or _begins_image(entry)


def _begins_image(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and is_image_file(entry.path)
