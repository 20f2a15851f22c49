"""Students that are split over processes: chosen where memory wants it, trained as whole ones are, and refused where they would not be."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cotforge.errors import PipelineError
from cotforge.plan import Plan
from cotforge.train import sharding
from cotforge.train.students import tiny
from tests import squares
from tests.nursery import Nursery, module

GB = 10**9


@pytest.mark.parametrize(
    ("needed", "held", "processes", "split", "why"),
    [
        (15 * GB, 80 * GB, 2, False, "need 15.0 GB, and a GPU has 80.0 GB: each process holds them whole (DDP)"),
        (64 * GB, 80 * GB, 2, False, "(DDP)"),
        (69 * GB, 80 * GB, 2, True, "need 69.0 GB, and a GPU has 80.0 GB: they are split over 2 processes (FSDP2)"),
        (112 * GB, 80 * GB, 8, True, "split over 8 processes (FSDP2)"),
        (400 * GB, 80 * GB, 2, True, "which may not be enough; freeze more, or use lora"),
    ],
)
def test_a_student_is_split_where_it_does_not_fit_one_gpu(needed: int, held: int, processes: int, split: bool, why: str) -> None:
    found, line = sharding.decide_sharding(needed, held, processes)
    assert found is split
    assert line.endswith(why)


def plan(**student: Any) -> Plan:
    return Plan.model_validate({"student": {"model": "m", **student}, "stages": [{"name": "a", "kind": "sft"}]})


def test_memory_is_counted_from_the_weights_that_are_trained_and_those_that_are_not(tmp_path: Path) -> None:
    begin = tiny.make_llava(tmp_path, squares.TEXTS, squares.SIZE)
    weights = load_file(begin / "model.safetensors")
    every = sum(weight.numel() for weight in weights.values())
    vision = sum(weight.numel() for name, weight in weights.items() if "vision_tower" in name)
    assert vision
    assert sharding.memory_needed(plan(), begin) == 16 * every
    assert sharding.memory_needed(plan(dtype="bfloat16"), begin) == 8 * every
    assert sharding.memory_needed(plan(freeze=["vision"]), begin) == 16 * (every - vision) + 2 * vision
    adapted = sharding.memory_needed(plan(lora={}), begin)
    assert adapted is not None
    assert 2 * every < adapted < 16 * every
    (begin / "config.json").write_text("{}")
    assert sharding.memory_needed(plan(), begin) is None


def test_a_choice_is_set_up_as_accelerate_launch_does_or_refused() -> None:
    environment = {"WORLD_SIZE": "2"}
    assert sharding.choose_sharding(plan(), 1, 80, environment, best=True).endswith("(DDP)")
    assert environment == {"WORLD_SIZE": "2"}
    assert sharding.choose_sharding(plan(), 100, 80, environment, best=False).endswith("(FSDP2)")
    assert sharding.asked_for(environment) == "FSDP"
    sharding.check_sharding(environment)
    assert sharding.choose_sharding(plan(), None, 80, {}, best=True).startswith("how much memory the student needs cannot be told")
    with pytest.raises(PipelineError, match=r"^eval.best: .*; a student that is split is tried after a stage only, leave best out"):
        sharding.choose_sharding(plan(), 100, 80, {"WORLD_SIZE": "2"}, best=True)
    with pytest.raises(PipelineError, match=r"^train.student.qlora: .* 4-bit weights cannot be split"):
        sharding.choose_sharding(plan(qlora=True, lora={}), 100, 80, {"WORLD_SIZE": "2"}, best=False)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "FSDP of version 1 saves no student here; set fsdp_version: 2"),
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP of version 1 saves no student here; set fsdp_version: 2"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, "ZeRO-3 saves no student here; set zero_stage: 2"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": "ds.json"}, "ZeRO-3 saves no student here"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "asks for DeepSpeed, which is not installed; pip install deepspeed"),
    ],
)
def test_what_would_not_be_saved_whole_is_refused_in_a_line(
    told: dict[str, str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ds.json").write_text('{"zero_optimization": {"stage": 3}}')
    sharding.check_sharding({})
    sharding.check_sharding({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"})
    with pytest.raises(PipelineError, match=line) as fault:
        sharding.check_sharding(told)
    assert len(fault.value.faults) == 1


STAGES = [
    {"name": "inject", "kind": "sft", "batch": 4, "steps": 4, "learning_rate": 3e-3, "accumulate": 2},
    {"name": "reason", "kind": "grpo", "batch": 4, "accumulate": 1, "group": 4, "steps": 2, "max_completion": 16, "beta": 0.01,
     "learning_rate": 1e-3, "rewards": [{"measure": "scores.py:varied"}]},
    {"name": "prefer", "kind": "dpo", "batch": 2, "steps": 2, "learning_rate": 1e-3},
]  # fmt: skip


def train(nursery: Nursery, folder: Path, **more: str) -> None:
    """All stages in two processes; with accelerate's variables for FSDP2, where accelerate takes their CPUs for GPUs."""
    words, program = ("train", "squares.yaml", "--out", "run", "--trust"), module("tests.sharded") if more else ""
    done = nursery.train(folder, *words, count=2, program=program, **more)
    assert done.returncode == 0, done.stderr


def weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "run" / "train" / stage / "weights" / "model.safetensors")


ZERO = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2", "DS_ACCELERATOR": "cpu"}
without_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")


@pytest.mark.parametrize("by", [pytest.param(sharding.FSDP2, id="fsdp2"), pytest.param(ZERO, id="zero2", marks=without_deepspeed)])
def test_split_students_learn_what_whole_ones_learn_with_their_head(by: dict[str, str], tmp_path: Path, nursery: Nursery) -> None:
    begun = squares.project(tmp_path / "whole", *STAGES)
    (begun / "scores.py").write_text(squares.VARIED)
    shutil.copytree(begun, tmp_path / "split")
    before = load_file(begun / "student" / "model.safetensors")
    (head,) = [name for name in before if "lm_head" in name]
    train(nursery, tmp_path / "whole")
    train(nursery, tmp_path / "split", **by)
    for stage in ("01-inject", "02-reason", "03-prefer"):
        whole, split = weights(tmp_path / "whole", stage), weights(tmp_path / "split", stage)
        assert (split[head] - before[head]).abs().max() > 5e-4
        torch.testing.assert_close(split, whole, atol=2e-5, rtol=0)
        before = split
