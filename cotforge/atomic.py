"""Files and folders that appear whole, under their name, or not at all: they are made beside their place, and renamed into it."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from cotforge.regular_files import open_new


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Gives a place beside `path` for a file, which then takes the place of `path`; after an error it is removed. Raises OSError."""
    passing = _beside(path)
    try:
        yield passing
        passing.replace(path)
    except BaseException:
        passing.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: str | bytes, *, durable: bool = False, shared: bool = False, mode: int = 0o600) -> Path:
    """A file with these bytes, or this text in UTF-8; half a surrogate pair stays what it is. Raises OSError.

    `durable`: it is on the disk once this returns. `shared`: several threads or processes may write it at a time.
    """
    passing = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}") if shared else _beside(path)
    try:
        with open(open_new(passing), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        return passing.replace(path)
    except BaseException:
        passing.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which then takes the place of `folder` and all that lay there. Raises OSError.

    What is left of it after an error is removed by whoever makes the folder next.
    """
    passing = _beside(folder)
    shutil.rmtree(passing, ignore_errors=True)
    passing.mkdir(parents=True)
    yield passing
    shutil.rmtree(folder, ignore_errors=True)
    passing.rename(folder)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
