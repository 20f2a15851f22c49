"""Preference: of a right and a wrong text about a picture, the right one becomes likelier."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.plan import Dpo, Plan
from cotforge.prompts import Prompts
from cotforge.train.data.lessons import find_lessons
from cotforge.train.kinds import dpo
from cotforge.train.report.record import MetricsLog
from cotforge.train.rollouts.own_pairs import own_pairs
from cotforge.train.stage_run import StageRun, replaced_folder
from cotforge.train.students import loaded_student, tiny
from tests import squares

TASK = Task(kind="classify", question="?", labels=tuple(squares.COLOURS))


def job(folder: Path, *, pairs: int, model: Path | None = None, student: dict[str, Any] | None = None, **keys: Any) -> StageRun:
    """A student that knows nothing yet, unless another is given, and lessons, of which so many have a wrong text beside the right one."""
    folder.mkdir(exist_ok=True)
    begin = model or tiny.make_llava(folder / "begin", squares.TEXTS, squares.SIZE)
    dataset = squares.write(folder / "dataset", 8)
    if pairs:
        squares.prefer(dataset, pairs)
    return work_in(folder, begin, dataset, student=student, **keys)


def work_in(folder: Path, begin: Path, dataset: Path, *, student: dict[str, Any] | None = None, **keys: Any) -> StageRun:
    """A stage of kind dpo on a dataset, in `folder / "stage"`."""
    fields = {"name": "prefer", "kind": "dpo", "steps": 6, "batch": 4, "learning_rate": 1e-3} | keys
    plan = Plan.model_validate({"student": {"model": str(begin), **(student or {})}, "stages": [fields]})
    lessons = find_lessons(dataset, cache=folder / "cache")
    out = folder / "stage"
    out.mkdir(parents=True, exist_ok=True)
    return StageRun(
        plan=plan, stage=plan.stages[0], begin=begin, out=out, lessons=lambda: lessons, source=lambda: lessons, task=TASK,
        prompts=Prompts().load(Path()), held_out=None, smoke=False, resume_from=None, record=MetricsLog(out / "metrics.jsonl", "prefer"),
        cache=folder / "cache",
    )  # fmt: skip


def train(work: StageRun) -> list[dict[str, Any]]:
    """Its metrics."""
    assert isinstance(work.stage, Dpo)
    with work.record:
        dpo.train(work.stage, work)
    return [json.loads(line) for line in (work.out / "metrics.jsonl").read_text().splitlines()]


def test_the_right_text_becomes_likelier_than_the_wrong_one(tmp_path: Path) -> None:
    work = job(tmp_path, pairs=8)
    rows = train(work)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # ln 2: nothing is preferred yet
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["rewards/margins"] > 0.1
    assert loaded_student.weights_fingerprint(work.weights) != loaded_student.weights_fingerprint(work.begin)


def test_a_dataset_without_pairs_is_a_line(tmp_path: Path) -> None:
    work = job(tmp_path, pairs=0)
    with pytest.raises(PipelineError, match="has no pairs of a right and a wrong text"):
        train(work)


def test_a_stage_trains_the_vision_tower_that_the_plan_freezes(tmp_path: Path) -> None:
    stage = {"freeze": ["language"], "learning_rate": {"vision": 1e-3, "projector": 1e-2}, "steps": 2}
    work = job(tmp_path, pairs=8, student={"freeze": ["vision", "projector"]}, **stage)
    train(work)
    before, after = (load_file(folder / "model.safetensors") for folder in (work.begin, work.weights))
    changed = {loaded_student.part_of_name(name) for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed == {"vision", "projector"}


# on the student's own completions

OWN = {
    "data": "rollouts",
    "steps": 3,
    "batch": 2,
    "rollouts": {"per_sample": 6, "temperature": 1.2, "max_completion": 60, "length_ratio": 3},
}


def own(work: StageRun) -> list[dict[str, Any]]:
    """The pairs of a stage, as rows."""
    assert isinstance(work.stage, Dpo)
    return list(own_pairs(work.stage, work).rows())


def completions(work: StageRun) -> list[dict[str, Any]]:
    return [row for file in sorted((work.out / "rollouts").iterdir()) for row in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def sampled(vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> StageRun:
    """A student that tells colours, and its completions at a temperature at which it errs."""
    work = job(tmp_path_factory.mktemp("own") / "p", pairs=0, model=vlm, **OWN)
    own(work)
    return work


def test_a_right_completion_is_preferred_to_a_wrong_one_of_the_same_sample(sampled: StageRun) -> None:
    rows, said = own(sampled), completions(sampled)
    assert [(row["row"], row["number"]) for row in said] == [(place, number) for place in range(8) for number in range(6)]
    assert 2 <= len(rows) <= 8
    colours = [*squares.COLOURS] * 2
    for row in rows:
        place = int(row["id"].removeprefix("row-"))
        mine = {each["said"]: each for each in said if each["row"] == place and each["finish_reason"] == "stop"}
        chosen, rejected = (mine[row[name][0]["content"]] for name in ("chosen", "rejected"))
        assert (chosen["answer"], chosen["reward"], rejected["reward"]) == (colours[place], 1, 0)
        assert rejected["answer"] != colours[place]
        assert chosen["tokens"] <= 3 * rejected["tokens"] <= 9 * chosen["tokens"]
        assert row["prompt"] == [{"role": "user", "content": squares.PROMPT}]
        assert row["images"][0]["bytes"] == squares.square(colours[place], 20 + place % 5)
    assert len({row["id"] for row in rows}) == len(rows)


def test_what_is_there_is_not_made_again_and_what_is_lost_is_made_the_same(sampled: StageRun, tmp_path: Path) -> None:
    files = sorted((sampled.out / "rollouts").iterdir())
    assert [file.name for file in files] == ["00000.parquet", "00001.parquet"]
    held, made = [file.read_bytes() for file in files], [file.stat().st_ino for file in files]
    rows = own(sampled)
    files[1].unlink()
    assert own(sampled) == rows
    assert [file.read_bytes() for file in files] == held
    assert files[0].stat().st_ino == made[0]

    other = {"pairs_per_sample": 3, "margin": 1.0}
    again = replace(sampled, stage=Dpo.model_validate({"name": "prefer", "kind": "dpo", **OWN, "rollouts": OWN["rollouts"] | other}))
    out = tmp_path / "again"
    shutil.copytree(sampled.out, replaced_folder(out))
    again = replace(again, out=out)
    assert len(own(again)) > len(rows)  # of the completions of the stage that it replaces
    assert [file.stat().st_ino for file in sorted((out / "rollouts").iterdir())] == [
        file.stat().st_ino for file in sorted((replaced_folder(out) / "rollouts").iterdir())
    ]


def test_a_stage_learns_from_its_own_pairs(sampled: StageRun) -> None:
    rows = train(sampled)
    assert rows[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert loaded_student.weights_fingerprint(sampled.weights) != loaded_student.weights_fingerprint(sampled.begin)


def test_only_the_machinery_is_tried_where_there_may_be_no_pair(tmp_path: Path) -> None:
    work = replace(job(tmp_path, pairs=0, **OWN), smoke=True)
    assert len(train(work)) == 2


def test_where_nothing_can_be_paired_it_is_one_line_before_the_first_step(tmp_path: Path) -> None:
    made = {"per_sample": 2, "max_completion": 3, "at_most": 3}
    with pytest.raises(PipelineError) as caught:
        train(job(tmp_path, pairs=0, data="rollouts", rollouts=made))
    (line,) = caught.value.faults
    assert re.fullmatch(
        "stage 'prefer': rollouts: 6 completions of 3 samples, mean reward 0.000, 6 cut off; 0 pairs of 0 samples; without a pair: "
        "3 fewer than two whole completions; raise rollouts.max_completion, or have the student learn to end before this stage", line
    )  # fmt: skip
