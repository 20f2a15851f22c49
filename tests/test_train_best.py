"""`eval.best`: of a stage's checkpoints, the one that does best on what is held out is what the stage leaves."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests import squares
from tests.project import ran

INJECT = {"name": "inject", "kind": "sft", "batch": 8, "steps": 80, "learning_rate": 1e-2, "trl": {"lr_scheduler_type": "constant"}}
WORSE = {
    "name": "worse", "kind": "sft", "batch": 8, "steps": 15, "trl": {"save_steps": 5, "lr_scheduler_type": "linear", "warmup_steps": 15},
}  # fmt: skip
"""Learns faster and faster, until nothing is left of what it knew."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose student knows all squares."""
    folder = squares.project(tmp_path_factory.mktemp("knowing") / "p", INJECT)
    done = ran("train", "squares.yaml", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder / "student")
    (folder / "run" / "train" / "student").rename(folder / "student")
    shutil.rmtree(folder / "run" / "train")
    return folder


@pytest.mark.parametrize(("student", "rate"), [({}, 0.06), ({"lora": {"rank": 8}}, 0.1)])
def test_the_best_checkpoint_is_what_a_stage_leaves(knowing: Path, tmp_path: Path, student: dict[str, Any], rate: float) -> None:
    folder = Path(shutil.copytree(knowing, tmp_path / "p"))
    whole = yaml.safe_load((folder / "squares.yaml").read_text())
    whole["train"] = {"student": {"model": "student", **student}, "stages": [WORSE | {"learning_rate": rate}]}
    whole["eval"] = {"split": "test", "best": "accuracy"}
    (folder / "squares.yaml").write_text(yaml.safe_dump(whole))
    done = ran("train", "squares.yaml", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    best = read(folder / "run" / "train" / "01-worse" / "manifest.json")["best"]
    assert [*best["tried"]] == ["5", "10", "15"]
    assert best["figure"] == best["tried"][str(best["step"])] == max(best["tried"].values()) > best["tried"]["15"]
    assert f"of 3 checkpoints that of step {best['step']} is the best by accuracy, {best['figure']:.3f}" in done.stderr
    assert read(folder / "run" / "eval" / "01-worse.json")["accuracy"] == best["figure"]
    assert "these figures flatter the student" in (folder / "run" / "train" / "student" / "README.md").read_text()


def test_what_cannot_be_chosen_by_is_said_before(knowing: Path) -> None:
    for task, trl, line in (
        ({"kind": "answer", "question": "Which?"}, {}, "eval.best: macro_recall needs a task of kind classify; take accuracy"),
        (None, {"save_strategy": "no"}, "eval.best: there is no checkpoint to choose from; leave save_strategy out of trl:"),
    ):
        whole = yaml.safe_load((knowing / "squares.yaml").read_text())
        whole |= {"eval": {"split": "test", "best": "macro_recall"}} | ({"task": task} if task else {})
        whole["train"]["stages"] = [WORSE | {"trl": trl}]
        (knowing / "wrong.yaml").write_text(yaml.safe_dump(whole))
        done = ran("train", "wrong.yaml", "--out", "run", cwd=knowing)
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines()[-1].endswith(line)
