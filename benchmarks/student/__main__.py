"""What lessons of each origin, planted faults and gates are worth to a student: the demo's sums, equal lessons and steps.

    python -m benchmarks.student [--out DIR] [--seeds 3] [--steps 600] [--at-once 1]
    python -m benchmarks.student --smoke

Five sets of as many lessons about sums of four digits: as they come, woven, with rescue, a tenth of them bad and gates off, and the same
with gates on, where what the gates stop is replaced by other lessons. On each seed a student begins with the same weights for all sets and
learns one of them in as many steps. All are tried on 400 pictures of other digits. What is done already in DIR is not done again.
"""

import argparse
import os
import tempfile
from pathlib import Path
from random import Random

import yaml

from benchmarks.followups.__main__ import ARMS, PLAIN, arm_name, arm_pipeline, build_arms
from benchmarks.forge.table import print_table
from benchmarks.student import sets
from benchmarks.student.faults import FAULTS
from cotforge.demo.adders import SIZE, TableLine, adders_table
from cotforge.demo.digits import write_digits, write_if_changed
from cotforge.demo.sums import PICTURES, TRIED, write_sums
from cotforge.demo.trainings import Training, train_all
from cotforge.prompts import shipped_folder
from cotforge.train.command import missing_library, quiet_libraries

SEEDS, STEPS = 3, 600
BUILT = (PLAIN, "+ rescue", "+ weaving")
TASK = "sums"
CONTEXT = 256
"""Positions of the students: woven texts are long."""


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, help="a folder to keep; without it all is gone at the end")
    asked.add_argument("--seeds", type=int, default=SEEDS, help="of first weights and order (default: %(default)s)")
    asked.add_argument("--steps", type=int, default=STEPS, help="of each training (default: %(default)s)")
    asked.add_argument("--split", default="test", choices=("validation", "test"))
    asked.add_argument("--at-once", type=int, default=1, help="trainings side by side (default: %(default)s)")
    asked.add_argument("--smoke", action="store_true", help="one seed, two steps, two sets: only to see that it runs")
    given = asked.parse_args()
    if lacking := missing_library():
        raise SystemExit(f"students need {lacking}: pip install 'cotforge[train]'")
    if given.out is not None:
        compare(given.out.resolve(), given)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), given)


def compare(out: Path, given: argparse.Namespace) -> None:
    """What is not done yet in a folder, then the table."""
    quiet_libraries()
    limit, seeds, steps = (40, 1, 2) if given.smoke else (PICTURES, given.seeds, given.steps)
    if not (out / "sets" / "all").exists():
        write_digits(out / "raw")
        write_sums(out / "raw" / TASK)
        build_arms(out, TASK, limit, names=BUILT)
        sets.write_sets(out, {name: out / arm_name(TASK, name) / "dataset" for name in BUILT}, Random(0))
    names = list(sets.NAMES)[:: 3 if given.smoke else 1]
    trainings = []
    for seed in range(seeds):
        sets.make_student(out / "raw" / f"student-{seed}", out / "sets" / "all", seed=seed, **{**SIZE, "context": CONTEXT})
        trainings += [
            Training(f"{name}, seed {seed}", write_training(out, name, seed, steps, given), run_of(out, name, seed)) for name in names
        ]
    train_all(trainings, at_once=given.at_once, tell=print)
    for line in sets.told_sets(out):
        print(line)
    lines = [TableLine(sets.NAMES[name], lambda folder, seed, name=name: run_of(folder, name, seed), ("01-lessons",)) for name in names]  # type: ignore[misc]
    for line in adders_table(out, seeds=seeds, lines=lines):
        print(line)
    print_table(("planted", *FAULTS), [("stopped by the gates", *sets.told_gates(out))])


def run_of(out: Path, name: str, seed: int) -> Path:
    """The run folder of a set and a seed."""
    return out / "students" / f"{name}-{seed}"


def write_training(out: Path, name: str, seed: int, steps: int, given: argparse.Namespace) -> Path:
    """The pipeline file of a set and a seed: the shipped one's first stage on its lessons, from that seed's weights."""
    file = arm_pipeline(out / "raw", TASK, PLAIN, ARMS[PLAIN], url="http://127.0.0.1:1/v1", limit=PICTURES)
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    shipped = yaml.safe_load((shipped_folder("pipelines") / f"{TASK}.yaml").read_text(encoding="utf-8"))
    taught = shipped["train"]["stages"][0]
    whole["name"] = f"student-{name}-{seed}"
    whole["train"] = {
        "student": {"model": f"./student-{seed}"},
        "data": os.path.relpath(out / "sets" / name, out / "raw"),
        "stages": [taught | {"name": "lessons", "steps": steps, "seed": seed}],
    }
    tried = {"at_most": 16} if given.smoke else {"at_most": TRIED}
    whole["eval"] = {"split": given.split, "metrics": ["accuracy"], "when": ["end"], **tried}
    path = out / "raw" / f"student-{name}-{seed}.yaml"
    write_if_changed(path, yaml.safe_dump(whole, sort_keys=False).encode())
    return path


if __name__ == "__main__":
    main()
