"""What a push sends: the files of a dataset or of a student, as they lie in the run folder."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cotforge.errors import HubError
from cotforge.hub.remote_card import CardParts
from cotforge.regular_files import demand_regular, fault_of, read_regular

CARD = "README.md"
LESSONS = "data/"
"""Where the shards of lessons lie."""
LARGEST_CARD = 64 << 20
"""Bytes of a card that are read."""
OF_TRAINING = re.compile(r"(?:training_args\.bin|optimizer.*|scheduler\.pt|rng_state.*|trainer_state\.json|.*\.part|.*\.new)")
"""Files that resume a training and load no student."""
STALE_OF_DATASETS = re.compile(r"(?:data|traces|preference)/[^/]+-[0-9a-f]{16}\.parquet|assets/(?:lesson\.jpg|funnel\.svg)")
STALE_OF_MODELS = re.compile(r"model(?:-\d+-of-\d+)?\.safetensors(?:\.index\.json)?")
"""Files that an earlier push may have left: of the names that cotforge gives alone, since people keep their own beside them."""


@dataclass(frozen=True)
class LocalFile:
    """A file that is pushed."""

    name: str
    """In the repository, with slashes."""
    source: Path | bytes
    """Where it lies, or what it holds."""

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """As the Hub has it of a large file."""
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with open(self.source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def git_oid(self) -> str:
        """As the Hub, and git, have it of a small file."""
        data = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class LocalFolder:
    """All that one push sends, and which files of an earlier push it replaces."""

    folder: Path
    kind: str
    """`dataset` or `model`: of the repository."""
    card: CardParts
    files: tuple[LocalFile, ...]
    """Without the card."""
    stale: re.Pattern[str]
    """What is removed from the repository where this push does not send it, by its name."""
    what: str
    """In a few words, for the message of the commit."""

    def with_card(self, text: str) -> tuple[LocalFile, ...]:
        """The files, the card among them."""
        return (LocalFile(CARD, text.encode()), *self.files)

    def paths(self) -> list[Path]:
        """Everything in the folder that leaves, relative to it."""
        return [Path(CARD), *(Path(file.name) for file in self.files)]


def read_dataset(run: Path) -> LocalFolder:
    """The dataset of a run: its card, the shards that the card names, and what else lies there. Raises HubError."""
    folder = run / "dataset"
    card = _card_in(folder, f"{run}: has no dataset; `cotforge build` makes one")
    shards = set(_shards_named(card.header))
    if not any(name.startswith(LESSONS) and name.endswith(".parquet") for name in shards):
        raise HubError(f"{run}: its dataset has no lessons; `cotforge build` says at its end what they were lost to")
    for shard in sorted(shards):
        _demand_file(folder / shard, "`cotforge curate` writes the dataset anew")
    others = {name for name in _names_below(folder) if not name.endswith(".parquet") and name != CARD}
    rows = _rows_by_card(card.header)
    return LocalFolder(
        folder, "dataset", card, tuple(LocalFile(name, folder / name) for name in sorted(shards | others)),
        STALE_OF_DATASETS,
        ", ".join(f"{rows[config]:,} {words}" for config, words in _WORDS.items() if rows.get(config)) or "lessons",
    )  # fmt: skip


def read_student(run: Path) -> LocalFolder:
    """The trained student of a run: all that loads it, and its card. Raises HubError."""
    folder = run / "train" / "student"
    card = _card_in(folder, f"{run}: has no student; `cotforge train` makes one")
    names = [name for name in _names_below(folder) if name != CARD and not OF_TRAINING.fullmatch(name.rpartition("/")[2])]
    if not any(name.endswith(".safetensors") for name in names):
        raise HubError(f"{folder}: has no weights (*.safetensors); `cotforge train` writes them")
    files = tuple(LocalFile(name, folder / name) for name in sorted(names))
    return LocalFolder(folder, "model", card, files, STALE_OF_MODELS, "student and its card")


_WORDS = {"default": "lessons", "traces": "traces", "preference": "pairs of a right and a wrong text"}


def _card_in(folder: Path, missing: str) -> CardParts:
    try:
        return CardParts.of(read_regular(folder / CARD, most=LARGEST_CARD).decode("utf-8"))
    except FileNotFoundError as fault:
        raise HubError(missing) from fault
    except OSError as fault:
        raise HubError(f"{folder / CARD}: {fault.strerror or fault}; put the file itself in its place") from fault
    except ValueError as fault:
        raise HubError(f"{folder / CARD}: {fault}; `cotforge curate` or `cotforge train` writes it anew") from fault


def _demand_file(path: Path, remedy: str) -> None:
    try:
        there = demand_regular(path)
    except OSError as fault:
        raise HubError(f"{path}: {fault.strerror}") from fault
    if not there:
        raise HubError(f"{path}: is missing, and the card names it; {remedy}")


def _names_below(folder: Path, above: str = "") -> Iterator[str]:
    """Every file below a folder that is not hidden. Raises HubError at a link, pipe or the like."""
    with os.scandir(folder / above) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            name = f"{above}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _names_below(folder, f"{name}/")
            elif fault := fault_of(entry.stat(follow_symlinks=False)):
                raise HubError(f"{folder / name}: {fault}")
            else:
                yield name


def _shards_named(header: Mapping[str, Any]) -> Iterator[str]:
    """The files that the configs of a card name."""
    for config in _mappings(header.get("configs")):
        for files in _mappings(config.get("data_files")):
            path = files.get("path")
            for name in path if isinstance(path, list) else [path]:
                if isinstance(name, str) and re.fullmatch(r"(?!\.)[^*?\\]+(?<!/)", name) and ".." not in name.split("/"):
                    yield name


def _rows_by_card(header: Mapping[str, Any]) -> dict[str, int]:
    """Config to the rows of all its splits."""
    rows = {}
    for info in _mappings(header.get("dataset_info")):
        counts = [split.get("num_examples") for split in _mappings(info.get("splits"))]
        rows[str(info.get("config_name"))] = sum(count for count in counts if isinstance(count, int))
    return rows


def _mappings(found: Any) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict))
