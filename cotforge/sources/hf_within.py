"""What a dataset's card names as its files is held to the dataset: `datasets` itself follows absolute paths, `../`, links and URLs.

Source: `resolve_pattern` in `data_files.py` and `LocalDatasetModuleFactory` in `load.py` of huggingface/datasets.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cotforge.errors import SourceError, in_words
from cotforge.records import Fault
from cotforge.regular_files import read_regular
from cotforge.sources.paths import Folder

CARDS = ("README.md", ".huggingface.yaml")
"""Files of a dataset that may name others."""
_LARGEST = 4 << 20
_HEADER = re.compile(r"^\s*---[\r\n]+([\S\s]*?)[\r\n]+---(?:\r\n|\n|$)")
_MERGE = re.compile(r"<<[\"']?\s*:")
"""Each such key copies a mapping, so that a few lines can fill the memory."""
_DATA = re.compile(r"\.(parquet|arrow|csv|tsv|jsonl?|txt|tar|zip|jpe?g|png|webp)$", re.IGNORECASE)
_FILES = ("data_files", "data_dir")


def demand_local(top: Path, path: str) -> None:
    """Raises SourceError where a local folder holds a link that leads out of it, no file in a file's place, or a card that names others.

    Hidden files and folders, which `datasets` passes over, may be anything; `path` is what the pipeline file calls the folder.
    """
    folder = Folder(top)
    for found in _folder_entries(str(top)):
        try:
            (folder.demand_folder if os.path.islink(found) and os.path.isdir(found) else folder.demand_file)(found)
        except Fault as fault:
            raise SourceError(f"source.path: {os.path.join(path, os.path.relpath(found, top))!r}: {fault.detail}") from fault
    for name in CARDS:
        for pattern in _card_texts(top / name, os.path.join(path, name)):
            if leads_out(pattern):
                raise SourceError(
                    f"{os.path.join(path, name)}: data_files: {pattern[:200]!r} leads out of the folder of the data; "
                    "only files in it are read"
                )


def demand_resolved(files: Any, top: Path | None, path: str, base: str) -> None:
    """Raises SourceError where a file that a dataset is made of lies outside it: of a local folder `top`, or of the Hub's `path`.

    `files` is the `data_files` of a builder, None or by split; `base` its `base_path`.
    """
    folder = None if top is None else Folder(top)
    for file in (str(file) for listed in (files or {}).values() for file in listed):
        place = file.rpartition("::")[2]
        if folder is None:
            repository = _repository_id(place)
            owned = (base != "" and place.startswith(base.rstrip("/") + "/")) or path.lower() in (repository, repository.rpartition("/")[2])
        else:
            owned = "://" not in place and folder.has_file(place)
        if not owned:
            raise SourceError(
                f"source.path: {path!r} names {place[:200]!r} as its data, which lies outside it; only its own files are read"
            )


def leads_out(pattern: str) -> bool:
    """Whether a pattern of `data_files` may match what lies outside its dataset."""
    return (
        "://" in pattern
        or "::" in pattern
        or pattern.startswith(("~", "/", "\\"))
        or re.match(r"[A-Za-z]:", pattern) is not None
        or ".." in re.split(r"[/\\]", pattern)
    )


def _repository_id(place: str) -> str:
    """`owner/name` of a URL of the Hub's datasets, in lower case; some old ones have no owner."""
    found = re.match(r"hf://datasets/([^@]+?)@", place)
    return found[1].lower() if found else ""


def _folder_entries(top: str) -> Iterator[str]:
    """Files below, links to folders, and empty folders that are named as files; nothing that is hidden but the cards."""
    with os.scandir(top) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") and entry.name not in CARDS:
                continue
            if entry.is_dir(follow_symlinks=False) and not (_DATA.search(entry.name) and not os.listdir(entry)):
                yield from _folder_entries(entry.path)
            else:
                yield entry.path


def _card_texts(card: Path, shown: str) -> Iterator[str]:
    """Every text below `data_files` and `data_dir` of a card. Raises SourceError where it cannot be read."""
    try:
        text = read_regular(os.path.realpath(card), most=_LARGEST).decode("utf-8")
        if card.suffix == ".md":
            found = _HEADER.match(text)
            text = found[1] if found else ""
        if _MERGE.search(text):
            raise SourceError(f"{shown}: merges mappings ('<<:'), which is not read; write them out")
        yield from _data_texts(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), set())
    except FileNotFoundError:
        return
    except OSError as fault:
        raise SourceError(f"{shown}: {fault.strerror}") from fault
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as fault:
        raise SourceError(f"{shown}: cannot be read: {in_words(fault)}") from fault


def _data_texts(value: object, met: set[tuple[int, bool]], *, wanted: bool = False) -> Iterator[str]:
    """The texts of a tree that stand below `data_files` or `data_dir`; what aliases share is looked at once."""
    if isinstance(value, str):
        if wanted:
            yield value
    elif isinstance(value, dict | list) and (id(value), wanted) not in met:
        met.add((id(value), wanted))
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _data_texts(below, met, wanted=wanted or key in _FILES)
