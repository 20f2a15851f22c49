"""The demo's students of the digits: one learns from lessons, by the stages of `clgrpo`, the other from raw labels; true ones try both."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cotforge.demo.digits import write_if_changed
from cotforge.demo.trainings import Training
from cotforge.pipeline import Loaded
from cotforge.records import Sample
from cotforge.train.command import quiet_libraries

BASELINE = "label-only"
"""The baseline's pipeline file and its run folder, in that of the demo: what arXiv 2506.18048 compares with."""
SIZE = {"heads": 4, "side": 8, "patch": 4, "vocabulary": 1536, "context": 256}
"""Of the students; the longest lesson has half as many tokens as they have positions."""


def school_trainings(file: Path, out: Path) -> list[Training]:
    """Those of both students, which are made where they are not there yet; `file` is the demo's pipeline file, `out` its run folder."""
    plain = baseline_pipeline(file)
    make_school_student(file.parent / "student", out / "dataset", plain, **SIZE)
    return [Training("digits", file, out), Training(f"digits, {BASELINE}", plain, out / BASELINE)]


def baseline_pipeline(file: Path) -> Path:
    """Beside the pipeline file, one whose student learns every raw label in as many optimizer steps."""
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    stages = whole["train"]["stages"]
    alike = {name: stages[0][name] for name in ("kind", "batch", "learning_rate", "trl")}
    labels = {"name": "labels", "data": "source", "steps": sum(stage["steps"] for stage in stages), **alike}
    whole |= {
        "name": f"{whole['name']}-{BASELINE}",
        "prompts": {"student": "label_only/student", "completion": "label_only/completion"},
        "train": whole["train"] | {"preset": BASELINE, "stages": [labels]},
    }
    path = file.with_name(f"{BASELINE}.yaml")
    write_if_changed(path, yaml.safe_dump(whole, sort_keys=False, allow_unicode=True).encode())
    return path


def make_school_student(folder: Path, dataset: Path, other: Path, **size: int) -> None:
    """A tiny student of random weights in `folder`, whose tokens are those of the lessons and of the other pipeline's prompt.

    The same lessons and size (see `tiny.TinySize`) give the same bytes.
    """
    quiet_libraries()
    from cotforge.train.data.lessons import find_lessons
    from cotforge.train.students import rehearsal, tiny

    lessons = find_lessons(dataset, cache=folder.parent)
    loaded = Loaded.load(other)
    task = loaded.pipeline.task
    asked = loaded.prompts.student.render(Sample("", (), task.question or "", task.options(), None))
    texts = [*rehearsal.texts_of(lessons, len(lessons)), *[asked] * len(lessons)]
    rehearsal.make_newborn(folder, texts, tiny.TinySize(phrases=True, scaled=True, **size))


def school_table(out: Path) -> list[str]:
    """Both students on the held-out digits, a line for each stage, for a person to read."""
    rows = [_table_row(name, found) for name, found in _tried_students(out)]
    first = next(found for _, found in _tried_students(out))
    head = ["", "accuracy", "macro recall", "reasoned, in form"]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    return [f"{first['n']:,} held-out digits with their true labels; shares with 95 % intervals:", *lines, ""]


def _tried_students(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what, figures) of the first student before and after each stage, and of the baseline after its only one."""
    for file in (*sorted((out / "eval").glob("[0-9][0-9]-*.json")), out / BASELINE / "eval" / "01-labels.json"):
        yield BASELINE if file.parent.parent != out else file.stem, json.loads(file.read_text(encoding="utf-8"))


def _table_row(name: str, found: dict[str, Any]) -> list[str]:
    from cotforge.train.evaluation.evaluate import figure_text

    return [name, figure_text(found, "accuracy"), figure_text(found, "macro_recall"), figure_text(found, "format_rate")]
