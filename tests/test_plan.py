"""`train:` and `eval:` of the pipeline file: what they say, what they refuse, and what a preset is made of."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded, Pipeline
from cotforge.plan import CLIPS, PRESETS, Eval, Grpo, Plan, Sft, lines
from cotforge.records import Picture, Sample
from cotforge.tree import faults
from tests.project import ran, sees, summary, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

STUDENT = {"model": "some/model"}
REWARDS = [{"measure": "well_formed"}]


def plan(**keys: Any) -> Plan:
    return Plan.model_validate({"student": STUDENT, **keys})


def test_every_preset_expands_to_stages_that_say_what_they_do() -> None:
    told = {name: lines(plan(preset=name)) for name in PRESETS}
    assert told["clgrpo"] == [
        "01 inject: sft, on lessons, 1 epochs, batch 16 x 1",
        "02 format: grpo, on lessons, 100 steps, batch 16 x 8, 1 well_formed, groups of 8",
        "03 reason: grpo, on lessons, 800 steps, batch 16 x 8, 0.2 well_formed + 1 correct, groups of 8",
        "04 clip: grpo, on lessons, 400 steps, batch 16 x 8, 0.2 well_formed + 1 correct, groups of 8, clip -0.2 +0.1, 4 updates",
    ]
    assert told["label-only"] == ["01 labels: sft, on source, 1 epochs, batch 16 x 1"]
    assert [len(stages) for stages in told.values()] == [4, 2, 1, 1]


def test_a_stage_replaces_that_of_the_preset_with_its_name() -> None:
    stages = plan(preset="clgrpo", stages=[{"name": "reason", "kind": "grpo", "steps": 5, "rewards": REWARDS}]).expanded()
    assert [(stage.name, getattr(stage, "steps", 0)) for stage in stages] == [
        ("inject", None),
        ("format", 100),
        ("reason", 5),
        ("clip", 400),
    ]


def test_a_clip_may_be_one_of_the_two_readings() -> None:
    for name, numbers in CLIPS.items():
        (stage,) = plan(stages=[{"name": "a", "kind": "grpo", "rewards": REWARDS, "clip": name, "updates_per_rollout": 2}]).expanded()
        assert isinstance(stage, Grpo)
        assert stage.clip is not None
        assert stage.clip.model_dump() == numbers


@pytest.mark.parametrize(
    ("train", "line"),
    [
        ({}, "train.student: is missing"),
        ({"student": STUDENT}, "train: stages: there is none; give at least one, or a preset: clgrpo, long-cot, label-only, answer-rl"),
        ({"student": STUDENT | {"modell": "x"}, "preset": "clgrpo"}, "train.student: no key named 'modell'; did you mean 'model'?"),
        ({"student": STUDENT | {"qlora": True}, "preset": "clgrpo"}, "train.student: qlora: needs lora; add lora: {}"),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "sft", "stepps": 3}]},
            "train.stages[0]: no key named 'stepps'; did you mean 'steps'?",
        ),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "sft", "trl": {"max_length": 10}}]},
            "train.stages[0].trl: 'max_length' is set by cotforge itself; leave it out",
        ),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "sft", "steps": 3, "epochs": 1}]},
            "train.stages[0]: epochs, steps: both are given; give one of them",
        ),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "grpo", "rewards": [{"measure": "corect"}]}]},
            "train.stages[0].rewards[0].measure: no measure named 'corect'; did you mean 'correct'?",
        ),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "grpo", "rewards": REWARDS, "clip": "low"}]},
            "train.stages[0].clip: no clip named 'low'; there are cliplow-upper, cliplow-lower, or {low: ..., high: ...}",
        ),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "grpo", "rewards": REWARDS, "clip": {"low": 0.1}}]},
            "train.stages[0]: clip: cannot act while every completion is used for one step only; set updates_per_rollout to 2 or more",
        ),
        (
            {"student": STUDENT, "preset": "label-only", "stages": [{"name": "a", "kind": "eval"}]},
            "train: stages: 'a' is no stage of the preset 'label-only', whose stages are labels",
        ),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "eval"}, {"name": "a", "kind": "eval"}]},
            "train: stages: two are named 'a'; every stage needs a name of its own",
        ),
    ],
)
def test_what_is_wrong_is_one_line_at_its_place(tmp_path: Path, train: dict[str, Any], line: str) -> None:
    path = write_pipeline(tmp_path, {"name": "one", "model": "m", "url": "http://localhost:1/v1"}, train=train)
    with pytest.raises(PipelineError) as error:
        Loaded.load(path)
    assert error.value.faults == (f"{path}: {line}",)


def test_eval_holds_out_one_way() -> None:
    for given, line in (
        ({"split": "test", "share": 0.1}, "eval: split, share: give one of them"),
        ({"splt": "test"}, "eval: no key named 'splt'; did you mean 'split'?"),
    ):
        with pytest.raises(ValidationError) as error:
            Pipeline.model_validate({"name": "x", "eval": given})
        assert line in faults(error.value, Pipeline, {"name": "x", "eval": given})


def test_a_share_is_held_out_by_the_pictures_alone() -> None:
    samples = [pictured(str(number), sha256(str(number).encode()).hexdigest()) for number in range(2_000)]
    held = [sample for sample in samples if Eval(share=0.1).holds(sample)]
    assert 150 < len(held) < 250
    assert all(Eval(share=0.3).holds(pictured("another id", sample.pictures[0].digest)) for sample in held)
    assert not any(Eval(split="test").holds(sample) for sample in samples)


def pictured(id: str, digest: str) -> Sample:
    return Sample(id, (Picture(digest, "image/png", 1, 1, 1, bytes),), "?")


def test_paths_of_the_plan_are_kept_absolute(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "own.py").write_text("def long(sample, trace, verdict):\n    return 1.0\n")
    stage = {"name": "a", "kind": "grpo", "rewards": [{"measure": "own.py:long"}]}
    path = write_pipeline(
        tmp_path, {"name": "one", "model": "m", "url": "http://localhost:1/v1"}, train={"student": {"model": "student"}, "stages": [stage]}
    )
    text = Loaded.load(path).text()
    assert f"model: {tmp_path / 'student'}" in text
    assert f"measure: {tmp_path / 'own.py'}:long" in text


def test_a_stage_that_is_read_back_is_the_same() -> None:
    whole = plan(preset="long-cot")
    again = [stage.model_dump(mode="json", by_alias=True) for stage in whole.expanded()]
    assert plan(stages=again).expanded() == whole.expanded()
    assert isinstance(whole.expanded()[0], Sft)


def test_check_shows_the_stages_and_nobody_is_asked_about_what_is_held_out(tmp_path: Path) -> None:
    write_rows(tmp_path, 40)
    with Teacher(sees) as server:
        write_pipeline(tmp_path, teacher(server), train={"student": STUDENT, "preset": "label-only"}, eval={"share": 0.3})
        checked = ran("check", "pipeline.yaml", cwd=tmp_path)
        assert checked.stdout.splitlines()[-2:] == ["train:", "  01 labels: sft, on source, 1 epochs, batch 16 x 1"]
        built = ran("build", "pipeline.yaml", cwd=tmp_path)
    assert built.returncode == 0
    asked = summary(tmp_path / "runs" / "feelings")["samples"]
    assert 20 < asked < 36
    held = [
        picture
        for picture in (tmp_path / "images").iterdir()
        if Eval(share=0.3).holds(pictured("x", sha256(picture.read_bytes()).hexdigest()))
    ]
    assert asked == 40 - len(held)
