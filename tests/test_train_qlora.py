"""Adapters over weights in four bits, with bitsandbytes itself on the CPU: which layers get them, what is trained, what is left."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from cotforge.errors import PipelineError
from cotforge.plan import Student
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.kinds import sft
from cotforge.train.stage_run import drive_trainer
from cotforge.train.students import loaded_student, tiny
from cotforge.train.students.reload import check_saved
from tests.squares import SIZE, TEXTS, write
from tests.test_train_sft import learn, made, metrics, work

FAMILIES = {"llava": tiny.make_llava, "qwen": tiny.make_qwen}
needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes has no wheel for this machine")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name, TEXTS, SIZE) for name, make in FAMILIES.items()}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 16), cache=folder / "cache")


def adapted(pupil: loaded_student.Pupil) -> set[str]:
    return {name.partition(".lora_A")[0] for name, _ in pupil.model.named_parameters() if ".lora_A." in name}


@needs_bitsandbytes
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keys", [{}, {"freeze": ["vision", "projector"]}, {"freeze": ["vision"], "lora": {"targets": ["q_proj"]}}])
def test_the_layers_in_four_bits_that_get_adapters_are_those_that_would_get_them_whole(
    models: dict[str, Path], family: str, keys: dict[str, object]
) -> None:
    def spec(qlora: bool) -> Student:
        return Student.model_validate({"model": "m", "lora": {}, "qlora": qlora, **keys})

    bits, whole = (loaded_student.load_pupil(spec(qlora), models[family], gpu=qlora) for qlora in (True, False))
    assert adapted(bits) == adapted(whole) != set()
    assert "Params4bit" in {type(weight).__name__ for weight in bits.model.parameters()}


@needs_bitsandbytes
def test_a_stage_over_four_bits_learns_and_leaves_whole_weights_and_its_adapters(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons
) -> None:
    job = work(tmp_path, models["llava"], lessons, steps=12, learning_rate=1e-2, student={"lora": {"rank": 8}, "qlora": True})
    pupil = loaded_student.load_pupil(job.plan.student, job.begin, gpu=True)
    prepared = made(tmp_path / "made", pupil, lessons)
    assert isinstance(job.stage, sft.Sft)
    with job.record:
        trainer = sft.SftTrainer(prepared, sft.fitting_lessons(prepared, None), pupil, sft.config_of(job.stage, job, prepared))
        drive_trainer(trainer, job, pupil)
        assert {weight.dtype for weight in pupil.model.parameters() if weight.requires_grad} == {torch.float32}
        check_saved(pupil, job, lessons)
    rows = metrics(tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.2
    again = AutoModelForImageTextToText.from_pretrained(job.weights, dtype="auto")
    assert {weight.dtype for weight in again.parameters()} == {torch.float32}
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(models["llava"])


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft 0.21 asks for it
def test_adapters_are_kept_beside_the_merged_student_and_come_to_the_same(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons
) -> None:
    job = work(tmp_path, models["llava"], lessons, steps=4, learning_rate=1e-2, student={"lora": {"rank": 2}, "freeze": ["vision"]})
    learn(job)
    base = AutoModelForImageTextToText.from_pretrained(models["llava"], dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload().state_dict()
    left = AutoModelForImageTextToText.from_pretrained(job.weights, dtype=torch.float32).state_dict()
    assert merged.keys() == left.keys()
    assert all(torch.equal(merged[name], left[name]) for name in left)
    first = AutoModelForImageTextToText.from_pretrained(models["llava"], dtype=torch.float32).state_dict()
    assert not all(torch.equal(first[name], left[name]) for name in left)


def test_four_bits_without_a_gpu_are_refused(models: dict[str, Path]) -> None:
    with pytest.raises(PipelineError, match=r"qlora: needs a GPU, and PyTorch finds none here"):
        loaded_student.load_pupil(Student(model="m", lora={}, qlora=True), models["llava"], gpu=False)
