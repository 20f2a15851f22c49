"""The demo's data: real handwritten digits, some of their labels flipped, and what simulated teachers and people know of them.

Source: the 1,797 digits (8 x 8 cells, 16 levels) that come inside scikit-learn; UCI, Optical Recognition of Handwritten Digits, 1998.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cotforge.errors import PipelineError
from cotforge.gold.pick import LEAST
from cotforge.order import sample_rank
from cotforge.prompts import shipped_folder
from cotforge.regular_files import demand_regular, open_new, read_regular

TEACHERS = ("nearest", "svm", "bayes", "forest", "logistic")
LESSONS = 60
"""Digits each teacher is trained on, in no other teacher's part and not in the pool."""
TEST = 297
"""Rows of the pool that are held out, with true labels."""
FLIPPED = 0.08
"""Share of the other labels that are flipped."""
SHORT = 240
"""Rows asked by the short demo."""
TRIED = 40
"""Held-out rows that its students are tried on."""
SHORTER, FEWEST = 8, 4
"""By how much its stages are shorter, and their steps at least."""
_FOLDERS = ("raw", "images", "teachers", "sums")
"""Made by the demo, which writes into nothing else."""
PORT = 8765
"""Of the shipped pipeline's teachers."""


def prepare_digits(folder: Path, *, short: bool = False, port: int = PORT) -> Path:
    """The pipeline file of the digits, in a folder that then holds them too; nothing there is touched that is as it should be.

    Raises PipelineError where scikit-learn, which brings the digits, is not installed.
    """
    write_digits(folder)
    return write_pipeline(folder, "digits.yaml", short=short, port=port)


def write_pipeline(folder: Path, name: str, *, short: bool, port: int) -> Path:
    """A shipped pipeline of the demo in its folder: for the data there, teachers at that port, and where wanted fewer samples and steps."""
    text = (shipped_folder("pipelines") / name).read_text(encoding="utf-8")
    text = text.replace("${DIGITS_DIR}", ".").replace(f":{PORT}/", f":{port}/")
    if short:
        text = text.replace("  split: train\n", f"  split: train\n  limit: {SHORT}\n").replace(
            "split: test", f"split: test, at_most: {TRIED}"
        )
        text = re.sub(r"\bbatch: (64|128)", "batch: 16", text)
        text = re.sub(r"\bsteps: (\d+)", lambda steps: f"steps: {max(FEWEST, int(steps[1]) // SHORTER)}", text)
    write_if_changed(folder / name, text.encode())
    return folder / name


def write_digits(folder: Path, *, seed: int = 0) -> None:
    """Writes images/, pool.csv (id, image, label, split), truth.csv (id, label) and teachers/<name>.csv (image, label).

    Every digit is a 64 x 64 grey PNG, numbered in an order drawn by `seed`, as are the parts and the flips; the same seed writes the same
    bytes. truth.csv is for scoring alone: no pipeline names it.
    """
    rng = Random(seed)
    drawn = shuffle_digits(rng)
    digits = [(f"digit-{number:04d}", str(digit.label)) for number, digit in enumerate(drawn)]
    for (name, _), digit in zip(digits, drawn, strict=True):
        write_if_changed(folder / "images" / f"{name}.png", encode_png(digit.grey))
    for number, teacher in enumerate(TEACHERS):
        part = digits[number * LESSONS : (number + 1) * LESSONS]
        write_rows(
            folder / "teachers" / f"{teacher}.csv", [("image", "label"), *((f"../images/{name}.png", label) for name, label in part)]
        )
    pool = digits[len(TEACHERS) * LESSONS :]
    write_rows(folder / "truth.csv", [("id", "label"), *pool])
    train = len(pool) - TEST
    flipped = set(rng.sample(range(train), round(FLIPPED * train)))
    rows = [
        (name, f"images/{name}.png", _other_label(label, rng) if place in flipped else label, "train" if place < train else "test")
        for place, (name, label) in enumerate(pool)
    ]
    write_rows(folder / "pool.csv", [("id", "image", "label", "split"), *rows])


def answer_as_people(path: Path, folder: Path, *, short: bool) -> None:
    """A tenth of the digits (at least 100), drawn by chance, with the answers of people who never err: those of truth.csv."""
    truth = {row["id"]: row["label"] for row in rows_of(folder / "truth.csv")}
    asked = [row["id"] for row in rows_of(folder / "pool.csv") if row["split"] == "train"][: SHORT if short else None]
    picked = sorted(asked, key=sample_rank)[: max(LEAST, len(asked) // 10)]
    write_rows(path, [("id", "answer"), *((id, truth[id]) for id in picked)])


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by their columns."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Digit(NamedTuple):
    """One of scikit-learn's handwritten digits."""

    grey: NDArray[np.uint8]
    """(8, 8), white on black."""
    label: int


def shuffle_digits(rng: Random) -> list[Digit]:
    """All digits, in an order drawn by `rng`. Raises PipelineError where scikit-learn, which brings them, is not installed."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise PipelineError("the demo needs scikit-learn: pip install 'cotforge[demo]'") from error
    data = load_digits()
    grey = np.round(data.images * (255 / 16)).astype(np.uint8)  # of 16 levels
    return [Digit(grey[index], int(data.target[index])) for index in rng.sample(range(len(grey)), len(grey))]


def encode_png(grey: NDArray[np.uint8]) -> bytes:
    """A grey PNG, each of the cells a block of 8 x 8 pixels."""
    file = io.BytesIO()
    Image.fromarray(grey.repeat(8, 0).repeat(8, 1)).save(file, "PNG")
    return file.getvalue()


def _other_label(label: str, rng: Random) -> str:
    return rng.choice([other for other in "0123456789" if other != label])


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """A CSV file."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    write_if_changed(path, file.getvalue().encode())


def write_if_changed(path: Path, data: bytes) -> None:
    """Leaves a file alone that holds these bytes, so that it is not taken for a changed one.

    Raises PipelineError where it cannot be written, or where a folder of the demo above it is a link: another's files would be overwritten.
    """
    try:
        if demand_regular(path) and read_regular(path, most=len(data)) == data:
            return
    except OSError:  # a link, or other bytes
        pass
    if link := next((folder for folder in list(path.parents)[:3] if folder.is_symlink() and folder.name in _FOLDERS), None):
        raise PipelineError(f"{link}: is a link, which is not followed; choose another folder with --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(open_new(path), "wb") as file:
            file.write(data)
    except OSError as fault:
        raise PipelineError(f"{path}: {fault.strerror}; choose another folder with --out") from fault
