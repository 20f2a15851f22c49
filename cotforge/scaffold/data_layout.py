"""Which kind of source a folder or a file is, and which of its columns hold what."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from cotforge.errors import SourceError
from cotforge.sources.files import is_run_folder
from cotforge.sources.imagefolder import IMAGE_ENDINGS
from cotforge.sources.text_files import ENDINGS, LINES_PEEKED, text_records

TABLE_ENDINGS = (".parquet", *ENDINGS)
USUAL_NAMES = {
    "id": ("id", "uid", "sample_id", "question_id"),
    "image": ("image", "images", "file_name", "filename", "image_path", "img_path", "img", "picture", "photo", "path", "file"),
    "label": ("label", "class", "category", "target", "emotion", "answer", "labels", "ground_truth"),
    "question": ("question", "query", "problem"),
    "options": ("options", "choices"),
}
"""What columns are called, most telling first; upper and lower case are the same here."""
LOOKED_AT = 10_000
"""Files of a folder that are looked at to find out what it is. Default chosen by us."""
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def find_source(place: Path, root: Path) -> dict[str, Any]:
    """The `source:` section for a folder or file, for a pipeline file in `root`. Raises SourceError where it holds no data."""
    if not place.exists():
        raise SourceError(f"{place}: is not there; give a folder of images, or a table of them")
    if place.is_file():
        return _source_of_file(place, root)
    if (place / "annotation").is_dir() and (place / "image").is_dir() and any(place.glob("*.json")):
        return {"kind": "emoset", "path": _path_from(place, root)}
    files = list(islice(_walk_files(place), LOOKED_AT))
    tables = [file for file in files if file.suffix.lower() in TABLE_ENDINGS and file.name not in METADATA]
    if any(file.suffix.lower() == ".tar" for file in files):
        return {"kind": "webdataset", "path": _path_from(place, root)}
    if parquet := [file for file in tables if file.suffix.lower() == ".parquet"]:
        return {"kind": "table", "path": _path_from(place, root), **_unusual_columns(parquet[0])}
    if len(tables) == 1 and not any(file.name in METADATA for file in files):
        return {"kind": "table", "path": _path_from(tables[0], root), **_unusual_columns(tables[0])}
    if any(file.name.lower().endswith(IMAGE_ENDINGS) for file in files):
        return {"kind": "imagefolder", "path": _path_from(place, root)}
    if tables:
        named = ", ".join(str(file.relative_to(place)) for file in tables[:5])
        raise SourceError(f"{place}: holds {len(tables)} tables ({named}); name the one that lists the images")
    raise SourceError(f"{place}: holds no image and no table ({', '.join(TABLE_ENDINGS)}, .tar); give the folder that does")


def _source_of_file(place: Path, root: Path) -> dict[str, Any]:
    if place.suffix.lower() == ".tar":
        return {"kind": "webdataset", "path": _path_from(place, root)}
    if place.suffix.lower() in TABLE_ENDINGS:
        return {"kind": "table", "path": _path_from(place, root), **_unusual_columns(place)}
    raise SourceError(f"{place}: is no table; {', '.join(TABLE_ENDINGS)} and .tar are read, and folders of images")


def _walk_files(place: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not is_run_folder(os.path.join(folder, name)))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _path_from(place: Path, root: Path) -> str:
    """The path, relative to `root` where it lies below."""
    place, root = place.resolve(), root.resolve()
    return os.path.relpath(place, root) if place.is_relative_to(root) else str(place)


def _unusual_columns(file: Path) -> dict[str, Any]:
    """`columns` that name what is not called by the usual name of its key; empty where nothing has to be named."""
    names, found = _column_names(file), dict[str, str]()
    for key, usual in USUAL_NAMES.items():
        known = {name.lower(): name for name in reversed(names)}
        named = next((known[name] for name in usual if name in known), None)
        taken = (key, "images") if key == "image" else (key,)
        if named is not None and named not in taken:
            found[key] = named
    return {"columns": found} if found else {}


def _column_names(file: Path) -> Sequence[str]:
    """The columns of a table. Raises SourceError where it cannot be read."""
    try:
        if file.suffix.lower() == ".parquet":
            from pyarrow import ArrowException, parquet  # 60 MB

            try:
                return list(parquet.read_schema(file).names)
            except ArrowException as fault:
                raise SourceError(f"{file}: is no parquet file: {fault}") from fault
        found = [record for _, record in islice(text_records(file), LINES_PEEKED) if isinstance(record, dict)]
    except OSError as fault:
        raise SourceError(f"{file}: {fault.strerror or fault}") from fault
    return list(dict.fromkeys(name for record in found for name in record))
