"""`cotforge train` killed in each of its stages, at the worst moments, told to end, and without room: run again, it goes on."""

import json
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from cotforge.train.stage_run import newest_whole
from tests import squares
from tests.nursery import Nursery
from tests.project import ran

TRAIN = ("train", "squares.yaml", "--out", "run")
FORM, RIGHT = {"measure": "well_formed"}, {"measure": "correct"}
GRPO = {"kind": "grpo", "batch": 8, "accumulate": 1, "group": 4, "max_completion": 40, "learning_rate": 2e-4, "trl": {"save_steps": 2}}
STAGES = [
    {
        "name": "inject", "kind": "sft", "batch": 8, "steps": 90, "learning_rate": 1e-2, "trl": {"save_steps": 30},
        "curriculum": {"by": "loss", "how": "review", "every": 4},
    },
    {"name": "format", "steps": 4, "rewards": [FORM], **GRPO},
    {"name": "reason", "steps": 6, "rewards": [FORM, RIGHT], "curriculum": {"by": "reward_variance", "how": "bandit"}, **GRPO},
    {"name": "clip", "steps": 4, "rewards": [FORM, RIGHT], "clip": {"low": 0.02, "high": 0.01}, "updates_per_rollout": 2, **GRPO},
    {"name": "prefer", "kind": "dpo", "batch": 4, "steps": 5, "learning_rate": 1e-3, "trl": {"save_steps": 2}},
    {
        "name": "own", "kind": "dpo", "data": "rollouts", "batch": 2, "steps": 4, "learning_rate": 1e-3, "trl": {"save_steps": 2},
        "rollouts": {"per_sample": 4, "max_completion": 40, "length_ratio": None},
    },
]  # fmt: skip
FOLDERS = [f"{place:02}-{stage['name']}" for place, stage in enumerate(STAGES, 1)]
PASSING = {"seconds", "model", "step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
"""What is of the clock, or names the folder."""
KILLS = [
    ("01-inject/checkpoints/checkpoint-60/trainer_state.json", "goes on from step 30"),  # cut short: the one before is used
    ("eval/.01-inject.json.new", "01 inject"),
    ("02-format/.best.json.new", "02 format"),  # tried, and not known to be: there is none before
    (("03-reason", 3), "goes on from step 2"),
    ("04-clip/.weights.new/config.json", "goes on from step 4"),  # trained to its end, not left yet
    (("05-prefer", 3), "goes on from step 2"),
    ("06-own/rollouts/.00001.parquet.new", "06 own"),  # amid its completions: those of a file are lost
    (("06-own", 3), "goes on from step 2"),
    ("train/.student.new/README.md", "done already"),
]
"""Where it dies: as it opens a file, or (stage, rows of metrics) at any moment after; and what it says when it is run again."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return squares.project(tmp_path / "killed", *STAGES, eval={"split": "test", "best": "accuracy"})


def lasting(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in PASSING and not name.startswith("profiling/")}


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run comes to, by file, from metrics to the bytes of weights."""
    run = folder / "run"
    found: dict[str, Any] = {}
    for stage in FOLDERS:
        place = run / "train" / stage
        found[f"{stage} metrics"] = [lasting(json.loads(line)) for line in (place / "metrics.jsonl").read_text().splitlines()]
        held = json.loads((place / "manifest.json").read_text())
        found[f"{stage} manifest"] = lasting(held | {"last": lasting(held["last"])})
        for file in sorted((place / "completions").glob("*")):
            found[f"{stage} {file.name}"] = pq.read_table(file).to_pylist()
        for file in sorted([*(place / "rollouts").glob("*"), *place.glob("pairs-*")]):
            found[f"{stage} {file.name}"] = file.read_bytes()
        found |= {f"{stage} {file.name}": file.read_bytes() for file in (place / "weights").iterdir()}
    found |= {f"eval {file.name}": lasting(json.loads(file.read_text())) for file in (run / "eval").iterdir()}
    found |= {f"student {file.name}": file.read_bytes() for file in (run / "train" / "student").iterdir()}
    return found


def rows(folder: Path, stage: str) -> int:
    file = folder / "run" / "train" / stage / "metrics.jsonl"
    return file.read_text().count("\n") if file.exists() else 0


def has_rows(folder: Path, stage: str, count: int) -> bool:
    return rows(folder, stage) >= count


def test_killed_in_every_stage_it_ends_as_if_undisturbed(project: Path, tmp_path: Path, nursery: Nursery) -> None:
    whole = Path(shutil.copytree(project, tmp_path / "whole"))
    undisturbed = ran(*TRAIN, cwd=whole)
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = ""
    for place, then in KILLS:
        if isinstance(place, str):
            status, said = nursery.run(project, *TRAIN, dies_at=place)
        else:
            status, said = nursery.run(project, *TRAIN, until=partial(has_rows, project, *place))
        assert (status, expected in said) == (-9, True), f"{place}: {said}"
        expected = then
    status, said = nursery.run(project, *TRAIN)
    assert (status, expected in said) == (0, True), said
    theirs, ours = outcome(whole), outcome(project)
    assert theirs.keys() == ours.keys()
    assert [name for name in theirs if theirs[name] != ours[name]] == []
    weights = [theirs[f"{stage} model.safetensors"] for stage in FOLDERS]
    assert len({*weights, (project / "student" / "model.safetensors").read_bytes()}) == len(FOLDERS) + 1  # each stage taught something
    assert theirs["student model.safetensors"] == weights[-1]
    assert max(row["clip_ratio/region_mean"] for row in theirs["04-clip metrics"]) > 0


def test_told_to_end_it_saves_first(project: Path, nursery: Nursery) -> None:
    status, said = nursery.run(project, *TRAIN, until=partial(has_rows, project, "01-inject", 3), sends=signal.SIGTERM)
    assert status == 130, said
    assert "Traceback" not in said
    left = newest_whole(project / "run" / "train" / "01-inject" / "checkpoints")
    assert left is not None
    assert int(left.name.rpartition("-")[2]) == rows(project, "01-inject") < 90
    assert "Loss on lessons" in (project / "run" / "report.html").read_text()


def test_a_full_disk_is_one_line(project: Path, nursery: Nursery) -> None:
    status, said = nursery.run(project, *TRAIN, largest=150_000)
    assert status == 2, said
    assert said.splitlines()[-1].endswith("the disk is full; make room, then run the same command again: it goes on where it can")
    assert "Traceback" not in said
