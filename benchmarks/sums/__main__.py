"""Whether reinforcement adds anything after supervised lessons, on the demo's sums of four digits.

    python -m benchmarks.sums [--out runs/demo] [--split validation] [--smoke]

On each seed a student learns the demo's lessons for half the steps. Then the same student goes on in two ways, for about as many seconds:
more lessons, or reinforcement on every picture of the source, also those that have a label and no lesson, in 32 groups a step. The sums are
built where the demo has not done so.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import yaml

from cotforge.demo import SUMS, adders, build_sums
from cotforge.demo.adders import TableLine
from cotforge.demo.digits import write_digits, write_if_changed
from cotforge.demo.trainings import Training, train_all

MORE = 1_600
"""Steps on lessons that take about as long as the reinforcement."""
REINFORCED: dict[str, Any] = {"steps": 60, "batch": 256, "accumulate": 1}
"""Of the reinforcement: 32 groups of 8."""


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, default=Path("runs/demo"))
    asked.add_argument("--split", default="test", choices=("validation", "test"))
    asked.add_argument("--smoke", action="store_true", help="One seed and few steps: only to see that it runs.")
    given = asked.parse_args()
    file, out = given.out / "raw" / "sums.yaml", given.out / SUMS
    if not (out / "dataset").exists():
        write_digits(given.out / "raw")
        file = build_sums(given.out, short=given.smoke, tell=print)
    seeds = 1 if given.smoke else adders.SEEDS
    train_all([training(file, out, seed, split=given.split, short=given.smoke) for seed in range(seeds)], tell=print)
    lines = (
        TableLine("half the steps on lessons", run_of, ("01-less",)),
        TableLine("+ more lessons", run_of, ("01-less", "02-more")),
        TableLine("+ RL on all labelled pictures", run_of, ("01-less", "03-reinforced")),
    )
    for line in adders.adders_table(out, seeds=seeds, lines=lines):
        print(line)


def run_of(out: Path, seed: int) -> Path:
    """The run folder of a seed."""
    return out / f"reinforced-{seed}"


def training(file: Path, out: Path, seed: int, *, split: str, short: bool) -> Training:
    """The pipeline file and run folder of a seed, whose student is that of the demo."""
    whole = yaml.safe_load(adders.reasoner_pipeline(file, out, seed).read_text(encoding="utf-8"))
    taught, reason = (next(stage for stage in whole["train"]["stages"] if stage["name"] == name) for name in ("inject", "reason"))
    more, reinforced = (4, {"steps": 4, "batch": 16, "accumulate": 1}) if short else (MORE, REINFORCED)
    stages = [
        taught | {"name": "less", "steps": taught["steps"] // 2},
        taught | {"name": "more", "from": "less", "steps": more},
        reason | {"name": "reinforced", "from": "less", **reinforced},
    ]
    whole["name"] = f"sums-reinforced-{seed}"
    whole["eval"] |= {"split": split}
    whole["train"] |= {
        "student": {"model": adders.make_student(file, out, seed)},
        "data": os.path.relpath(out / "dataset", file.parent),
        "stages": [stage | {"seed": seed} for stage in stages],
    }
    path = file.with_name(f"sums-reinforced-{seed}.yaml")
    write_if_changed(path, yaml.safe_dump(whole, sort_keys=False).encode())
    return Training(f"seed {seed}", path, run_of(out, seed))


if __name__ == "__main__":
    main()
