"""What a picture costs from its file to the form in which it is sent, beside what has to be done at least.

    python -m benchmarks.images [--rows 400]

Each figure is CPU per picture, user and system time of this process: the least of several rounds over distinct JPEGs of about 54 KiB that
lie in the system's memory. From the disk (where the system can be told to drop files from its memory) it is the time that passes.
"""

import argparse
import base64
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from benchmarks.forge import data
from cotforge.images import FileRef, Images, PictureStore, Sending, data_url, read_ahead
from cotforge.images.cut import cut_metadata
from cotforge.records import Picture

ROUNDS = 7

T = TypeVar("T")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        measure(Path(folder), parser.parse_args().rows)


def measure(folder: Path, rows: int) -> None:
    """All figures, for so many pictures without and as many with metadata."""
    plain = data.rows(folder, rows).pictures
    tagged = [_tagged(path) for path in plain]
    store, by_file = PictureStore(folder / "run", Images()), Sending(Images(via="file"), folder / "run")
    raw = [path.read_bytes() for path in plain]
    _figure("reading the file", _read, plain)
    _figure("sha256", lambda read: sha256(read).digest(), raw)
    _figure("finding metadata to cut", _cut, raw)
    _figure("base64", base64.b64encode, raw)
    for name, paths, kept in (("plain", plain, bytes), ("with metadata", tagged, _cut)):
        pictures = [store.picture(FileRef(str(path), path.name)) for path in paths]
        floor = _figure(f"{name}: what it needs of these, together", partial(_least, kept), paths)
        _figure(f"{name}: Picture.load", lambda picture: picture.load(), pictures)
        whole = _figure(f"{name}: Picture.load and data URL", data_url, pictures)
        print(f"{f'{name}: that, to the least':<54}{whole / floor:9.2f}")
        _figure(f"{name}: file URL (a copy is there)", lambda picture: by_file.of([picture])[picture.digest], pictures)
        _figure(f"{name}: having it fetched ahead", read_ahead, pictures)
        if hasattr(os, "posix_fadvise"):
            _cold(name, paths, pictures)


def _figure(name: str, work: Callable[[T], object], items: Sequence[T]) -> float:
    """Seconds of CPU per item, also printed."""
    least = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for item in items:
            work(item)
        least = min(least, time.process_time() - begun)
    print(f"{name:<54}{least / len(items) * 1e6:9.1f} us")
    return least / len(items)


def _read(path: Path) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1 << 20)
    finally:
        os.close(file)


def _cut(read: bytes) -> bytes:
    return cut_metadata(read, "image/jpeg")


def _least(kept: Callable[[bytes], bytes], path: Path) -> tuple[bytes, bytes]:
    sent = kept(_read(path))
    return sha256(sent).digest(), base64.b64encode(sent)


def _cold(name: str, paths: Sequence[Path], pictures: Sequence[Picture]) -> None:
    """Seconds that pass where the system has dropped the files."""
    for how, first in (("load from the disk, passing", False), ("the same, fetched 0.2 s ahead", True)):
        for path in paths:
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if first:
            for picture in pictures:
                read_ahead(picture)
            time.sleep(0.2)
        begun = time.perf_counter()
        for picture in pictures:
            picture.load()
        print(f"{f'{name}: {how}':<54}{(time.perf_counter() - begun) / len(pictures) * 1e6:9.1f} us")


def _tagged(path: Path) -> Path:
    """The same with a comment, which is never sent."""
    other, read = path.with_suffix(".tagged.jpg"), path.read_bytes()
    other.write_bytes(read[:2] + b"\xff\xfe\x00\x0fsome words..." + read[2:])
    return other


if __name__ == "__main__":
    main()
