"""`prior:` of an sft stage in the pipeline file: which tensors it means, what it refuses, and what a stage's key makes of it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cotforge.plan import Plan, Prior, Sft, plan_lines, plan_notes
from cotforge.plan.branches import stage_branch
from tests import squares
from tests.project import ran

EXPERT = {"expert": "some/expert"}
NAMES = [
    "embed_tokens.weight", "layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.bias", "layers.0.mlp.gate_proj.weight",
    "layers.1.input_layernorm.weight", "layers.1.self_attn.o_proj.weight", "norm.weight",
]  # fmt: skip


def plan(*, student: dict[str, Any] | None = None, **keys: Any) -> Plan:
    return Plan.model_validate({"student": {"model": "m", **(student or {})}, "stages": [{"name": "learn", "kind": "sft", **keys}]})


@pytest.mark.parametrize(
    ("keys", "bent"),
    [
        ({}, [1, 2, 3, 5]),
        ({"bias": False}, [1, 3, 5]),
        ({"modules": "attn"}, [1, 2, 5]),
        ({"modules": "norm"}, [4, 6]),
        ({"modules": ["mlp", "re:^embed"]}, [0, 3]),
        ({"layers": [1]}, [5]),
        ({"modules": ["norm", "embed"], "layers": [0, 1]}, [4]),
    ],
)
def test_modules_and_layers_say_which_tensors_are_bent(keys: dict[str, Any], bent: list[int]) -> None:
    prior = Prior.model_validate(EXPERT | keys)
    assert [name for name in NAMES if prior.wants(name)] == [NAMES[place] for place in bent]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"prior": EXPERT | {"modules": "re:("}}, "no regular expression"),
        ({"prior": EXPERT | {"modules": "atn"}}, "no modules are named 'atn'; there are"),
        ({"prior": EXPERT | {"modules": []}}, "at least 1"),
        ({"prior": EXPERT | {"rule": "absolut"}}, "absolute"),
        ({"prior": EXPERT | {"alpha": -1}}, "alpha"),
        ({"prior": EXPERT | {"base": "some/expert"}}, "base: is the expert itself, and the difference 0"),
        ({"prior": EXPERT, "trl": {"fp16": True}}, "prior: under trl.fp16 gradients are scaled up"),
        ({"prior": EXPERT, "student": {"freeze": ["language"]}}, "bends gradients of the language part, which is frozen"),
        ({"prior": EXPERT, "student": {"lora": {}, "qlora": True}}, "which qlora rounds to four bits; set qlora to false"),
    ],
)
def test_what_could_bend_nothing_is_refused_with_the_file(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        plan(**keys)


def test_a_stage_is_another_with_another_expert_and_the_same_without_a_prior() -> None:
    def key(**keys: Any) -> tuple[dict[str, Any], dict[str, str]]:
        (stage,) = plan(**keys).expanded()
        return stage.key_fields(), stage.reads()

    fields, reads = key(prior=EXPERT)
    assert reads == {"prior.expert": "some/expert"}
    assert "expert" not in fields["prior"], "it counts by its weights: another folder of the same is the same expert"
    assert key(prior=EXPERT | {"base": "base"})[1] == {"prior.expert": "some/expert", "prior.base": "base"}
    assert key(prior=EXPERT | {"alpha": 0.5})[0] != fields
    assert key() == key(prior=None)
    assert "prior" not in key()[0], "as it was before there were priors"


def test_an_expert_may_be_a_stage_before_it() -> None:
    before = {"name": "reasoner", "kind": "sft"}
    after = {"name": "learn", "kind": "sft", "from": "base", "prior": {"expert": "reasoner", "base": "base"}}
    stages = Plan.model_validate({"student": {"model": "m"}, "stages": [before, after]}).expanded()
    assert stage_branch(stages, "reasoner") == {"reasoner", "learn"}
    with pytest.raises(ValidationError, match=r"stages\[0\].prior.expert: 'reasoner' comes later"):
        Plan.model_validate({"student": {"model": "m"}, "stages": [after, before]})


def test_the_plan_says_towards_what_and_minus_what() -> None:
    assert plan_lines(plan(prior=EXPERT | {"rule": "gradnorm", "alpha": 0.5}))[0].endswith(
        "prior gradnorm 0.5 to expert minus the stage's first weights"
    )
    assert plan_lines(plan(prior=EXPERT | {"base": "its/base"}))[0].endswith("prior cosine 1 to expert minus base")


def test_bfloat16_weights_lose_what_a_prior_adds_and_the_plan_says_so() -> None:
    assert [line for line in plan_notes(plan(prior=EXPERT, student={"dtype": "bfloat16"})) if line.startswith("stage 'learn': prior: ")]
    assert plan_notes(plan(prior=EXPERT)) == []


def test_an_expert_that_is_no_folder_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    project = squares.project(tmp_path, {"name": "learn", "kind": "sft", "prior": {"expert": "./experts/text", "base": "student"}})
    checked = ran("train", "squares.yaml", cwd=project)
    assert checked.returncode == 2
    assert "train.stages[0].prior.expert: './experts/text' is no folder; give one, or an id on the Hub" in checked.stderr
    assert Sft.model_validate({"name": "a", "kind": "sft", "prior": {"expert": "owner/name"}})
    assert [*Prior(expert="owner/name", base="student").faults(project)] == []
    (project / "owner").mkdir()
    assert [*Prior(expert="owner/name").faults(project)]
