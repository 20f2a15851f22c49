"""Files of a source: which there are, and of which split."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cotforge.errors import SourceError

_ALIKE = ({"train", "training"}, {"validation", "valid", "val", "dev"}, {"test", "testing"})


RUN_MARK = "journal.sqlite"
"""What every run folder holds: such a folder within the data is cotforge's own, and not read as data."""


def is_run_folder(folder: str | Path) -> bool:
    """Whether a build has begun in the folder."""
    return os.path.lexists(os.path.join(folder, RUN_MARK))


def _walk_below(place: Path) -> Iterator[Path]:
    """What lies below a folder, but for what is hidden and for run folders."""
    own = {place: False}

    def is_own(folder: Path) -> bool:
        if folder not in own:
            own[folder] = is_own(folder.parent) or is_run_folder(folder)
        return own[folder]

    return (found for found in place.rglob("[!.]*") if not is_own(found.parent))


def absolute_path(root: Path, path: str) -> Path:
    """The path of the pipeline file as an absolute one, not resolved."""
    return Path(os.path.abspath(root / Path(path).expanduser()))


def shown_path(path: Path, root: Path) -> str:
    """As the user would write it: relative to the pipeline file where it lies beside or below it."""
    return os.path.relpath(path, root) if path.is_relative_to(os.path.abspath(root)) else str(path)


def existing_path(root: Path, path: str) -> Path:
    """The folder or file there. Raises SourceError naming what is there instead."""
    place = absolute_path(root, path)
    try:
        if place.exists():
            return place
        above = next(parent for parent in place.parents if parent.is_dir())
        there = ", ".join(sorted(entry.name for entry in above.iterdir())[:10]) or "nothing"
    except OSError as err:
        raise SourceError(f"source.path: {shown_path(place, root)!r}: {err.strerror}; it has to be readable") from err
    raise SourceError(f"source.path: {shown_path(place, root)!r} is not there; in {str(above)!r} there is: {there}")


def top_of(root: Path, path: str) -> Path:
    """The folder that the data must stay in: the one that is named, else that of the file, or of all files of the glob."""
    place = absolute_path(root, path)
    if glob.has_magic(path) and not place.exists():
        parts = place.parts
        return Path(*parts[: next(number for number, part in enumerate(parts) if glob.has_magic(part))])
    return place if place.is_dir() else place.parent


def listed_files(root: Path, path: str, endings: Sequence[str], *, within: Sequence[str]) -> list[Path]:
    """A file, the files of a glob, or those of a folder (and below) ending in `within`, sorted. Raises SourceError where there are none.

    A pipe or a link may be among them: `Folder.demand_file` judges each before it is opened.
    """
    place = absolute_path(root, path)
    if glob.has_magic(path) and not place.exists():
        found: Iterable[Path] = map(Path, glob.iglob(str(place), recursive=True))
    elif existing_path(root, path).is_dir():
        found, endings = _walk_below(place), within
    else:
        found = [place]
    named = {file for file in found if file.suffix.lower() in endings}
    above = {parent for file in named for parent in file.parents}
    files = sorted(file for file in named if file not in above)  # Spark writes folders of such names
    if not files:
        raise SourceError(f"source.path: {shown_path(place, root)!r} holds no {' or '.join(endings)} file")
    return files


def left_out(root: Path, path: str, endings: tuple[str, ...]) -> list[Path]:
    """Files of a folder (and below) or glob whose names end so, sorted: those that a source of other endings does not read."""
    place = absolute_path(root, path)
    found: Iterable[Path] = [place]
    if place.is_dir():
        found = _walk_below(place)
    elif glob.has_magic(path):
        found = map(Path, glob.iglob(str(place), recursive=True))
    return sorted(file for file in found if file.name.lower().endswith(endings) and file.is_file())


def no_files(root: Path, path: str, endings: tuple[str, ...]) -> list[Path]:
    """What lies in a folder (and below) and is neither file nor folder, sorted: linked folders, pipes and the like.

    Without what is named as data by its ending, which `listed_files` gives.
    """
    found = _walk_below(absolute_path(root, path)) if absolute_path(root, path).is_dir() else ()
    return sorted(
        file for file in found if not file.name.lower().endswith(endings) and (file.is_symlink() if file.is_dir() else not file.is_file())
    )


class Splits:
    """The splits that are wanted, and which others were met. `val`, `valid`, `dev` and `validation` mean the same."""

    def __init__(self, wanted: str | Sequence[str]) -> None:
        self.wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        self._others: dict[str, None] = {}
        self._met = False

    def named(self, text: object) -> str | None:
        """The wanted split that this text means, if any."""
        name = str(text).strip()
        found = name if name in self.wanted else next((split for split in self.wanted if _is_same_split(split, name)), None)
        self._met = self._met or found is not None
        if found is None and len(self._others) < 10:
            self._others.setdefault(name)
        return found

    def undivided(self, where: str) -> str:
        """The split of data that is not divided. Raises SourceError unless `train` is wanted."""
        for split in self.wanted:
            if _is_same_split(split, "train"):
                return split
        raise SourceError(f"{where}: no split {self.wanted[0]!r}: nothing tells splits apart; columns.split names a column that does")

    def demand(self, where: str) -> None:
        """Raises SourceError where only other splits were met."""
        if self._others and not self._met:
            raise SourceError(f"{where}: no split {' or '.join(map(repr, self.wanted))}; there: {', '.join(map(repr, self._others))}")


def _is_same_split(one: str, other: str) -> bool:
    one, other = one.lower(), other.lower()
    return one == other or any(one in names and other in names for names in _ALIKE)


def is_split_name(text: str) -> bool:
    """Whether a folder or file of this name announces a split."""
    return any(text.lower() in names for names in _ALIKE)


def of_splits(files: Sequence[Path], above: Path, splits: Splits) -> Iterator[tuple[Path, str | None]]:
    """(file, split) of the wanted files; split None where no name tells (then a column may). Raises SourceError where none is wanted.

    A split is told by the folder (`test/0.tar`) or by the first word of the name (`test-00000-of-00002.parquet`). Where any
    file tells, those that don't are left out.
    """
    told = {file: _split_told(file, above, splits) for file in files}
    if len(files) == 1 or not any(told.values()):
        yield from ((file, None) for file in files)
        return
    for file, name in told.items():
        if name is not None and (split := splits.named(name)) is not None:
            yield file, split
    splits.demand(above.name)


def _split_told(file: Path, above: Path, splits: Splits) -> str | None:
    folders = file.relative_to(above).parts[:-1] if file.is_relative_to(above) else ()
    for name in (re.split(r"[-_.]", file.name)[0], *reversed(folders)):
        if is_split_name(name) or name in splits.wanted:
            return name
    return None
