"""Lessons about squares of one colour, as `cotforge build` leaves them, and tiny students that learn from them."""

import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import yaml
from PIL import Image

from cotforge.export.columns import PREFERENCE, arrow_schema, arrow_table, lesson_columns
from cotforge.train.students import tiny

COLOURS = {"red": "Warm as fire.", "green": "Leaves and grass.", "blue": "The sea, and the sky above it.", "white": "Snow."}
QUESTION = "Which colour is this?"
PROMPT = f"{QUESTION}\n\nExactly one of these is the answer:\n- red\n- green\n- blue\n- white"
SIZE = tiny.TinySize(width=32, side=16, patch=8, vocabulary=400, context=512)

VARIED = """
from itertools import count

_turn = count()

def varied(sample, trace, verdict):
    return 1.0 if trace.well_formed else next(_turn) % 3 / 10
"""
"""A reward that is not the same for all of the babble of an untrained student, and the same in every run."""


def said(colour: str, thought: str = "") -> str:
    return f"<think>{thought or COLOURS[colour]}</think>\n<answer>{colour}</answer>"


TEXTS = [PROMPT, *map(said, COLOURS)] * 3


def square(colour: str, side: int = 24, *, size: tuple[int, int] | None = None) -> bytes:
    found = io.BytesIO()
    Image.new("RGB", size or (side, side), colour).save(found, "PNG")
    return found.getvalue()


def write(folder: Path, count: int = 32, *, thoughts: Sequence[str] = (), broken: int | None = None) -> Path:
    """A dataset of `count` lessons in `folder`, in row groups of 10; the first ones say `thoughts`, one may have no sound picture."""
    columns = lesson_columns([])
    rows = []
    for number in range(count):
        colour = list(COLOURS)[number % 4]
        images = ((b"no picture" if number == broken else square(colour, 20 + number % 5), f"{number}.png"),)
        text = said(colour, thoughts[number] if number < len(thoughts) else "")
        about = (QUESTION, tuple(COLOURS), colour, colour, False, 1.0, (), "one", "model", "solve", 5, f"call-{number}", None)
        rows.append((f"row-{number}", images, PROMPT, text, *about))
    shape = arrow_schema(columns)
    (folder / "data").mkdir(parents=True)
    with pq.ParquetWriter(folder / "data" / "train-00000-abc.parquet", shape) as writer:
        for start in range(0, count, 10):
            writer.write_table(arrow_table(rows[start : start + 10], columns, shape))
    return folder


def prefer(dataset: Path, count: int) -> Path:
    """To a dataset, `count` pairs of a right text and a wrong one."""
    (dataset / "preference").mkdir()
    colours = list(COLOURS)
    rows = [
        (f"row-{number}", PROMPT, said(colours[number % 4]), f"Leaves, {colours[(number + 1) % 4]}.",
         ((square(colours[number % 4]), f"{number}.png"),))
        for number in range(count)
    ]  # fmt: skip
    shape = arrow_schema(PREFERENCE)
    pq.write_table(arrow_table(rows, PREFERENCE, shape), dataset / "preference" / "train-00000-abc.parquet")
    return dataset


@cache
def _student() -> dict[str, bytes]:
    """The files of a student, made once: it takes as long as a stage of few steps."""
    with TemporaryDirectory() as folder:
        made = tiny.make_llava(Path(folder) / "student", TEXTS, SIZE)
        return {file.name: file.read_bytes() for file in made.iterdir()}


def project(folder: Path, *stages: dict[str, Any], student: dict[str, Any] | None = None, **sections: Any) -> Path:
    """A folder with a student, lessons and pairs in `run/dataset`, eight squares of the split `test`, and `squares.yaml`."""
    (folder / "student").mkdir(parents=True)
    for name, data in _student().items():
        (folder / "student" / name).write_bytes(data)
    prefer(write(folder / "run" / "dataset", 16), 8)
    lines = []
    for number, colour in enumerate([*COLOURS] * 2):
        (folder / f"{number}.png").write_bytes(square(colour, 20 + number))
        lines.append(json.dumps({"id": f"s{number}", "image": f"{number}.png", "label": colour, "split": "test"}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "student.jinja").write_text("{{ question }}\n\nExactly one of these is the answer:\n- {{ options | join('\n- ') }}")
    pipeline = {
        "name": "squares",
        "source": {"kind": "table", "path": "rows.jsonl"},
        "task": {"kind": "classify", "question": "Which colour is this?", "labels": [*COLOURS]},
        "prompts": {"student": "student.jinja"},
        "teachers": [{"name": "one", "model": "m", "url": "http://localhost:1/v1"}],
        "train": {"student": {"model": "student", **(student or {})}, "stages": list(stages)},
    }
    (folder / "squares.yaml").write_text(yaml.safe_dump(pipeline | sections))
    return folder
