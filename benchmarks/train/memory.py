"""Peak memory of `cotforge train` by the number of lessons: it prepares all of them, and takes a few steps of `sft` and of `grpo`.

    python -m benchmarks.train.memory [--rows 5000 50000]

Pictures of 64 pixels and 16 to 48 tokens to a lesson, so that rows count and not their size. `own` is what processes hold of their own;
the whole also counts pages of files that are mapped, which the system drops when it needs room.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.forge.process import Spent, cotforge
from benchmarks.forge.table import print_table
from benchmarks.train import ground

STAGES = (
    {"name": "inject", "kind": "sft", "batch": 8, "steps": 3},
    {
        "name": "reason", "kind": "grpo", "batch": 8, "accumulate": 1, "group": 4, "steps": 3, "max_completion": 16, "learning_rate": 1e-4,
        "rewards": [{"measure": "finish_ok"}],
    },
)  # fmt: skip


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, nargs="+", default=[5_000, 50_000])
    measure(asked.parse_args().rows)


def measure(counts: list[int]) -> None:
    """A column for each number of lessons."""
    print("peak memory of `cotforge train` and its workers, MB\n")
    with tempfile.TemporaryDirectory() as name:
        spent = [_trained(_ground(Path(name) / f"{count}", count)) for count in counts]
    lines = []
    for title, figure in (("own", "own"), ("with the files that are mapped", "peak"), ("seconds", "seconds")):
        figures = [float(getattr(each, figure)) for each in spent]
        lines.append((title, *(f"{each:,.0f}" for each in figures), f"{figures[-1] / figures[0]:.2f}"))
    print_table(("", *(f"{count:,} lessons" for count in counts), "last over first"), lines)


def _ground(folder: Path, count: int) -> Path:
    ground.student(folder / "student", width=32, side=16, patch=8)
    ground.write(folder / "run" / "dataset", count, side=64, tokens=(16, 48))
    return folder


def _trained(folder: Path) -> Spent:
    return cotforge("train", ground.project(folder, *STAGES), "--out", folder / "run", every=0.2)


if __name__ == "__main__":
    main()
