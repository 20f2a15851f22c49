"""Numbers: float32 for what is trained, bfloat16 for what is not; updates that round to nothing are told, and a stage resumes exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cotforge.errors import PipelineError
from cotforge.plan import Plan, Student, plan_notes
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.moved import moved_line
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import newest_whole
from cotforge.train.students import loaded_student, tiny
from cotforge.train.students.precision import Precision, choose_precision
from tests.squares import SIZE, TEXTS, write
from tests.test_train_sft import Ending, learn, metrics, work

FULL, HALF = torch.float32, torch.bfloat16
FAMILIES = {"llava": tiny.make_llava, "idefics3": tiny.make_idefics3, "qwen": tiny.make_qwen}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name, TEXTS, SIZE) for name, make in FAMILIES.items()}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 32), cache=folder / "cache")


def spec(**keys: object) -> Student:
    return Student.model_validate({"model": "m", **keys})


@pytest.mark.parametrize(
    ("dtype", "trl", "gpu", "expected"),
    [
        (None, {}, True, Precision(FULL, HALF, HALF)),
        (None, {}, False, Precision(FULL, FULL)),
        (None, {"bf16": True}, False, Precision(FULL, HALF, HALF)),
        (None, {"bf16": False}, True, Precision(FULL, FULL)),
        (None, {"fp16": True}, True, Precision(FULL, FULL, torch.float16)),
        ("bfloat16", {}, True, Precision(HALF, HALF, HALF)),
        ("bfloat16", {}, False, Precision(HALF, HALF)),
        ("float32", {}, True, Precision(FULL, FULL)),
        ("float32", {"bf16": True}, False, Precision(FULL, FULL, HALF)),
    ],
)
def test_numbers_follow_from_the_device_and_what_the_file_says(
    dtype: str | None, trl: dict[str, bool], gpu: bool, expected: Precision
) -> None:
    assert choose_precision(spec(dtype=dtype), trl, gpu=gpu) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_gpu_trained_parts_are_float32_and_frozen_ones_bfloat16(models: dict[str, Path], family: str) -> None:
    pupil = loaded_student.load_pupil(spec(freeze=["vision"]), models[family], gpu=True)
    kinds = {(loaded_student.part_of_name(name), weight.requires_grad, weight.dtype) for name, weight in pupil.model.named_parameters()}
    assert kinds == {("vision", False, HALF), ("projector", True, FULL), ("language", True, FULL)}


def test_on_a_gpu_the_base_below_adapters_is_bfloat16_and_the_adapters_are_float32(models: dict[str, Path]) -> None:
    pupil = loaded_student.load_pupil(spec(lora={"rank": 2}), models["llava"], gpu=True)
    assert {(weight.requires_grad, weight.dtype) for weight in pupil.model.parameters()} == {(False, HALF), (True, FULL)}


def test_a_student_that_is_asked_has_weights_of_one_type(models: dict[str, Path]) -> None:
    for dtype, kind in ((None, FULL), ("bfloat16", HALF)):
        pupil = loaded_student.for_inference(spec(dtype=dtype, freeze=["vision"], lora={}), models["llava"])
        assert {weight.dtype for weight in pupil.model.parameters()} == {kind}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_numbers_of_a_gpu_train_every_part_and_resume_exactly(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons, family: str
) -> None:
    whole, halves = (
        work(tmp_path / name, models[family], lessons, steps=4, learning_rate=1e-3, trl={"bf16": True}, student={"freeze": ["vision"]})
        for name in ("whole", "halves")
    )
    learn(whole)
    ending = Ending(halves.out / "metrics.jsonl", "inject")
    ending.after = 2
    with pytest.raises(KeyboardInterrupt):
        learn(replace(halves, record=ending))
    left = newest_whole(halves.out / "checkpoints")
    learn(replace(halves, record=MetricsLog(halves.out / "metrics.jsonl", "inject"), resume_from=left))
    assert metrics(halves.out) == metrics(whole.out)
    assert loaded_student.weights_fingerprint(halves.weights) == loaded_student.weights_fingerprint(whole.weights)
    trained = loaded_student.load_pupil(spec(freeze=["vision"]), whole.weights, gpu=True)
    assert not torch.isnan(torch.cat([weight.flatten().float() for weight in trained.model.parameters()])).any()


def test_that_bfloat16_weights_hardly_move_is_told_and_float32_ones_do(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {}
    for dtype in ("bfloat16", "float32"):
        learn(work(tmp_path / dtype, models["llava"], lessons, steps=12, learning_rate=1e-6, student={"dtype": dtype}))
        told[dtype] = " ".join(capsys.readouterr().err.split())
    assert "in the first 10 steps: 16 bits hold no smaller step; leave train.student.dtype out" in told["bfloat16"]
    assert "guard: " not in told["float32"]
    assert "of the trained weights that had a gradient changed in the first 10 steps" in told["float32"]


def test_what_to_do_about_weights_that_stay_depends_on_their_type() -> None:
    assert moved_line(0.995, 10, halves=False) == "99.5% of the trained weights that had a gradient changed in the first 10 steps"
    assert moved_line(0.013, 10, halves=True).endswith(
        "leave train.student.dtype out (float32 under bfloat16 autocast), or raise learning_rate"
    )
    assert moved_line(0.013, 10, halves=False).endswith("steps are tiny, or raise learning_rate")


def test_a_plan_warns_of_bfloat16_weights_that_are_trained_in_full() -> None:
    def plan(**keys: object) -> Plan:
        return Plan.model_validate({"student": {"model": "m", **keys}, "preset": "label-only"})

    assert plan_notes(plan()) == plan_notes(plan(dtype="float32")) == plan_notes(plan(dtype="bfloat16", lora={})) == []
    assert ["dtype: bfloat16 weights lose" in note for note in plan_notes(plan(dtype="bfloat16"))] == [True]


def test_both_kinds_of_autocast_at_once_are_one_line(tmp_path: Path, models: dict[str, Path], lessons: Lessons) -> None:
    with pytest.raises(PipelineError, match="trl: "):
        learn(work(tmp_path, models["llava"], lessons, steps=1, trl={"bf16": True, "fp16": True}))
