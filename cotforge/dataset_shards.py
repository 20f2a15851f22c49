"""Which parquet files belong to the dataset of a run folder: its card names them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cotforge.errors import PipelineError, in_words
from cotforge.regular_files import read_regular

_LARGEST = 64 << 20
"""Bytes of a card."""
_SHARD = re.compile(r"(?:data|traces|preference)/[^/\\]+\.parquet")
_HEADER = re.compile(r"---\n(.*?\n)---(?:\n|$)", re.DOTALL)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def shards_of_card(run: Path) -> dict[str, list[tuple[str, str]]]:
    """(split, shard) of each config of a run's dataset, by its card.

    A shard's name is relative to `dataset/`.

    Raises FileNotFoundError where there is no card, PipelineError where it cannot be read.
    """
    card = run / "dataset" / "README.md"
    try:
        found = _HEADER.match(read_regular(card, most=_LARGEST).decode("utf-8", "replace"))
    except FileNotFoundError:
        raise
    except OSError as fault:
        raise PipelineError(f"{card}: cannot be read: {in_words(fault)}") from fault
    try:
        head = yaml.load(found[1], Loader=_Loader) if found else None
    except yaml.YAMLError as fault:
        raise PipelineError(f"{card}: its header is not YAML: {in_words(fault)}") from fault
    configs = _find_dicts(head.get("configs") if isinstance(head, dict) else None)
    return {str(config.get("config_name")): list(_files_of(config)) for config in configs}


def _files_of(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(split, shard) of one config; what is no shard of ours is left out."""
    for files in _find_dicts(config.get("data_files")):
        for path in files["path"] if isinstance(files.get("path"), list) else [files.get("path")]:
            if isinstance(path, str) and _SHARD.fullmatch(path):
                yield str(files.get("split") or "train"), path


def _find_dicts(found: Any) -> Iterator[dict[str, Any]]:
    yield from (each for each in (found if isinstance(found, list) else ()) if isinstance(each, dict))
