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
from tests.experts import text_model
from tests.nursery import Nursery, module
from tests.test_train_killed import has_rows, lasting
from tests.test_train_sharding import ZERO, without_deepspeed

TRAIN = ("train", "squares.yaml", "--out", "run")
STEPS = {"optim": "sgd", "max_grad_norm": 0.0, "lr_scheduler_type": "constant", "save_steps": 3}
"""As long as the gradient: Adam's first ones are as long for the smallest one, and show what was rounded."""
STAGE = {"name": "learn", "kind": "sft", "accumulate": 2, "steps": 11, "learning_rate": 0.03, "trl": STEPS}

Left = tuple[dict[str, torch.Tensor], list[dict[str, Any]]]


def project(folder: Path, batch: int, **prior: Any) -> Path:
    made = squares.project(folder, STAGE | {"batch": batch, "prior": {"expert": "expert", **prior}})
    text_model(made / "expert", made / "student")
    return made


def left(folder: Path) -> Left:
    """Weights and metrics of the stage."""
    stage = folder / "run" / "train" / "01-learn"
    rows = [lasting(json.loads(line)) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    return load_file(stage / "weights" / "model.safetensors"), rows


def trained(nursery: Nursery, folder: Path, *, count: int = 1, **more: str) -> Left:
    done = nursery.train(folder, *TRAIN, count=count, program=module("tests.sharded") if more else "", **more)
    assert done.returncode == 0, done.stderr
    return left(folder)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("begun") / "one", 4)


@pytest.fixture(scope="module")
def undisturbed(begun: Path, nursery: Nursery) -> Left:
    """What one process comes to."""
    return trained(nursery, Path(shutil.copytree(begun, begun.with_name("undisturbed"))))


def compare(one: Left, other: Left, name: str) -> None:
    torch.testing.assert_close(other[0], one[0], atol=1e-6, rtol=0, msg=lambda said: f"{name}: {said}")
    rows = [[{key: value for key, value in row.items() if key.startswith("prior/")} for row in each[1]] for each in (one, other)]
    assert rows[1] == [pytest.approx(row, rel=1e-4, abs=1e-6) for row in rows[0]], name
    assert all({"prior/cosine", "prior/added"} <= row.keys() for row in rows[0])


def test_two_processes_bend_the_gradient_of_both_as_one_does(begun: Path, undisturbed: Left, tmp_path: Path, nursery: Nursery) -> None:
    before = load_file(begun / "student" / "model.safetensors")
    assert sum(float((undisturbed[0][name] - before[name]).abs().max()) > 1e-4 for name in before) > 10
    for name, more in (("ddp", {}), ("fsdp2", sharding.FSDP2)):
        compare(undisturbed, trained(nursery, project(tmp_path / name, 2), count=2, **more), name)


@without_deepspeed
def test_under_deepspeed_gradients_bent_pass_by_pass_add_up_where_the_difference_itself_is_added(tmp_path: Path, nursery: Nursery) -> None:
    prior = {"rule": "absolute", "alpha": 0.1}
    one = trained(nursery, project(tmp_path / "one", 4, **prior))
    two = trained(nursery, project(tmp_path / "two", 2, **prior), count=2, **ZERO)
    torch.testing.assert_close(two[0], one[0], atol=1e-6, rtol=0)
    assert all(row["prior/added"] > 0 for row in two[1])


def test_the_gradients_of_split_adapters_are_bent_as_those_of_whole_ones(begun: Path, nursery: Nursery) -> None:
    done = nursery.train(begun, begun / "student", count=2, program=module("tests.split_adapters"))
    assert done.returncode == 0, done.stderr


def test_killed_in_a_stage_with_a_prior_it_ends_as_if_undisturbed(begun: Path, undisturbed: Left, nursery: Nursery) -> None:
    killed = Path(shutil.copytree(begun, begun.with_name("killed")))
    status, said = nursery.run(killed, *TRAIN, until=partial(has_rows, killed, "01-learn", 5))
    assert status == -9, said
    status, said = nursery.run(killed, *TRAIN)
    assert (status, "goes on from step " in said) == (0, True), said
    (theirs, rows), (ours, others) = undisturbed, left(killed)
    assert others == rows
    assert [name for name in theirs if not torch.equal(theirs[name], ours[name])] == []
    assert [row["step"] for row in rows if "prior/distance" in row] == [1, 11]
