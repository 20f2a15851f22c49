"""Time and memory of deciding about very many items, in a process that did not make their world.

python -m benchmarks.consensus.big FOLDER decides what lies in the folder.
"""

import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
import psutil

from benchmarks.consensus.ours import decision, read
from benchmarks.consensus.score import figures
from benchmarks.consensus.worlds import Recipe, inputs
from benchmarks.forge.process import spend
from benchmarks.forge.table import print_table


def print_big(items: int, *, target: float, seed: int) -> None:
    """A table of so many items of COR, 8 classes, 5 teachers, labels and 300 gold."""
    world = Recipe("COR", items, samples=1).world(np.random.default_rng(seed))
    given = inputs(world)
    told = given.gold(300, np.random.default_rng([seed, 1]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given.frame.write_parquet(folder / "frame.parquet")
        pl.DataFrame({"id": given.labels.keys(), "label": given.labels.values()}).write_parquet(folder / "labels.parquet")
        options = {"classes": given.classes, "prices": given.prices, "gold": told, "target": target, "objective": "balanced", "seed": seed}
        (folder / "options.json").write_text(json.dumps(options))
        spent = spend("-m", "benchmarks.consensus.big", folder, every=0.2)
        said = json.loads((folder / "said.json").read_text())
        decided = pl.read_parquet(folder / "decided.parquet")
    result = read(decided, gold=told, price=said["cost"], claim=said["precision"], low=said["low"])
    found = figures(result, world, seconds=said["seconds"])
    print(f"\n{items:,} items of COR, 8 classes, 5 teachers, labels, 300 gold\n")
    lines = [
        ("seconds in `decide`", f"{found.seconds:.1f}", "at most 60"),
        ("peak memory of its process, MB", f"{spent.peak:,.0f}", "at most 2,000"),
        ("of that there before, MB", f"{said['before']:,.0f}", ""),
        ("precision", f"{found.precision:.3f}", ""),
        ("coverage", f"{found.coverage:.3f}", ""),
        ("calls per accepted", f"{found.calls:.2f}", ""),
        ("claim - truth", f"{found.overclaim:.3f}", f"at most {found.allowed:.3f}"),
    ]
    print_table(("", "cotforge", "wanted"), lines)


def decide_there(folder: Path) -> None:
    """Reads the arguments, decides, and writes what came of it beside them."""
    frame = pl.read_parquet(folder / "frame.parquet")
    labels = dict(pl.read_parquet(folder / "labels.parquet").iter_rows())
    options = json.loads((folder / "options.json").read_text())
    before, begun = psutil.Process().memory_full_info().pss / 1e6, perf_counter()
    decided = decision(frame, labels=labels, **options)
    said = {"seconds": perf_counter() - begun, "before": before, "cost": decided.cost}
    claim = {"precision": decided.claim.precision, "low": decided.claim.low}
    decided.frame.select("id", "answer", "accepted", "calls").write_parquet(folder / "decided.parquet")
    (folder / "said.json").write_text(json.dumps(said | claim))


if __name__ == "__main__":
    decide_there(Path(sys.argv[1]))
