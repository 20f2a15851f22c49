"""`train:` and `eval:` of the pipeline file: what they say, what they refuse, and what a preset is made of."""

from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded, Pipeline
from cotforge.plan import CLIPS, PRESETS, Eval, Grpo, Plan, Sft, TrlStage, plan_lines
from cotforge.plan.branches import stage_branch, stage_parents
from cotforge.plan.stage import HARMLESS
from cotforge.records import Picture, Sample
from cotforge.tree import pydantic_faults
from tests.project import ran, sees, summary, teacher, write_pipeline, write_rows
from tests.teacher import Teacher

STUDENT = {"model": "some/model"}
REWARDS = [{"measure": "well_formed"}]


A, B = ({"name": name, "kind": "sft"} for name in ("alpha", "beta"))


def plan(**keys: Any) -> Plan:
    return Plan.model_validate({"student": STUDENT, **keys})


def test_every_preset_expands_to_stages_that_say_what_they_do() -> None:
    told = {name: plan_lines(plan(preset=name)) for name in PRESETS}
    assert told["clgrpo"] == [
        "01 inject: sft, on lessons, 1 epochs, batch 16 x 1",
        "02 format: grpo, on lessons, 100 steps, batch 16 x 8, 1 well_formed, groups of 8",
        "03 reason: grpo, on lessons, 800 steps, batch 16 x 8, 0.167 well_formed + 0.833 correct, groups of 8",
        "04 clip: grpo, on lessons, 400 steps, batch 16 x 8, 0.167 well_formed + 0.833 correct, groups of 8, clip -0.2 +0.1, 4 updates",
    ]
    assert told["label-only"] == ["01 labels: sft, on source, 1 epochs, batch 16 x 1"]
    assert [len(stages) for stages in told.values()] == [4, 2, 1, 1]


def test_a_stage_begins_with_what_is_before_it_or_with_what_it_names_and_the_line_says_so() -> None:
    tree = plan(
        stages=[
            A,
            {"name": "check", "kind": "eval"},
            B,
            {"name": "gamma", "kind": "sft", "from": "alpha"},
            {"name": "early", "kind": "eval", "from": "base"},
            {"name": "delta", "kind": "sft"},
            {"name": "omega", "kind": "sft", "from": "delta"},
        ]
    )
    stages = tree.expanded()
    assert {name: stage and stage.name for name, stage in stage_parents(stages).items()} == {
        "alpha": None, "check": "alpha", "beta": "alpha", "gamma": "alpha", "early": None, "delta": "gamma", "omega": "delta",
    }  # fmt: skip
    assert stage_branch(stages, "gamma") == {"gamma", "delta", "omega"}
    assert stage_branch(stages, "early") == {"early"}
    assert stage_branch(stages, "alpha") == {"alpha", "check", "beta", "gamma", "delta", "omega"}
    assert [line.partition(":")[2].split(", ")[1] for line in plan_lines(tree) if "from" in line] == ["from alpha", "from base"]
    assert plan_lines(tree)[3:5] == ["04 gamma: sft, from alpha, on lessons, 1 epochs, batch 16 x 1", "05 early: eval, from base"]
    again = [stage.model_dump(mode="json", by_alias=True) for stage in stages]
    assert plan(stages=again) == tree


def test_what_cannot_change_the_weights_is_no_part_of_a_stage_s_key() -> None:
    def key(kind: str = "sft", **fields: Any) -> dict[str, Any]:
        (stage,) = plan(stages=[{"name": "a", "kind": kind, **fields}]).expanded()
        return stage.key_fields()

    told = {"dataloader_num_workers": 2, "logging_steps": 5, "save_steps": 7, "save_total_limit": 3, "disable_tqdm": True}
    assert told.keys() <= HARMLESS
    assert key(name="b", batch=8, accumulate=4, trl=told) == key(batch=32)
    assert key(trl={"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}) == key(batch=8)
    assert key(batch=8) != key(batch=16) != key(learning_rate=1e-4) != key(trl={"weight_decay": 0.1}) != key()
    assert key("dpo", batch=4, accumulate=2) == key("dpo", batch=8)
    one, two = {"rewards": REWARDS, "batch": 16, "accumulate": 1}, {"rewards": REWARDS, "batch": 8, "accumulate": 2}
    assert key("grpo", **one) == key("grpo", **two) == key("grpo", **two, vllm={"memory": 0.5})
    for trl in ({"loss_type": "bnpo"}, {"steps_per_generation": 4}):
        assert key("grpo", **one, trl=trl) != key("grpo", **two, trl=trl)


def test_a_key_newer_than_trained_stages_counts_only_where_it_is_not_at_its_default() -> None:
    class Newer(Sft):
        keyless_defaults: ClassVar[frozenset[str]] = frozenset({"warmth", "parts"})

        warmth: float = 0.5
        parts: tuple[str, ...] = ()

    class Newest(Newer):
        keyless_defaults: ClassVar[frozenset[str]] = frozenset({"colour"})

        colour: str | None = None

    def key(kind: type[Sft], **fields: Any) -> dict[str, Any]:
        return kind.model_validate({"name": "a", "kind": "sft", **fields}).key_fields()

    assert key(Newest) == key(Newest, warmth=0.5, parts=[]) == key(Newer) == key(Sft)
    assert key(Newest, warmth=1, colour="red") == key(Sft) | {"warmth": 1.0, "colour": "red"}


def test_the_fields_that_count_as_harmless_are_fields_of_the_trainers() -> None:
    trl = pytest.importorskip("trl")
    known = {field.name for field in fields(trl.GRPOConfig)}
    assert Grpo.harmless - known == set()
    assert Sft.harmless - {field.name for field in fields(trl.SFTConfig)} == set()


@pytest.mark.parametrize(
    ("keys", "passes"),
    [({}, 8), ({"batch": 64}, 2), ({"batch": 4}, 32), ({"group": 4}, 4), ({"batch": 6, "group": 4}, 12), ({"batch": 256}, 1),
     ({"accumulate": 1}, 1), ({"accumulate": None}, 8)],
)  # fmt: skip
def test_sixteen_whole_groups_make_a_step_where_the_file_does_not_say_how_many(keys: dict[str, Any], passes: int) -> None:
    (stage,) = plan(stages=[{"name": "a", "kind": "grpo", "rewards": REWARDS, **keys}]).expanded()
    assert isinstance(stage, Grpo)
    assert stage.accumulate == passes
    groups = stage.batch * stage.accumulate / stage.group
    assert groups == int(groups)
    assert groups >= 16 or "accumulate" in keys
    assert Grpo.model_validate(stage.model_dump(by_alias=True)) == stage


@pytest.mark.parametrize("keys", [{"batch": "many"}, {"batch": 0}, {"group": 1.5}, {"group": True}])
def test_a_size_that_is_none_is_told_of_at_its_place(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(keys))):
        plan(stages=[{"name": "a", "kind": "grpo", "rewards": REWARDS, **keys}])


@pytest.mark.parametrize(
    ("stage", "processes", "told"),
    [
        ({"kind": "sft"}, 1, "all 1,000 lessons"),
        ({"kind": "sft", "epochs": 3}, 1, "all 1,000 lessons, 3 times"),
        ({"kind": "sft", "steps": 10}, 2, "320 of 1,000 lessons"),
        ({"kind": "dpo", "steps": 10}, 1, "160 of 1,000 pairs"),
        ({"kind": "dpo", "data": "rollouts", "rollouts": {"at_most": 300}}, 1, "8 completions each of 300 samples"),
        ({"kind": "grpo", "steps": 10, "rewards": REWARDS}, 1, "160 of 1,000 prompts"),
        ({"kind": "grpo", "steps": 10, "rewards": REWARDS}, 4, "640 of 1,000 prompts"),
        ({"kind": "grpo", "steps": 200, "rewards": REWARDS, "updates_per_rollout": 4}, 1, "800 of 1,000 prompts"),
        ({"kind": "grpo", "steps": 100, "rewards": REWARDS}, 1, "all 1,000 prompts, 1.6 times"),
    ],
)
def test_the_plan_tells_how_much_of_its_data_a_stage_sees(stage: dict[str, Any], processes: int, told: str) -> None:
    (made,) = plan(stages=[{"name": "a", **stage}]).expanded()
    assert isinstance(made, TrlStage)
    assert made.amount(1000, processes=processes) == told


def test_a_stage_on_its_own_completions_says_so_and_its_new_keys_leave_older_stages_as_they_are() -> None:
    def told(**keys: Any) -> str:
        return plan_lines(plan(stages=[{"name": "a", "kind": "dpo", **keys}]))[0].removeprefix("01 a: dpo, ")

    def key(**keys: Any) -> dict[str, Any]:
        return plan(stages=[{"name": "a", "kind": "dpo", **keys}]).expanded()[0].key_fields()

    assert told() == "on pairs, 1 epochs, batch 16 x 1"
    assert told(freeze=[]) == "on pairs, 1 epochs, batch 16 x 1, nothing frozen"
    rollouts = {"of": "source", "pairs_per_sample": 2, "length_ratio": None}
    assert told(data="rollouts", freeze=["projector", "language"], rollouts=rollouts) == (
        "on its own completions of source, 1 epochs, batch 16 x 1, projector and language frozen, "
        "1 correct, 2 pairs of a sample, margin 0.5"
    )
    assert told(data="rollouts").endswith("1 correct, 1 pair of a sample, margin 0.5, lengths within 2")
    assert key().keys() == {"kind", "data", "epochs", "steps", "learning_rate", "attention", "seed", "trl", "beta", "batch x accumulate"}
    assert key() != key(freeze=[]) != key(freeze=["vision"]) != key(data="rollouts") != key(data="rollouts", rollouts=rollouts)


def test_the_parts_that_a_stage_freezes_are_those_that_have_no_learning_rate() -> None:
    rates = {"name": "a", "kind": "dpo", "learning_rate": {"vision": 1e-6}}
    for student, stage, where in (
        ({"freeze": ["vision"]}, {}, "train.student.freeze"),
        ({}, {"freeze": ["vision", "projector"]}, "freeze"),
    ):
        with pytest.raises(ValidationError, match=f"vision: this part is frozen; leave the rate out, or the part out of {where}"):
            plan(student=STUDENT | student, stages=[rates | stage])
    tree = plan(student=STUDENT | {"freeze": ["vision"]}, stages=[rates | {"freeze": ["language"]}])
    (stage,) = tree.stages
    assert isinstance(stage, TrlStage)
    assert stage.student_of(tree.student).freeze == ("language",)
    assert stage.model_copy(update={"freeze": None}).student_of(tree.student).freeze == ("vision",)


def test_where_vllm_runs_is_no_part_of_what_a_stage_comes_to() -> None:
    def key(**keys: Any) -> Any:
        return plan(stages=[{"name": "a", "kind": "grpo", "rewards": REWARDS, **keys}]).expanded()[0].key_fields()

    assert key(rollouts="vllm") == key(rollouts="vllm", vllm={"url": "http://gpu2:8000"}) == key(rollouts="vllm", vllm={"memory": 0.3})
    assert key() != key(resample=2)
    assert key() != key(loss_type="bnpo")


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
            {"student": STUDENT, "stages": [{"name": "a", "kind": "dpo", "rollouts": {"per_sample": 4}}]},
            "train.stages[0]: rollouts: is for data: rollouts alone; set data to rollouts, or leave rollouts out",
        ),
        (
            {"student": STUDENT, "stages": [{"name": "a", "kind": "dpo", "freeze": ["vision", "projector", "language"]}]},
            "train.stages[0]: freeze: everything is frozen; leave out at least one of vision, projector, language",
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
        (
            {"student": STUDENT, "stages": [A, B | {"from": "alpah"}]},
            "train.stages[1].from: no stage is named 'alpah'; did you mean 'alpha'?",
        ),
        (
            {"student": STUDENT, "stages": [A, B | {"from": "x"}]},
            "train.stages[1].from: no stage is named 'x'; name base or a stage before it: alpha",
        ),
        (
            {"student": STUDENT, "stages": [A | {"from": "beta"}, B]},
            "train.stages[0].from: 'beta' comes later; name base or a stage before it",
        ),
        (
            {"student": STUDENT, "stages": [A, B | {"from": "beta"}]},
            "train.stages[1].from: 'beta' is the stage itself; name base or a stage before it: alpha",
        ),
        (
            {"student": STUDENT, "stages": [A, {"name": "check", "kind": "eval"}, B | {"from": "check"}]},
            "train.stages[2].from: 'check' is of kind eval, which leaves no weights; name base or a stage before it: alpha",
        ),
        (
            {"student": STUDENT, "stages": [A | {"name": "base"}, B | {"from": "base"}]},
            "train.stages[1].from: 'base' is the student before any stage, and a stage has that name too; give that stage another name",
        ),
        (
            {"student": STUDENT, "preset": "clgrpo", "stages": [{"name": "format", "kind": "sft", "from": "reason"}]},
            "train.stages[0].from: 'reason' comes later; name base or a stage before it: inject",
        ),
        (
            {"student": STUDENT, "stages": [A | {"from": 3}]},
            "train.stages[0].from: 3: input should be a valid string",
        ),
        (
            {"student": STUDENT, "stages": [A | {"learning_rate": {"visoin": 1e-5}}]},
            "train.stages[0].learning_rate: no key named 'visoin'; did you mean 'vision'?",
        ),
        (
            {"student": STUDENT, "stages": [A | {"learning_rate": "fast"}]},
            "train.stages[0].learning_rate: 'fast': input should be a valid number, unable to parse string as a number",
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
        assert line in pydantic_faults(error.value, Pipeline, {"name": "x", "eval": given})


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
