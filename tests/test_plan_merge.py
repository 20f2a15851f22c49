"""Stages of kind merge as the pipeline file gives them: their words, what cannot be meant, and what depends on them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cotforge.plan import Plan
from cotforge.plan.branches import depends_on, read_by, stage_branch
from cotforge.plan.kinds.merge import Merge
from cotforge.plan.modules import choose_modules, group_of, layer_of, number_layers

SFT = {"kind": "sft", "steps": 1}
SOUP = {"name": "soup", "kind": "merge", "method": "ties", "models": [{"model": "a"}, {"model": "b", "density": 0.5}]}


def plan(*stages: dict[str, Any]) -> Plan:
    return Plan.model_validate({"student": {"model": "m"}, "stages": stages})


def merge(**more: Any) -> Merge:
    return Merge.model_validate(SOUP | more)


def test_weights_are_told_by_their_names_below_the_decoder() -> None:
    names = {
        "attn": ["layers.0.self_attn.q_proj.weight", "layers.3.self_attn.o_proj.bias", "h.0.attn.c_attn.weight"],
        "mlp": ["layers.10.mlp.gate_proj.weight", "layers.0.block_sparse_moe.experts.0.w1.weight"],
        "norm": ["norm.weight", "layers.0.input_layernorm.weight", "layers.0.self_attn.q_norm.weight", "h.0.ln_1.weight", "ln_f.weight"],
        "embed": ["embed_tokens.weight", "wte.weight"],
        "head": ["lm_head.weight"],
    }
    for group, found in names.items():
        assert {name: group_of(name) for name in found} == dict.fromkeys(found, group)
    assert group_of("layers.0.mixer.weight") is None
    assert (layer_of("layers.10.mlp.gate_proj.weight"), layer_of("norm.weight")) == (10, None)
    wanted = choose_modules(["attn", "re:gate_proj"], layers=[0, 1])
    asked = ("layers.0.self_attn.q_proj.weight", "layers.1.mlp.gate_proj.weight", "layers.1.mlp.up_proj.weight")
    assert [wanted(name) for name in (*asked, "layers.2.self_attn.q_proj.weight", "norm.weight")] == [True, True, False, False, False]
    assert number_layers([0, "3-5", 9]) == [0, 3, 4, 5, 9]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "slurp"}, "method"),
        ({"models": []}, "models"),
        ({"models": [{"model": "a", "layers": ["1-x"]}]}, "layers"),
        ({"modules": "lm"}, "no modules are named 'lm'; there are norm, embed, head, attn, mlp, vision, projector, or a regular"),
        ({"modules": "re:("}, "'re:(' is no regular expression"),
        ({"method": "linear"}, "models[1].density: linear keeps all of a model; leave it out, or take dare_linear, dare_ties, ties"),
        ({"method": "linear", "models": [{"model": "a"}], "base": "b"}, "base: linear takes no differences from a base; leave it out"),
        ({"method": "linear", "models": [{"model": "a"}], "lambda": 2}, "lambda: linear has no sum of differences; leave it out"),
        ({"method": "linear", "models": [{"model": "a", "weight": 0}]}, "models: the weights add up to 0"),
        ({"method": "slerp", "models": [{"model": "a"}]}, "models[0].weight: slerp needs it: mergekit's t"),
        ({"method": "slerp", "models": [{"model": "a", "weight": 2}]}, "models[0].weight: 2 is none for slerp; give one from 0 to 1"),
        ({"method": "slerp", "models": [{"model": n, "weight": 0.5} for n in "ab"]}, "models: slerp goes from base to one model, and"),
        ({"method": "layer_swap", "models": [{"model": "a"}]}, "models[0].layers: layer_swap needs it"),
        (
            {"method": "layer_swap", "models": [{"model": "a", "layers": "0-3"}, {"model": "b", "layers": [3]}]},
            "models[1].layers: layer 3 is taken from a model before it already",
        ),
        ({"method": "layer_swap", "models": [{"model": "a", "layers": [1]}], "normalize": True}, "normalize: layer_swap has no sum of"),
    ],
)
def test_what_a_method_cannot_use_is_told_at_its_key(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as told:
        merge(**given)
    assert said in str(told.value)


def test_defaults_are_mergekits() -> None:
    assert [merge(method=name, models=[{"model": "a"}]).normalizes for name in ("linear", "ties", "task_arithmetic", "dare_ties")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert merge().words() == ["merge", "ties", "1 a + 1 b"]


def test_a_model_that_is_plainly_a_folder_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    found = merge(models=[{"model": "./there"}, {"model": "../no"}, {"model": "some/model"}], base="/no/where")
    assert [*found.faults(tmp_path)] == ["models[1].model: '../no' is no folder", "base: '/no/where' is no folder"]


def test_its_key_has_the_models_weights_and_not_their_places() -> None:
    assert merge().key_fields() == merge(models=[{"model": "elsewhere/a"}, {"model": "b", "density": 0.5}]).key_fields()
    assert merge().key_fields() != merge(models=[{"model": "a", "weight": 2}, {"model": "b", "density": 0.5}]).key_fields()


def test_stages_that_it_reads_are_above_it() -> None:
    stages = plan(SFT | {"name": "a"}, SFT | {"name": "b", "from": "base"}, SOUP | {"base": "base"}, SFT | {"name": "last"}).expanded()
    a, b, soup, _ = stages
    assert read_by(stages, soup) == {"models[0].model": a, "models[1].model": b, "base": None}
    assert depends_on(stages) == {"a": set(), "b": set(), "soup": {"a", "b"}, "last": {"soup"}}
    assert stage_branch(stages, "a") == {"a", "soup", "last"}
    assert stage_branch(stages, "b") == {"b", "soup", "last"}
    alone = plan(SFT | {"name": "c"}, SOUP | {"from": "c"}).expanded()
    assert read_by(alone, alone[1]) == {}, "a and b are folders, or models of the Hub"
    assert depends_on(alone)["soup"] == {"c"}


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([SOUP, SFT | {"name": "a"}], "stages[0].models[0].model: 'a' comes later; name base or a stage before it"),
        (
            [SFT | {"name": "a"}, SOUP | {"name": "b"}],
            "stages[1].models[1].model: 'b' is the stage itself; name base or a stage before it: a",
        ),
        ([{"name": "a", "kind": "eval"}, SOUP], "stages[1].models[0].model: 'a' is of kind eval, which leaves no weights; name base"),
        ([SFT | {"name": "c"}, SOUP | {"from": "d"}], "stages[1].from: no stage is named 'd'"),
    ],
)
def test_a_stage_that_cannot_be_read_is_told_at_its_key(stages: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValidationError) as told:
        plan(*stages)
    assert said in str(told.value)
