"""`kind: emoset`: EmoSet-118K as its authors ship it, with the six attributes as metadata.

`train.json`, `val.json` and `test.json` are lists of `[emotion, id, image path, annotation path]`.
Source: Yang et al. 2023, EmoSet (ICCV), and the repository JingyuanYY/EmoSet.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from cotforge.errors import SourceError
from cotforge.records import Fault
from cotforge.regular_files import open_regular
from cotforge.sources.files import Splits, existing_path, shown_path
from cotforge.sources.paths import Folder
from cotforge.sources.raw_rows import Columns, Layout, RawData, RawRow, Spool, place_fault
from cotforge.sources.values import plain_value

_SHARES = ("brightness", "colorfulness")
_NAMES = ("scene", "object", "facial_expression", "human_action")
_LONGEST_ANNOTATION = 1 << 20
_BETWEEN = re.compile(r"[\s,]*")


class EmoSet(RawData):
    """The folder with `train.json`, `image/` and `annotation/`.

    Metadata holds the attributes that are annotated, absent ones left out: `brightness` and `colorfulness` in [0, 1] to one
    decimal, `scene`, `facial_expression` and `human_action` as text, `object` as a list. An annotation that is missing or
    broken leaves the sample without attributes: picture and label are sound without it.
    """

    kind: Literal["emoset"] = "emoset"
    """`emoset`: the folder of EmoSet-118K as it is distributed; its six attributes become `meta`."""

    def size(self, root: Path) -> int:
        """Entries of the wanted splits: each opens a list within the list."""
        splits = Splits(self.split)
        lists = [path for path in existing_path(root, self.path).glob("*.json") if splits.named(path.stem) is not None]
        held = Folder(existing_path(root, self.path))
        return sum(max(0, path.read_bytes().count(b"[") - 1) for path in lists if held.has_file(path))

    def rows(self, root: Path, spool: Spool) -> Iterator[RawRow | Fault]:
        """Every entry of the wanted splits. Raises SourceError for what is wrong with the whole."""
        top, splits = existing_path(root, self.path), Splits(self.split)
        lists = sorted(path for path in top.glob("*.json") if path.name != "info.json") if top.is_dir() else []
        if not lists:
            raise SourceError(f"source.path: {shown_path(top, root)!r} holds no train.json; EmoSet has it beside image/ and annotation/")
        for path in lists:
            if (split := splits.named(path.stem)) is not None:
                yield from self._listed_rows(path, split, shown_path(path, root))
        splits.demand(shown_path(top, root))

    def _listed_rows(self, path: Path, split: str, where: str) -> Iterator[RawRow | Fault]:
        folder = Folder(path.parent)
        try:
            folder.demand_file(path)
        except Fault as fault:
            yield place_fault(fault, where)
            return
        layout = Layout(Columns(id="id", label="emotion"), self.label_names)
        for number, entry in enumerate(_list_entries(path), start=1):
            here = f"{where}[{number}]"
            if isinstance(entry, Fault):
                yield Fault(entry.reason, entry.detail, where=here)
            elif not isinstance(entry, list) or len(entry) != 4 or not all(isinstance(part, str) for part in entry):
                yield Fault("line_broken", f"{str(entry)[:80]} is not [emotion, id, image, annotation]", where=here)
            else:
                emotion, id, image, annotation = entry
                row = layout.tried({"id": id, "emotion": emotion}, map(folder.ref, [image]), here, split)
                yield row if isinstance(row, Fault) else replace(row, meta=_read_attributes(folder, annotation))


def _list_entries(path: Path) -> Iterator[object]:
    """The items of the one list in the file, and a Fault where it breaks off. Holds the text (15 MB), never all items (60 MB)."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        yield Fault("file_unreadable", str(err))
        return
    decoder, at = json.JSONDecoder(), text.find("[") + 1
    while at and (start := _BETWEEN.match(text, at)) and text[start.end() : start.end() + 1] != "]":
        try:
            item, at = decoder.raw_decode(text, start.end())
        except (ValueError, RecursionError):
            yield Fault("line_not_json", f"the list breaks off at character {at:,}")
            return
        yield item
    if not at:
        yield Fault("line_not_json", "no list in the file")


def _read_attributes(folder: Folder, annotation: str) -> Mapping[str, Any]:
    try:
        with open(open_regular(folder.ref(annotation).path), "rb") as file:
            found = json.loads(file.read(_LONGEST_ANNOTATION))
    except (Fault, OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    # 0.30000000000000004 in the files means 0.3: the classes are tenths.
    shares = {name: round(float(found[name]), 1) for name in _SHARES if isinstance(found.get(name), int | float)}
    return shares | {name: plain_value(found[name]) for name in _NAMES if found.get(name) is not None}
