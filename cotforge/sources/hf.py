"""`kind: hf`: a dataset of the Hub, or a local folder, as `datasets` reads it: streamed, images undecoded."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cotforge.errors import SourceError, in_words
from cotforge.images import Ref
from cotforge.records import Fault
from cotforge.sources.files import Splits, absolute_path
from cotforge.sources.hf_within import demand_local, demand_resolved
from cotforge.sources.inline import image_in
from cotforge.sources.paths import Folder
from cotforge.sources.raw_rows import Layout, RawData, RawRow, Spool, Unused

if TYPE_CHECKING:
    from datasets import Features, IterableDataset


class HuggingFace(RawData):
    """A dataset that `load_dataset(path)` reads. Images that come as bytes are stored once in the
    run folder's cache."""

    kind: Literal["hf"] = "hf"
    """`hf`: what `datasets.load_dataset` streams, from the Hub or from a folder."""
    config: str | None = None
    """Configuration of the dataset, if it has several. Null: its default."""
    revision: str | None = None
    """Commit, tag or branch on the Hub. With a commit a rebuild reads the same rows. Null: the
    newest."""

    @property
    def at_hand(self) -> bool:
        """It may have to be downloaded, with all its pictures."""
        return False

    def rows(self, root: Path, spool: Spool) -> Iterator[RawRow | Fault | Unused]:
        """Every row of the wanted splits, in their order. Raises SourceError where it cannot be loaded or has no image column."""
        local = absolute_path(root, self.path)
        place = str(local) if local.exists() else self.path
        folder = Folder(local) if local.is_dir() else None
        if folder is not None:
            demand_local(local, self.path)
            if (local / "state.json").exists():
                raise SourceError(f"{self.path}: was written by `save_to_disk`, which is not read; write it by `to_parquet`")
        elif local.exists():
            raise SourceError(f"source.path: {self.path!r} is not a folder; kind table reads single files")
        for split, data in self._wanted_splits(place, local if folder is not None else None):
            features = data.features
            if features is None:
                raise SourceError(f"{self.path}: the dataset does not tell its columns; a table source reads its files directly")
            columns = self.columns.among(list(features), self.path, images=("image", "images", *_image_columns(features)))
            layout = Layout(columns, self.label_names or _label_names(features, columns.label or ""), columns.left_of(features))
            yield from layout.unused()
            for number, record in enumerate(_read_rows(data, [*columns.used(), *columns.image_columns], self.path), start=1):
                where = f"{self.path}[{split}]:{number}"
                if isinstance(record, Fault):
                    yield Fault(record.reason, record.detail, where=where)
                else:
                    images = _cell_refs(layout.images(record), folder, spool, f"row {number}")
                    yield layout.tried(record, images, where, split)

    def _wanted_splits(self, place: str, top: Path | None) -> "Iterator[tuple[str, IterableDataset]]":
        import datasets

        datasets.disable_progress_bars()  # the display of a run is ours
        try:
            builder = datasets.load_dataset_builder(place, self.config, revision=self.revision)
            demand_resolved(builder.config.data_files, top, self.path, builder.base_path or "")
            found = builder.as_streaming_dataset()
        except SourceError:
            raise
        except Exception as err:  # it raises its own, the Hub's, the network's and the readers' errors: none of them is ours
            raise SourceError(f"source.path: {self.path!r} cannot be loaded: {in_words(err)}") from err
        splits = Splits(self.split)
        for name, data in found.items():
            if (split := splits.named(name)) is not None:
                yield split, data.decode(False)
        splits.demand(self.path)


def _read_rows(data: "IterableDataset", columns: list[str], where: str) -> Iterator[dict[str, Any] | Fault]:
    rows = iter(data.select_columns(columns))
    while True:
        try:
            record = next(rows, None)
        except Exception as err:  # a broken file or connection part-way: the rows before it stay
            yield Fault("file_unreadable", in_words(err))
            return
        if record is None:
            return
        yield record


def _image_columns(features: "Features") -> list[str]:
    import datasets

    def inner(feature: object) -> object:
        return feature.feature if isinstance(feature, datasets.List | datasets.LargeList) else feature

    return [name for name, feature in features.items() if isinstance(inner(feature), datasets.Image)]


def _label_names(features: "Features", column: str) -> tuple[str, ...] | None:
    names = getattr(features.get(column), "names", None)
    return tuple(names) if names else None


def _cell_refs(value: object, folder: Folder | None, spool: Spool, name: str) -> Iterator[Ref]:
    """The images of a cell. Raises Fault."""
    if isinstance(value, list):
        for item in value:
            yield from _cell_refs(item, folder, spool, name)
    elif isinstance(value, Mapping):
        path, data = value.get("path"), value.get("bytes")
        if isinstance(data, bytes):
            yield spool(data, os.path.basename(path) if path else name)
        elif path:
            yield from _cell_refs(path, folder, spool, name)
    elif isinstance(value, bytes):
        yield spool(value, name)
    elif isinstance(value, str) and (coded := image_in(value)) is not None:
        yield spool(coded, name)
    elif isinstance(value, str) and folder is not None:
        yield folder.ref(value)
    elif isinstance(value, str) and value.startswith("hf://"):
        yield spool(_from_hub(value), value.rpartition("/")[2])
    elif isinstance(value, str):
        raise Fault("image_url" if "://" in value else "path_outside", f"image: {value[:200]!r} lies outside the dataset")


def _from_hub(path: str) -> bytes:
    from huggingface_hub import HfFileSystem

    try:
        data = HfFileSystem().cat_file(path)
    except Exception as err:  # the Hub's, the network's or the file system's errors: one image that does not come
        raise Fault("image_unreadable", f"image: {path[:200]!r}: {in_words(err)}") from err
    return bytes(data)
