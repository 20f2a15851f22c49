"""What a stage will need is estimated from the student's configuration and a sample of its lessons; the sizes are the real ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cotforge.plan import Dpo, Grpo, Lora, Sft, Student
from cotforge.train.data.extent import extent_of
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.footprint import footprint_line, matrix_rate, stage_footprint
from cotforge.train.students import loaded_student, processors, tiny
from cotforge.train.students.precision import choose_precision
from cotforge.train.students.shape import ModelShape, shape_of
from tests.squares import SIZE, TEXTS, write
from tests.test_train_sft import learn, made, work

FAMILIES = {"llava": tiny.make_llava, "idefics3": tiny.make_idefics3, "qwen": tiny.make_qwen}
STAGE = Sft.model_validate({"name": "a", "kind": "sft", "batch": 8})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name, TEXTS, SIZE) for name, make in FAMILIES.items()}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 32, thoughts=["Hot. " * times for times in range(12)]), cache=folder / "cache")


def shape(folder: Path) -> ModelShape:
    found = shape_of(folder)
    assert found is not None
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "keys", [{}, {"freeze": ["vision"]}, {"lora": {"rank": 4}}, {"lora": {"targets": ["q_proj"]}, "freeze": ["vision"]}]
)
def test_trained_parameters_are_counted_without_loading_a_weight(models: dict[str, Path], family: str, keys: dict[str, object]) -> None:
    spec = Student.model_validate({"model": "m", **keys})
    pupil = loaded_student.load_pupil(spec, models[family])
    real = sum(weight.numel() for weight in pupil.model.parameters() if weight.requires_grad)
    assert sum(shape(models[family]).trained(spec.freeze, spec.lora).values()) == real


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_lesson_of_the_sample_is_the_longest_of_all(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons, family: str
) -> None:
    extent = extent_of(lessons, processors.load_processor(models[family]), texts=("completion",), patch=shape(models[family]).patch)
    lengths = made(tmp_path, loaded_student.load_pupil(Student(model="m"), models[family]), lessons).lengths
    assert extent is not None
    assert (extent.count, extent.longest) == (32, max(lengths))
    assert extent.mean == pytest.approx(sum(lengths) / 32, rel=0.02)
    assert extent.patches > 0


def test_the_disk_of_a_stage_is_what_it_leaves_and_three_checkpoints(tmp_path: Path, models: dict[str, Path], lessons: Lessons) -> None:
    job = work(tmp_path, models["llava"], lessons, steps=1)
    learn(job)
    extent = extent_of(lessons, processors.load_processor(models["llava"]), texts=("completion",), patch=8)
    assert extent is not None
    found = stage_footprint(
        shape(models["llava"]), job.plan.student, STAGE, extent, choose_precision(job.plan.student, gpu=False), checkpointing=False, steps=1
    )
    left = (job.weights / "model.safetensors").stat().st_size
    assert found.weights == pytest.approx(left, rel=0.05)
    assert found.disk == pytest.approx(10 * left, rel=0.05)  # each checkpoint has two moments beside the weights


def test_a_stage_needs_more_with_a_larger_batch_and_less_with_what_saves_memory(models: dict[str, Path], lessons: Lessons) -> None:
    known = shape(models["llava"])
    extent = extent_of(lessons, processors.load_processor(models["llava"]), texts=("completion",), patch=8)
    assert extent is not None

    def memory(spec: Student | None = None, stage: Sft | Grpo | Dpo = STAGE, *, gpu: bool = False, checkpointing: bool = False) -> float:
        spec = spec or Student(model="m")
        return stage_footprint(known, spec, stage, extent, choose_precision(spec, gpu=gpu), checkpointing=checkpointing, steps=1).memory

    assert memory(stage=STAGE.model_copy(update={"batch": 16})) > memory()
    assert memory(checkpointing=True) < memory()
    assert memory(Student(model="m", freeze=("vision",))) < memory()
    assert memory(Student(model="m", lora=Lora(rank=2))) < memory()
    assert memory(Student(model="m", dtype="bfloat16"), gpu=True) < memory(gpu=True)
    assert memory(stage=STAGE.model_copy(update={"trl": {"optim": "sgd"}})) < memory()
    rollouts = Grpo.model_validate({"name": "b", "kind": "grpo", "batch": 8, "rewards": [{"measure": "correct"}], "max_completion": 8})
    assert memory(stage=rollouts.model_copy(update={"beta": 0.1})) > memory(stage=rollouts)
    pairs = Dpo.model_validate({"name": "c", "kind": "dpo", "batch": 8})
    own = pairs.model_copy(update={"data": "rollouts"})
    assert memory(stage=own) > memory(stage=pairs)  # its completions may be longer than any text that is there


def test_the_line_tells_memory_disk_and_time_or_that_it_is_unknown(models: dict[str, Path], lessons: Lessons) -> None:
    extent = extent_of(lessons, processors.load_processor(models["llava"]), texts=("completion",), patch=8)
    assert extent is not None
    spec = Student(model="m")
    found = replace(
        stage_footprint(shape(models["llava"]), spec, STAGE, extent, choose_precision(spec, gpu=True), checkpointing=True, steps=100),
        flops=7.2e15,
    )
    told = footprint_line(found, batch="8 x 50 tokens", rate=1e12)
    assert told.startswith("estimate: memory ")
    assert told.endswith("time 5.0 h at 40% of the 1 TFLOP/s of this device")
    assert footprint_line(found, batch="8 x 50 tokens", rate=None).endswith("time unknown: it depends on how long completions get")
    assert matrix_rate(torch.device("cpu"), torch.float32, seconds=0.01) > 1e7


def test_a_folder_that_is_no_student_has_no_estimate(tmp_path: Path) -> None:
    assert shape_of(tmp_path) is None
