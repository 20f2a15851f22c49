"""Preference: of a right and a wrong text about a picture, the right one becomes likelier."""

import json
from pathlib import Path

import pytest

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.plan import Dpo, Plan
from cotforge.prompts import Prompts
from cotforge.train.data.lessons import find
from cotforge.train.kinds import dpo
from cotforge.train.report.record import Record
from cotforge.train.students import student, tiny
from cotforge.train.work import Work
from tests import squares


def job(folder: Path, *, pairs: int) -> Work:
    """A student that knows nothing yet, and lessons, of which so many have a wrong text beside the right one."""
    model = tiny.llava(folder / "begin", squares.TEXTS, squares.SIZE)
    dataset = squares.write(folder / "dataset", 8)
    if pairs:
        squares.prefer(dataset, pairs)
    stage = Dpo.model_validate({"name": "prefer", "kind": "dpo", "steps": 6, "batch": 4, "learning_rate": 1e-3})
    plan = Plan.model_validate({"student": {"model": str(model)}, "stages": [stage.model_dump(by_alias=True)]})
    lessons = find(dataset, cache=folder / "cache")
    out = folder / "stage"
    out.mkdir()
    return Work(
        plan=plan, stage=stage, begin=model, out=out, lessons=lambda: lessons, source=lambda: lessons,
        task=Task(kind="classify", question="?", labels=tuple(squares.COLOURS)), prompts=Prompts().load(Path()), held_out=None,
        smoke=False, resume_from=None, record=Record(out / "metrics.jsonl", "prefer"), cache=folder / "cache",
    )  # fmt: skip


def test_the_right_text_becomes_likelier_than_the_wrong_one(tmp_path: Path) -> None:
    work = job(tmp_path, pairs=8)
    assert isinstance(work.stage, Dpo)
    with work.record:
        dpo.train(work.stage, work)
    rows = [json.loads(line) for line in (work.out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # ln 2: nothing is preferred yet
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["rewards/margins"] > 0.1
    assert student.fingerprint(work.weights) != student.fingerprint(work.begin)


def test_a_dataset_without_pairs_is_a_line(tmp_path: Path) -> None:
    work = job(tmp_path, pairs=0)
    assert isinstance(work.stage, Dpo)
    with pytest.raises(PipelineError, match="has no pairs of a right and a wrong text"):
        dpo.train(work.stage, work)
