"""The demo's students of the sums: on three seeds, one that learns to reason beside those that learn from labels alone."""

import json
import os
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import yaml

from cotforge.demo.digits import write_if_changed
from cotforge.demo.school import make_school_student
from cotforge.demo.trainings import Training
from cotforge.train.report.past import BASE, MANIFEST

SEEDS = 3
"""Students of each kind: of their first weights, and of all that is drawn in training."""
LONGER = 2.2
"""How many times the optimizer steps the label-only student gets for as many seconds as the one that reasons: its texts are shorter."""
ANSWERS: dict[str, Any] = {
    "steps": 10,
    "batch": 64,
    "accumulate": 1,
    "learning_rate": 5.0e-5,
    "max_completion": 16,
    "rewards": [{"measure": "correct"}],
}
"""Reinforcement of answers alone, from the first weights on."""
SIZE = {"heads": 4, "side": 16, "patch": 8, "vocabulary": 1024, "context": 128}
"""Of the students."""
QUANTILES = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5 % points of Student's t, by the number of seeds."""
NORMAL = 1.96


def seed_trainings(file: Path, out: Path, *, seeds: int = SEEDS) -> list[Training]:
    """Those of all seeds, the longest first; students are made where they are not there yet.

    `file` is the pipeline file of the sums, `out` its run folder, in which those of the other seeds and of the labels lie.
    """
    reasoning, plain = [], []
    for seed in range(seeds):
        own, labels = reasoner_pipeline(file, out, seed), label_only(file, seed)
        make_student(file, out, seed)
        reasoning.append(Training(f"sums, seed {seed}", own, reasoner_run(out, seed)))
        plain.append(Training(f"sums, labels, seed {seed}", labels, labels_run(out, seed)))
    return [*reasoning, *plain]


def make_student(file: Path, out: Path, seed: int) -> str:
    """The first weights of a seed's students, beside the pipeline file; where they lie, as the file has it."""
    make_school_student(file.parent / _student_name(seed), out / "dataset", label_only(file, seed), seed=seed, **SIZE)
    return _student_name(seed)


def reasoner_run(out: Path, seed: int) -> Path:
    """The run folder of the student that reasons; that of seed 0 is the run of the lessons."""
    return out / f"seed-{seed}" if seed else out


def labels_run(out: Path, seed: int) -> Path:
    """The run folder of the students that learn from labels."""
    return out / f"labels-{seed}"


def reasoner_pipeline(file: Path, out: Path, seed: int) -> Path:
    """The pipeline file of the student that reasons: that of seed 0 is the sums' own, which the others repeat."""
    if not seed:
        return file
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    whole["name"] += f"-{seed}"
    whole["train"] |= {"student": {"model": _student_name(seed)}, "data": os.path.relpath(out / "dataset", file.parent)}
    whole["train"]["stages"] = [stage | {"seed": seed} for stage in whole["train"]["stages"]]
    return _write_pipeline(file.with_name(f"{file.stem}-{seed}.yaml"), whole)


def label_only(file: Path, seed: int) -> Path:
    """A pipeline file of students that never see a lesson: raw labels in as many steps, in as many seconds, and answers reinforced."""
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    taught = whole["train"]["stages"][0]
    alike = {name: taught[name] for name in ("kind", "batch", "learning_rate", "trl")} | {"data": "source"}
    stages = [
        {"name": "labels", "steps": taught["steps"], **alike},
        {"name": "longer", "steps": round(LONGER * taught["steps"]), **alike},
        {"name": "answers", "kind": "grpo", "data": "source", **ANSWERS},
    ]
    whole |= {
        "name": f"{whole['name']}-labels-{seed}",
        "prompts": {"student": "label_only/student", "completion": "label_only/completion"},
        "train": {"student": {"model": _student_name(seed)}, "stages": [stage | {"seed": seed, "from": "base"} for stage in stages]},
    }
    return _write_pipeline(file.with_name(f"{file.stem}-labels-{seed}.yaml"), whole)


def _student_name(seed: int) -> str:
    return f"./sums-student-{seed}"


def _write_pipeline(path: Path, whole: dict[str, Any]) -> Path:
    write_if_changed(path, yaml.safe_dump(whole, sort_keys=False, allow_unicode=True).encode())
    return path


class AdderRow(NamedTuple):
    """One line of the table: a student after one stage, on every seed."""

    name: str
    accuracies: tuple[float, ...]
    """One for each seed."""
    formed: float
    """Share of answers in the right form, the mean over seeds."""
    tried: int
    """Held-out pictures, the same for every seed."""
    steps: int
    """Optimizer steps from the first weights on."""
    seconds: float
    """Of training from the first weights on, the mean over seeds."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean over seeds and pictures.

        The variance of the mean over seeds (Student's t) and that over pictures are added. All seeds are tried on the same pictures, so
        these count once, as if all students erred on the same ones.
        """
        mean, seeds = fmean(self.accuracies), len(self.accuracies)
        by_seed = QUANTILES[seeds] * stdev(self.accuracies) / sqrt(seeds) if seeds > 1 else 0.0
        by_picture = NORMAL * sqrt(mean * (1 - mean) / self.tried)
        half = sqrt(by_seed**2 + by_picture**2)
        return max(0.0, mean - half), min(1.0, mean + half)


class TableLine(NamedTuple):
    """What the table has a row of."""

    name: str
    run_of: Callable[[Path, int], Path]
    """The run folder of a seed, in that of the sums."""
    chain: tuple[str, ...] = ()
    """The folders of its stages, from the first weights on."""


def adders_table(out: Path, *, seeds: int = SEEDS, lines: Sequence[TableLine] | None = None) -> list[str]:
    """Students on the held-out pictures (default: all of the demo's), a line for each stage, for a person to read."""
    rows = [_seed_row(line.name, [line.run_of(out, seed) for seed in range(seeds)], line.chain) for line in lines or LINES]
    head = ("", "accuracy", "each seed", "reasoned, in form", "steps", "seconds")
    cells = [head, *(_row_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    told = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    kinds = f"{seeds} seeds, mean and 95 % interval over seeds and pictures" if seeds > 1 else "one seed, 95 % interval over pictures"
    return [f"sums of four digits, {rows[0].tried:,} held-out pictures with their true labels; {kinds}:", *told, ""]


LINES = (
    TableLine("untrained", reasoner_run),
    TableLine("label-only SFT, as many steps", labels_run, ("01-labels",)),
    TableLine("label-only SFT, as many seconds", labels_run, ("02-longer",)),
    TableLine("answer-only RL", labels_run, ("03-answers",)),
    TableLine("SFT on lessons", reasoner_run, ("01-inject",)),
    TableLine("+ RL for the form", reasoner_run, ("01-inject", "02-format")),
    TableLine("+ RL for form and answer", reasoner_run, ("01-inject", "02-format", "03-reason")),
    TableLine("+ the same with cliplow-upper", reasoner_run, ("01-inject", "02-format", "03-reason", "04-clip")),
)
"""Of the demo's table."""


def _seed_row(name: str, runs: Sequence[Path], chain: Sequence[str]) -> AdderRow:
    found = [_read_figures(run / "eval" / f"{chain[-1] if chain else BASE}.json") for run in runs]
    stages = [[_read_figures(run / "train" / stage / MANIFEST) for stage in chain] for run in runs]
    return AdderRow(
        name,
        tuple(each["accuracy"] for each in found),
        fmean(each["format_rate"] for each in found),
        found[0]["n"],
        sum(stage["inputs"]["stage"]["steps"] for stage in stages[0]),
        fmean(sum(stage["seconds"] for stage in own) for own in stages),
    )


def _read_figures(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _row_cells(row: AdderRow) -> tuple[str, ...]:
    low, high = row.interval
    accuracy = f"{fmean(row.accuracies):.3f}  {low:.3f} to {high:.3f}"
    return (
        row.name,
        accuracy,
        " ".join(f"{share:.3f}" for share in row.accuracies),
        f"{row.formed:.3f}",
        f"{row.steps:,}",
        f"{row.seconds:.0f}",
    )
