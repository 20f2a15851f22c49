"""`kind: webdataset`: tar shards, members of one sample sharing the name up to the first dot. Nothing is ever extracted or unpickled."""

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cotforge.errors import SourceError
from cotforge.images import MemberRef, Ref
from cotforge.images.refs import slice_of
from cotforge.records import Fault
from cotforge.sources.files import Splits, absolute_path, left_out, listed_files, no_files, of_splits, shown_path, top_of
from cotforge.sources.imagefolder import IMAGE_ENDINGS
from cotforge.sources.paths import Folder
from cotforge.sources.raw_rows import Layout, RawData, RawRow, Spool, Unused, place_fault
from cotforge.sources.values import clean_value

_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
_LONGEST_TEXT = 1 << 20
_KEY = "__key__"
_CAPTION = "caption"
_IMG2DATASET = {"key", "status", "error_message", _CAPTION}
"""Keys of the `.json` that img2dataset writes. Source: `img2dataset/downloader.py` of rom1504/img2dataset."""


class WebDatasetSource(RawData):
    """One uncompressed tar, a folder of them, or a glob.

    Images are what `imagefolder` takes for images by their endings, several per key in their order; `.cls` is the label, `.txt` the
    question, and a `.json` object gives any column by name (and wins). In shards of img2dataset `.txt` is the caption: it is
    carried along as `meta`, and is the question only where `columns.question: caption` says so. The key is a column `__key__`;
    keys often start anew in every shard, so it is the id only where `columns.id` says so. A tar cut short keeps the samples
    before the cut.
    """

    kind: Literal["webdataset"] = "webdataset"
    """`webdataset`: uncompressed tar shards; one file, a folder or a glob."""

    def rows(self, root: Path, spool: Spool) -> Iterator[RawRow | Fault | Unused]:
        """Every sample of the wanted splits; a Fault for one with a link, a device or a path that leads outside. Raises SourceError."""
        splits = Splits(self.split)
        compressed = left_out(root, self.path, _COMPRESSED)
        try:
            files = listed_files(root, self.path, (".tar",), within=(".tar",))
        except SourceError as err:
            if not compressed:
                raise
            raise SourceError(
                f"{shown_path(compressed[0], root)}: a compressed tar; shards are read as plain .tar: decompress it first"
            ) from err
        yield from (
            Unused(os.path.relpath(file, absolute_path(root, self.path)))
            for file in [*compressed, *no_files(root, self.path, (".tar", *_COMPRESSED))]
        )
        layout, held = None, Folder(top_of(root, self.path))
        for path, told in of_splits(files, absolute_path(root, self.path), splits):
            where = shown_path(path, root)
            split = told or splits.undivided(where)
            try:
                held.demand_file(path)
            except Fault as fault:
                yield place_fault(fault, where)
                continue
            for sample in _tar_samples(path):
                if isinstance(sample, Fault):
                    yield place_fault(sample, where, sample.id)
                    continue
                if layout is None:
                    layout = self._find_layout(sample, where)
                    yield from layout.unused()
                yield layout.tried(sample.record, sample.images, f"{where}:{sample.key}", split)

    def _find_layout(self, first: "_TarSample", where: str) -> Layout:
        names = dict.fromkeys(["image", "label", "question", *first.record])
        columns = self.columns.among(names, where)
        if first.told.keys() >= _IMG2DATASET and _CAPTION not in columns.used():
            columns = columns.model_copy(update={"meta": (*columns.meta, _CAPTION)})
        return Layout(columns, self.label_names, columns.left_of(sorted(first.record)))


@dataclass(slots=True)
class _TarSample:
    """The members of one key."""

    key: str
    record: dict[str, Any]
    endings: set[str] = field(default_factory=set)
    images: list[Ref] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    """What the `.json` says."""
    fault: Fault | None = None

    def whole(self) -> "_TarSample | Fault":
        """The sample, or the first fault of its members."""
        if self.told.keys() >= _IMG2DATASET:
            self.record[_CAPTION] = self.record.pop("question", None)
        self.record |= self.told
        return self if self.fault is None else place_fault(self.fault, "", self.key)


def _tar_samples(path: Path) -> Iterator[_TarSample | Fault]:
    """In the order of the tar. Where it is cut short, a Fault stands for the rest, and for a sample that was being read."""
    parts: _TarSample | None = None
    usual: set[str] = set()
    for member in _tar_members(path):
        key, ending = _key_and_ending(member.id or "" if isinstance(member, Fault) else member.name)
        if isinstance(member, Fault):
            # Which sample the cut hit is known from the member's name, or guessed from what the sample before had.
            if parts is not None and (key != parts.key if key else parts.endings >= usual > set()):
                yield parts.whole()
                parts = None
            yield place_fault(member, "", key or (parts.key if parts else None))
            return
        if member.isdir() or not key:
            continue
        if parts is None or key != parts.key:
            if parts is not None:
                yield parts.whole()
                usual = parts.endings
            parts = _TarSample(key, {_KEY: key})
        parts.endings.add(ending)
        try:
            _add_member(parts, path, member, ending)
        except Fault as fault:
            parts.fault = parts.fault or fault
    if parts is not None:
        yield parts.whole()


def _key_and_ending(name: str) -> tuple[str, str]:
    """`a/b.0.jpg` is (`a/b`, `.0.jpg`). Hidden files, like the `._b.jpg` that macOS adds, have no key."""
    folder, last = os.path.split(name)
    stem, _, ending = last.partition(".")
    return clean_value(f"{folder}/{stem}" if folder and stem else stem), f".{ending}".lower()


def _add_member(parts: _TarSample, path: Path, member: tarfile.TarInfo, ending: str) -> None:
    name = clean_value(member.name)
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise Fault("tar_member", f"{name!r} is a link, a device or a sparse file; only plain files are read")
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise Fault("path_outside", f"{name!r} leads out of the tar")
    if ending.endswith(IMAGE_ENDINGS):
        parts.images.append(MemberRef(str(path), name, member.offset_data, member.size))
    elif ending == ".cls":
        parts.record["label"] = _member_text(path, member, name)
    elif ending == ".txt":
        parts.record["question"] = _member_text(path, member, name)
    elif ending == ".json":
        parts.told = _member_object(_member_text(path, member, name), name)


def _member_text(path: Path, member: tarfile.TarInfo, name: str) -> str:
    if member.size > _LONGEST_TEXT:
        raise Fault("line_too_long", f"{name!r} has {member.size:,} bytes; at most {_LONGEST_TEXT:,} of text are read")
    try:
        return slice_of(str(path), name, member.offset_data, member.size).decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise Fault("line_not_utf8", f"{name!r} is not UTF-8 from byte {err.start}") from err


def _member_object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise Fault("line_not_json", f"{name!r} is not JSON: {str(err)[:200]}") from err
    if not isinstance(found, dict):
        raise Fault("line_not_an_object", f"{name!r} is a JSON {type(found).__name__}; an object is wanted")
    return found


def _tar_members(path: Path) -> Iterator[tarfile.TarInfo | Fault]:
    """Headers one by one; last a Fault where the archive does not end as it should (tarfile itself is silent about most of that)."""
    name: str | None = None
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
                if member.offset_data + member.size > size:
                    name = member.name
                    break
                yield member
            if member is None and slice_of(str(path), path.name, tar.offset, tarfile.BLOCKSIZE).strip(b"\0") == b"":
                return
    except OSError as err:
        yield Fault("file_unreadable", err.strerror or str(err))
        return
    except (tarfile.TarError, Fault) as err:
        yield Fault("tar_truncated", f"the archive is cut short or broken after {size:,} bytes: {err}")
        return
    yield Fault("tar_truncated", f"the archive is cut short or broken after {size:,} bytes", id=name)
