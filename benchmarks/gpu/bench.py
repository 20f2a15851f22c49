"""What all measurements on a GPU share: how much of everything, students, folders, and processes of their own."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.cells import Cells, Figures
from benchmarks.gpu import models, trained
from benchmarks.train import ground

Line = tuple[str, ...]

NOT_INSTALLED, NO_GPU = "not installed", "needs a GPU"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    shapes: Mapping[str, models.Shape]
    dtypes: tuple[str, ...]
    """Of weights that are trained in full."""
    side: int
    """Of the matrices whose product is timed."""
    lessons: int
    tokens: int
    """Of a lesson's text."""
    batch: int
    steps: int
    completion: int
    """Tokens of a completion."""
    rollout: int
    """Completions of a rollout that is timed for itself."""
    held_out: int
    answer: int
    """Tokens of an answer."""
    together: int
    """Answers at a time."""
    pictures: int
    """That a teacher is asked about."""


WHOLE = Size(
    shapes={"1b": models.ONE, "3b": models.THREE}, dtypes=("float32", "bfloat16"), side=8192, lessons=96, tokens=512, batch=16, steps=6,
    completion=128, rollout=64, held_out=2_000, answer=32, together=128, pictures=512,
)  # fmt: skip
SMOKE = Size(
    shapes={"tiny": models.TINY}, dtypes=("float32",), side=256, lessons=8, tokens=24, batch=2, steps=2, completion=4, rollout=4,
    held_out=4, answer=4, together=4, pictures=4,
)  # fmt: skip


@dataclass
class Bench:
    """What the parts share."""

    size: Size
    folder: Path
    cells: Cells
    gpu: bool = False
    tflops: float = 0.0
    """Of the card's matrix unit, measured; 0 where that was left out."""

    def student(self, name: str) -> Path:
        return self.folder / "students" / name

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    def project(self, cell: str, student: Mapping[str, Any], *stages: dict[str, Any], **sections: Any) -> tuple[Path, Path]:
        """The pipeline file of a cell, and its run folder."""
        place = self.folder / "cells" / cell
        place.mkdir(parents=True, exist_ok=True)
        file = ground.project(place, *stages, student=dict(student), data=str(self.dataset), sections=sections)
        return file, place / "run"

    def train(self, cell: str, student: Mapping[str, Any], stage: dict[str, Any]) -> Figures:
        """A stage of `cotforge train`, whose run folder is gone after it: a student of 3B leaves 15 GB."""
        file, run = self.project(cell, student, {**stage, "trl": {"save_strategy": "no", **stage.get("trl", {})}})
        found = self.cells.run(cell, trained.cotforge, file, run, stage["name"])
        shutil.rmtree(run, ignore_errors=True)
        return found


def lacking(library: str, *, gpu: bool) -> str:
    """Why a row has no figures; empty where it can have some."""
    if find_spec(library) is None:
        return NOT_INSTALLED
    return "" if gpu else NO_GPU
