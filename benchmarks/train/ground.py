"""What is measured on: lessons of chosen length about pictures of chosen size, and a tiny student that reads them."""

import io
import json
import random
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image
from rich.console import Console
from transformers.utils import logging

from cotforge.answers import Task
from cotforge.export.columns import arrow_schema, arrow_table, lesson_columns
from cotforge.plan import Grpo, Plan, Sft
from cotforge.prompts import Prompts
from cotforge.train.data.lessons import find_lessons
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import StageRun
from cotforge.train.students import tiny

SIDE = 448
"""Pixels of a picture's side."""
TOKENS = (60, 600)
"""Of a completion, the least and the most."""
SENTENCE = "the light falls on it from left and a dark edge runs down so what we see must be near to us"
"""Each word of it, with the space before, is one token."""
END = "<|im_end|>"
GROUP = 1_000
"""Lessons written at a time."""


def quiet() -> None:
    """One thread, and no words of the libraries between the tables."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()


def student(folder: Path, *, width: int, side: int = SIDE, patch: int = 32) -> Path:
    """A LLaVA of random weights whose pictures are (side / patch) squared tokens."""
    return tiny.make_llava(folder, [f" {SENTENCE}"] * 4, tiny.TinySize(width=width, side=side, patch=patch, vocabulary=600, context=1024))


def write(folder: Path, count: int, *, side: int = SIDE, tokens: tuple[int, int] = TOKENS) -> Path:
    """A dataset of so many lessons in `folder`, no two pictures alike; how many tokens are said is drawn evenly between the two."""
    columns = lesson_columns([])
    shape = arrow_schema(columns)
    (folder / "data").mkdir(parents=True)
    rows = _rows(count, side, tokens)
    with pq.ParquetWriter(folder / "data" / "train-00000-a.parquet", shape) as writer:
        for start in range(0, count, GROUP):
            writer.write_table(arrow_table([next(rows) for _ in range(min(GROUP, count - start))], columns, shape))
    return folder


def write_pictures(folder: Path, count: int, *, side: int = SIDE) -> None:
    """So many JPEGs in `folder`, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1)
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(_jpeg(noise, side))


def write_table(file: Path, pictures: Path, count: int) -> None:
    """A table of so many samples of the split `test`, their pictures taken in turn from a folder beside it."""
    files = sorted(pictures.glob("*.jpg"))
    rows = (
        {"id": f"{row}", "image": f"{pictures.name}/{files[row % len(files)].name}", "label": "xy"[row % 2], "split": "test"}
        for row in range(count)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def project(folder: Path, *stages: dict[str, Any], sections: Mapping[str, Any] | None = None, **keys: Any) -> Path:
    """A pipeline's file in `folder`, for a student in `student` and the dataset of the run folder `run`.

    `keys` are of `train:`, `sections` stand beside it.
    """
    whole = {
        "name": "measured",
        "source": {"kind": "table", "path": "rows.jsonl"},
        "task": {"kind": "classify", "question": "What is it?", "labels": ["x", "y"]},
        "teachers": [{"name": "one", "model": "m", "url": "http://localhost:1/v1"}],
        "train": {"student": {"model": "student"}, "stages": list(stages), **keys},
        **(sections or {}),
    }
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(whole))
    return file


def work(folder: Path, begin: Path, stage: Sft | Grpo, dataset: Path) -> StageRun:
    """One stage's, in a folder of its own; what is made of the lessons lies beside it for all."""
    folder.mkdir(parents=True, exist_ok=True)
    found = find_lessons(dataset, cache=folder.parent / "cache")
    return StageRun(
        plan=Plan(student={"model": str(begin)}, stages=(stage,)), stage=stage, begin=begin, out=folder,
        lessons=lambda: found, source=lambda: found, task=Task(kind="classify", question="What is it?", labels=("x", "y")),
        prompts=Prompts().load(folder), held_out=None, smoke=False, resume_from=None,
        record=MetricsLog(folder / "metrics.jsonl", stage.name, console=Console(quiet=True)), cache=folder.parent / "cache",
    )  # fmt: skip


def _rows(count: int, side: int, tokens: tuple[int, int]) -> Iterator[tuple[Any, ...]]:
    draw, noise, words = random.Random(0), np.random.default_rng(0), SENTENCE.split()
    for number in range(count):
        said = " " + " ".join(draw.choices(words, k=draw.randint(*tokens) - 2))  # its end, and a line's, are tokens too
        images = ((_jpeg(noise, side), f"{number}.jpg"),)
        yield (
            f"row-{number}", images, "What is it?", said, "What is it?", ("x", "y"), "x", "x", False, 1.0, (),
            "one", "model", "solve", 5, f"call-{number}", None,
        )  # fmt: skip


def _jpeg(noise: np.random.Generator, side: int) -> bytes:
    tile = Image.fromarray(noise.integers(0, 255, (56, 56, 3), np.uint8)).resize((side, side))
    file = io.BytesIO()
    tile.save(file, "JPEG", quality=90)
    return file.getvalue()
