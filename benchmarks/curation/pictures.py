"""Near-duplicate pictures: copies planted among pictures that are alike, found by the index that a run uses."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np

from benchmarks.curation.frame import HALVES, Case, Half, Verdict, half_of
from benchmarks.curation.picture_worlds import ALONE, KINDS, WORLDS, Drawn, as_jpeg, copy_of, one_digit, textile
from cotforge.dedup.picture_index import PictureIndex
from cotforge.dedup.spec import NEAR
from cotforge.dedup.thumbnail import make_thumbnail

PER_SIZE = 6
"""Originals of each kind of picture for each of `--size`."""

Judged = tuple[str, list[Verdict], bool]


def judge_pictures(size: int, seed: int) -> list[Judged]:
    """Copies of all kinds of pictures; then pairs of forms that differ in one digit, which must not be taken for copies."""
    everything = {**WORLDS, **ALONE}
    drawn = {name: list(draw(size * PER_SIZE, _random(seed, name))) for name, draw in everything.items()}
    verdicts = [verdict for half in HALVES for verdict in _judge_half(drawn, half, seed)]
    pairs = list(one_digit(size * PER_SIZE * 2, _random(seed, "one digit")))
    alone = [verdict for half in HALVES for verdict in _judge_half({"one digit": pairs}, half, seed)]
    return [("near pictures", verdicts, True), ("one digit of 18 changed", alone, False)]


def _random(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, *name.encode()])


def _judge_half(drawn: dict[str, list[Drawn]], half: Half, seed: int) -> Iterator[Verdict]:
    """The originals of a half one after another, then their copies: each is compared with all before it.

    A copy counts as found where it is near its original. It is a false alarm where it, or an original, is near something else than the
    original and its other copies.
    """
    random = _random(seed, half)
    with opened_index() as index:
        originals = [(name, one, as_jpeg(one.image)) for name, ones in drawn.items() for one in ones if half_of(one.template) == half]
        origin: dict[bytes, int] = {}
        for number, (name, one, data) in enumerate(originals):
            origin[sha256(data).digest()] = number
            yield Verdict(Case(one.template, "", name), "alike" if near_digests(index, data) else "")
        for number, (name, one, data) in enumerate(originals):
            for kind in KINDS if name in WORLDS else ():
                copy = copy_of(one.image, kind, random)
                found = near_digests(index, copy)
                origin[sha256(copy).digest()] = number
                yield Verdict(Case(one.template, kind, name), kind if sha256(data).digest() in found else "")
                if any(origin[digest] != number for digest in found):
                    yield Verdict(Case(one.template, "", name), "alike")


@contextmanager
def opened_index() -> Iterator[PictureIndex]:
    """An empty index in a folder of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        (Path(name) / "cache").mkdir()
        with closing(PictureIndex(Path(name))) as index:
            yield index


def near_digests(index: PictureIndex, data: bytes) -> set[bytes]:
    """The pictures, known by then, that count as near-duplicates of this one by default; it is known afterwards."""
    digest = sha256(data).digest()
    index.add(digest, make_thumbnail(data))
    return {near.digest for near in index.near(digest) if near.similarity >= NEAR}


def print_hashing(count: int, seed: int) -> None:
    """Pictures a second of one core, from a JPEG's bytes to its place in the index."""
    data = [as_jpeg(one.image) for one in textile(count // 2, _random(seed, "textile"))]
    data += [as_jpeg(one.image) for one in WORLDS["scenes"](count - len(data), _random(seed, "scenes"))]
    with opened_index() as index:
        decoded = _cpu(lambda: [make_thumbnail(one) for one in data])
        found = _cpu(lambda: [near_digests(index, one) for one in data])
    print(f"{len(data):,} pictures: {len(data) / decoded:,.0f} thumbnails/s, {len(data) / found:,.0f} compared pictures/s of one core")


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
