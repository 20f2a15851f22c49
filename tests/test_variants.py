"""`variant` of a grpo stage: a paper's keys, those of the stage before them, and what the plan's line and the stage's key make of it."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.plan import Grpo
from cotforge.plan.variants import VARIANTS, Variant, expand_variant

REWARDS = [{"measure": "correct"}]
NEEDED = {"c3po": {"token_budget": 500}}


def grpo(**keys: Any) -> Grpo:
    return Grpo.model_validate({"name": "reason", "kind": "grpo", "rewards": REWARDS, **keys})


def of(variant: str, **keys: Any) -> Grpo:
    return grpo(variant=variant, **{**NEEDED.get(variant, {}), **keys})


def test_every_variant_has_its_keys() -> None:
    assert [*VARIANTS] == [*get_args(Variant)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_the_stage_that_spells_its_keys_out(variant: str) -> None:
    named, spelt = of(variant), grpo(**VARIANTS[variant], **NEEDED.get(variant, {}))
    assert named.model_copy(update={"variant": None}) == spelt
    assert named.key_fields() == spelt.key_fields() != grpo().key_fields()
    assert f"variant {variant}" in named.words()
    assert [word for word in named.words() if not word.startswith("variant")] == spelt.words()
    assert Grpo.model_validate(named.model_dump(by_alias=True)) == named


@given(st.sampled_from([*VARIANTS]), st.data())
def test_a_key_that_the_stage_gives_wins_and_the_others_stay(variant: str, data: st.DataObject) -> None:
    theirs = {name: value for name, value in VARIANTS[variant].items() if name != "trl"}
    own = {name: object() for name in data.draw(st.sets(st.sampled_from(sorted(theirs))))}
    passed = VARIANTS[variant].get("trl", {})
    mine = {name: object() for name in data.draw(st.sets(st.sampled_from([*passed, "top_p"])))}
    found = expand_variant({"variant": variant, "trl": mine, **own})
    assert found == {"variant": variant, **theirs, **own, "trl": {**passed, **mine}}


def test_what_came_of_a_variant_stands_in_the_line() -> None:
    assert of("gspo", steps=5, clip={"low": 0.001, "high": 0.002}).words()[5:] == [
        "groups of 8", "clip -0.001 +0.002, 4 updates", "variant gspo", "loss_type grpo", "beta 0", "importance_sampling_level sequence",
    ]  # fmt: skip
    assert of("c3po", token_budget=409_600).words()[-5:] == [
        "groups of 8", "variant c3po", "beta 0.001", "token_budget 409,600", "entropy_coef 0.0005",
    ]  # fmt: skip
    assert grpo().words()[-1] == "groups of 8"


def test_a_stage_without_these_keys_has_the_key_that_it_had_before_there_were_any() -> None:
    assert not {"variant", "token_budget"} & grpo().key_fields().keys()
    assert grpo(token_budget=500).key_fields() == grpo().key_fields() | {"token_budget": 500}


def test_a_step_with_a_budget_is_the_same_however_it_is_split_but_not_under_an_entropy_bonus() -> None:
    def key(**keys: Any) -> dict[str, Any]:
        return grpo(token_budget=500, **keys).key_fields()

    assert key(batch=16, accumulate=1) == key(batch=8, accumulate=2)
    bonus = {"trl": {"entropy_coef": 0.01}}
    assert key(batch=16, accumulate=1, **bonus) != key(batch=8, accumulate=2, **bonus)


@pytest.mark.parametrize("keys", [{"variant": "ppo"}, {"variant": ["dapo"]}, {"variant": "dapo", "trl": 3}])
def test_what_is_no_variant_is_told_of_at_its_place(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="trl" if "trl" in keys else "variant"):
        grpo(**keys)
