"""A stage with a `prior:` in several processes (DDP, FSDP2) comes to what one process comes to; killed, it ends as if undisturbed."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cotforge.train import sharding
from tests import squares
from tests.experts import expert
from tests.nursery import Nursery, module
from tests.test_train_killed import has_rows, lasting

TRAIN = ("train", "squares.yaml", "--out", "run")
SGD = {"optim": "sgd", "max_grad_norm": 0.0, "lr_scheduler_type": "constant"}
"""Of steps as long as the gradient: Adam's first ones are as long for the smallest one, and show what was rounded."""
STAGE = {"name": "learn", "kind": "sft", "accumulate": 2, "steps": 2, "learning_rate": 0.1, "prior": {"expert": "expert"}, "trl": SGD}


def project(folder: Path, stage: dict[str, Any], student: dict[str, Any] | None = None) -> Path:
    made = squares.project(folder, stage, student=student)
    expert(made / "expert", made / "student")
    return made


def left(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """Weights and metrics of the stage."""
    stage = folder / "run" / "train" / "01-learn"
    rows = [lasting(json.loads(line)) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    return load_file(stage / "weights" / "model.safetensors"), rows


def trained(nursery: Nursery, folder: Path, *, count: int = 1, **more: str) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    done = nursery.train(folder, *TRAIN, count=count, program=module("tests.sharded") if more else "", **more)
    assert done.returncode == 0, done.stderr
    return left(folder)


@pytest.mark.parametrize("student", [{}, {"lora": {"rank": 2}, "freeze": ["vision"]}], ids=["whole", "lora"])
def test_two_processes_bend_the_gradient_of_both_as_one_does(student: dict[str, Any], tmp_path: Path, nursery: Nursery) -> None:
    ways: dict[str, dict[str, Any]] = {"fsdp2": {"count": 2, **sharding.FSDP2}}
    ways |= {} if student else {"ddp": {"count": 2}}
    one = project(tmp_path / "one", STAGE | {"batch": 4}, student)
    whole, rows = trained(nursery, one)
    for name, way in ways.items():
        split, others = trained(nursery, project(tmp_path / name, STAGE | {"batch": 2}, student), **way)
        torch.testing.assert_close(split, whole, atol=1e-6, rtol=0, msg=lambda said, name=name: f"{name}: {said}")
        for row, other in zip(rows, others, strict=True):
            for key in ("prior/cosine", "prior/added", "prior/distance"):
                assert other.get(key) == pytest.approx(row.get(key), rel=1e-4, abs=1e-6), (name, key)
    begin = load_file(one / "student" / "model.safetensors")
    assert sum(float((whole[name] - begin[name]).abs().max()) > 1e-4 for name in begin) > 10


def test_killed_in_a_stage_with_a_prior_it_ends_as_if_undisturbed(tmp_path: Path, nursery: Nursery) -> None:
    stage = STAGE | {"batch": 4, "accumulate": 1, "steps": 13, "learning_rate": 1e-3, "trl": {"save_steps": 3}}
    folder = project(tmp_path / "killed", stage)
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    undisturbed = trained(nursery, whole)
    status, said = nursery.run(folder, *TRAIN, until=partial(has_rows, folder, "01-learn", 5))
    assert status == -9, said
    status, said = nursery.run(folder, *TRAIN)
    assert (status, "goes on from step " in said) == (0, True), said
    (theirs, rows), (ours, others) = undisturbed, left(folder)
    assert others == rows
    assert [name for name in theirs if not torch.equal(theirs[name], ours[name])] == []
    assert sum("prior/distance" in row for row in rows) == 2
