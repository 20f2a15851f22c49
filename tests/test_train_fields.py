"""Fields of TRL's under `trl:` work or are one line; attention and learning rates of parts are keys of a stage."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from transformers import AutoModelForImageTextToText

from cotforge.errors import PipelineError
from cotforge.plan import Plan, Sft
from cotforge.plan.trl_fields import REFUSED
from cotforge.train.command import run_training
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.fields import lacking_parts
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import newest_whole
from cotforge.train.students import loaded_student, tiny
from cotforge.train.students.shape import attention_fault
from tests.squares import SIZE, TEXTS, project, write
from tests.test_train_sft import Ending, learn, metrics, work


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("models") / "llava", TEXTS, SIZE)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 16), cache=folder / "cache")


def plan(stage: dict[str, Any], **student: Any) -> Plan:
    return Plan.model_validate({"student": {"model": "m", **student}, "stages": [{"name": "inject", "kind": "sft", **stage}]})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("packing", True, "batches of pictures cannot be packed"),
        ("padding_free", True, "batches of pictures cannot be packed"),
        ("eval_strategy", "steps", "eval: of the pipeline file says what the student is tried on"),
        ("load_best_model_at_end", True, "eval.best chooses a checkpoint"),
        ("assistant_only_loss", True, "the completion alone is learned already"),
        ("completion_only_loss", False, "the completion alone is learned"),
        ("push_to_hub", True, "upload train/student"),
        ("model_init_kwargs", {"attn_implementation": "sdpa"}, "attention of the stage and dtype of train.student say how"),
        ("torch_compile", True, "each would be compiled anew"),
        ("deepspeed", "zero2.json", "--launch 'accelerate launch"),
        ("auto_find_batch_size", True, "set batch and accumulate"),
        ("save_only_model", True, "could not be resumed"),
        ("output_dir", "x", "is set by cotforge itself"),
    ],
)
def test_a_field_that_cannot_work_is_refused_with_the_file(field: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        plan({"trl": {field: value}})


def test_a_refused_field_at_its_default_is_no_fault() -> None:
    plan({"trl": {"packing": False, "eval_strategy": "no", "push_to_hub": False, "torch_compile": False, "model_init_kwargs": None}})
    assert all(len(reason) < 140 for _, reason in REFUSED.values())


def test_what_the_machine_lacks_is_told_before_a_trainer_is_made() -> None:
    assert str(lacking_parts({"activation_offloading": True}, gpu=False)).startswith("activation_offloading: needs a GPU")
    assert str(lacking_parts({"use_liger_kernel": True}, gpu=True)).endswith("pip install liger-kernel")
    assert lacking_parts({"optim": "adafactor", "warmup_steps": 0.1}, gpu=False) is None


@pytest.mark.parametrize("trl", [{"optim": "galore_adamw"}, {"optim": "nonsense"}, {"lr_scheduler_type": "reduce_lr_on_plateau"}])
def test_what_trl_says_before_its_first_step_is_one_line(tmp_path: Path, model: Path, lessons: Lessons, trl: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match=r"train.stages: 'inject': trl: ") as fault:
        learn(work(tmp_path, model, lessons, steps=2, trl=trl))
    assert len(fault.value.faults) == 1


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_computed_as_a_stage_says(model: Path, attention: str) -> None:
    spec = plan({}).student
    assert loaded_student.load_pupil(spec, model, attention=attention).model.config.get_text_config()._attn_implementation == attention
    assert attention_fault(model, attention, gpu=False) is None


def test_attention_that_is_not_there_is_one_line_before_anything_is_trained(tmp_path: Path, model: Path) -> None:
    stages = [{"name": "inject", "kind": "sft", "steps": 1}, {"name": "again", "kind": "sft", "attention": "flash_attention_2"}]
    folder = project(tmp_path, *stages)
    with pytest.raises(PipelineError, match=r"train.stages: 'again': attention: 'flash_attention_2' trains on a GPU only"):
        run_training(str(folder / "squares.yaml"), out=folder / "run", tell=lambda line: None)
    assert not (folder / "run" / "train" / "01-inject").exists()
    assert "needs the package flash_attn," in str(attention_fault(model, "flash_attention_2", gpu=True))


RATES = {"vision": 1e-5, "language": 1e-3}


def test_each_part_learns_at_its_own_rate_and_resumes_exactly(tmp_path: Path, model: Path, lessons: Lessons) -> None:
    trl = {"lr_scheduler_type": "constant", "weight_decay": 0.0}
    whole, halves = (work(tmp_path / name, model, lessons, steps=4, learning_rate=RATES, trl=trl) for name in ("whole", "halves"))
    learn(whole)
    first, now = (AutoModelForImageTextToText.from_pretrained(folder).state_dict() for folder in (model, whole.weights))
    moved = {"vision": 0.0, "projector": 0.0, "language": 0.0}
    for name in first:
        moved[loaded_student.part_of_name(name)] = max(
            moved[loaded_student.part_of_name(name)], float((now[name] - first[name]).abs().max())
        )
    assert 1e-5 < moved["vision"] < 6e-5
    assert 2e-5 < moved["projector"] < 12e-5  # that of sft, 2e-5
    assert 1e-3 < moved["language"] < 6e-3
    ending = Ending(halves.out / "metrics.jsonl", "inject")
    ending.after = 2
    with pytest.raises(KeyboardInterrupt):
        learn(replace(halves, record=ending))
    left = newest_whole(halves.out / "checkpoints")
    learn(replace(halves, record=MetricsLog(halves.out / "metrics.jsonl", "inject"), resume_from=left))
    assert metrics(halves.out) == metrics(whole.out)
    assert loaded_student.weights_fingerprint(halves.weights) == loaded_student.weights_fingerprint(whole.weights)


def test_a_rate_for_a_frozen_part_or_one_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"vision: this part is frozen"):
        plan({"learning_rate": RATES}, freeze=["vision"])
    plan({"learning_rate": {"language": 1e-4}}, freeze=["vision"])
    for wrong in (0, -1e-5, {"vision": 0}, {"eyes": 1e-3}):
        with pytest.raises(ValidationError):
            plan({"learning_rate": wrong})


def test_a_single_rate_may_be_a_whole_number() -> None:
    found = plan({"learning_rate": 1}).stages[0]
    assert isinstance(found, Sft)
    assert found.learning_rate == 1.0
    assert isinstance(found.learning_rate, float)
