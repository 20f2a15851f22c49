"""Memory that a GPU must have for a student to be trained: cotforge's own estimate, from configurations alone. Nothing is measured.

python -m benchmarks.gpu.needs
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.forge.table import print_table
from benchmarks.gpu import models
from benchmarks.train import ground
from cotforge.plan import Sft, Student
from cotforge.train.data.extent import Extent
from cotforge.train.footprint import stage_footprint
from cotforge.train.students import tiny
from cotforge.train.students.precision import choose_precision
from cotforge.train.students.shape import ModelShape, shape_of

SHAPES = (models.ONE, models.THREE, models.SEVEN)
WAYS: dict[str, dict[str, Any]] = {
    "all weights": {},
    "`dtype: bfloat16`": {"dtype": "bfloat16"},
    "`lora: {}`": {"lora": {}},
    "`qlora: true`": {"lora": {}, "qlora": True},
}
BATCHES = (4, 16)
TEXT = 540
"""Tokens of a lesson beside its picture."""


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.parse_args()
    ground.quiet()
    with tempfile.TemporaryDirectory() as name:
        print_table(("", "weights", "batch", *WAYS, "disk, all weights"), _lines(Path(name)))


def _lines(folder: Path) -> Iterator[tuple[str, ...]]:
    for number, shape in enumerate(SHAPES):
        known = _shape(folder / f"{number}", shape)
        patches = (shape.side // shape.patch) ** 2
        extent = Extent(1, patches // shape.pooled + TEXT, patches // shape.pooled + TEXT, patches)
        weights = f"{sum(known.parameters.values()) / 1e9:.2f}B"
        for batch in BATCHES:
            found = [_need(known, extent, batch, way) for way in WAYS.values()]
            memory = (f"{each.memory / 1e9:.0f} GB" for each in found)
            yield shape.title, weights, f"{batch} x {extent.longest:,} tokens", *memory, f"{found[0].disk / 1e9:.0f} GB"


def _shape(folder: Path, shape: models.Shape) -> ModelShape:
    """From a configuration without weights."""
    small = tiny.TinySize(width=32, side=shape.side, patch=shape.patch, vocabulary=600, context=models.CONTEXT)
    shape.make(folder, [f" {ground.SENTENCE}"] * 4, small)
    models.config_of(folder, shape).save_pretrained(folder)
    found = shape_of(folder)
    assert found is not None
    return found


def _need(shape: ModelShape, extent: Extent, batch: int, way: dict[str, Any]) -> Any:
    spec, stage = Student(model="student", **way), Sft(name="sft", kind="sft", batch=batch)
    return stage_footprint(shape, spec, stage, extent, choose_precision(spec, gpu=True), checkpointing=True, steps=1)


if __name__ == "__main__":
    main()
