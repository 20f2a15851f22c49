"""A tiny student of any family through `cotforge train`: SFT, GRPO, GRPO with clip and KL, DPO, and what it says of held-out pictures."""

import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import pyarrow.parquet as pq
import yaml
from PIL import Image

from benchmarks.families.builders import SMALL, Builder
from cotforge.errors import CotforgeError
from cotforge.export.columns import PREFERENCE, Columns, arrow_schema, arrow_table, lesson_columns
from cotforge.train.command import run_training

Pictures = Literal["one", "one or two", "none, one or two"]
"""How many a row has; their sizes are drawn."""
COLOURS = {"red": "Warm as fire.", "green": "Leaves and grass.", "blue": "The sea, and the sky above it.", "white": "Snow."}
QUESTION = "Which colour is this?"
PROMPT = f"{QUESTION}\n\nExactly one of these is the answer:\n- red\n- green\n- blue\n- white"
ROWS, PAIRS, HELD = 12, 6, 4
REWARDS = ({"measure": "well_formed"}, {"measure": "correct"})
GRPO = {"kind": "grpo", "batch": 4, "accumulate": 1, "group": 2, "max_completion": 12, "rewards": list(REWARDS)}
STAGES: tuple[dict[str, Any], ...] = (
    {"name": "learn", "kind": "sft", "batch": 4, "steps": 2, "learning_rate": 1e-3},
    {"name": "reward", "steps": 2, **GRPO},
    {"name": "clip", "steps": 4, "updates_per_rollout": 2, "clip": "cliplow-upper", "beta": 0.01, **GRPO},
    {"name": "prefer", "kind": "dpo", "batch": 2, "steps": 2},
)


@dataclass(frozen=True)
class Outcome:
    """What came of a family."""

    stages: tuple[str, ...]
    """Names of those that were finished."""
    refusal: str
    """The line that ended it; empty where it went through."""
    seconds: float

    @property
    def went_through(self) -> bool:
        return not self.refusal


def said(colour: str) -> str:
    """A completion about a colour."""
    return f"<think>{COLOURS[colour]}</think>\n<answer>{colour}</answer>"


def go(build: Builder, folder: Path, pictures: Pictures, *, stages: tuple[dict[str, Any], ...] = STAGES, **student: Any) -> Outcome:
    """A new student of a family through all stages in `folder`; `student` are further keys of `train.student`.

    Raises what `cotforge train` should have told in a line, and did not.
    """
    begun = monotonic()
    try:
        build(folder / "student", [PROMPT, *map(said, COLOURS)] * 3, SMALL)
    except ImportError as fault:
        return Outcome((), (str(fault).strip().splitlines() or ["?"])[0], 0.0)
    _write(folder, pictures)
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(_pipeline(stages, student)))
    refusal = ""
    try:
        run_training(str(file), out=folder / "run", tell=lambda line: None)
    except CotforgeError as fault:
        refusal = str(fault)
    done = tuple(
        stage["name"] for place, stage in enumerate(stages, 1) if _finished(folder / "run" / "train" / f"{place:02}-{stage['name']}")
    )
    return Outcome(done, refusal, monotonic() - begun)


def _pipeline(stages: tuple[dict[str, Any], ...], student: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "family",
        "source": {"kind": "table", "path": "rows.jsonl"},
        "task": {"kind": "classify", "question": QUESTION, "labels": [*COLOURS]},
        "teachers": [{"name": "one", "model": "m", "url": "http://localhost:1/v1"}],
        "train": {"student": {"model": "student", **student}, "stages": list(stages)},
        "eval": {"split": "test"},
    }


def _write(folder: Path, pictures: Pictures) -> None:
    """Lessons, pairs, and a source of held-out samples."""
    draw = random.Random(0)
    sizes = _sizes(draw, pictures)
    lists = [(list(COLOURS)[number % 4], next(sizes)) for number in range(ROWS)]
    about = [
        (f"row-{number}", _images(colour, shapes), PROMPT, said(colour), QUESTION, tuple(COLOURS), colour, colour, False, 1.0, (),
         "one", "model", "solve", 5, f"call-{number}", None)
        for number, (colour, shapes) in enumerate(lists)
    ]  # fmt: skip
    pairs = [
        (f"row-{number}", PROMPT, said(colour), f"Leaves, {list(COLOURS)[(number + 1) % 4]}.", _images(colour, shapes))
        for number, (colour, shapes) in enumerate(lists[:PAIRS])
    ]
    _table(folder / "run" / "dataset" / "data", about, lesson_columns([]))
    _table(folder / "run" / "dataset" / "preference", pairs, PREFERENCE)
    held = []
    for number, (colour, shapes) in enumerate(lists[:HELD]):
        names = [f"{number}-{place}.png" for place in range(len(shapes or [(24, 24)]))]
        for name, shape in zip(names, shapes or [(24, 24)], strict=True):
            (folder / name).write_bytes(_square(colour, shape))
        held.append(json.dumps({"id": f"s{number}", "images": names, "label": colour, "split": "test"}))
    (folder / "rows.jsonl").write_text("\n".join(held) + "\n")


def _table(folder: Path, rows: list[tuple[Any, ...]], columns: Columns) -> None:
    folder.mkdir(parents=True)
    shape = arrow_schema(columns)
    pq.write_table(arrow_table(rows, columns, shape), folder / "train-00000-a.parquet")


def _sizes(draw: random.Random, pictures: Pictures) -> Iterator[list[tuple[int, int]]]:
    """The sizes of each row's pictures."""
    counts = {"one": (1,), "one or two": (1, 2), "none, one or two": (0, 1, 2)}[pictures]
    while True:
        for count in counts:
            yield [(draw.randint(16, 72), draw.randint(16, 72)) for _ in range(count)]


def _images(colour: str, shapes: list[tuple[int, int]]) -> tuple[tuple[bytes, str], ...]:
    return tuple((_square(colour, shape), f"{place}.png") for place, shape in enumerate(shapes))


def _square(colour: str, shape: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", shape, colour).save(file, "PNG")
    return file.getvalue()


def _finished(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "manifest.json").read_text())["finished"])
    except (OSError, ValueError, KeyError):
        return False
