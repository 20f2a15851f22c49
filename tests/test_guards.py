"""Guards: each speaks where its trouble is, once, with what to change, and is silent otherwise."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import PipelineError
from cotforge.train import guards
from cotforge.train.guards import LOOK, MetricGuards

SOUND = {
    "loss": 0.1, "grad_norm": 0.5, "reward": 0.6, "reward_std": 0.3, "frac_reward_zero_std": 0.3, "entropy": 0.8,
    "completions/clipped_ratio": 0.05, "completions/mean_length": 80.0, "clip_ratio/region_mean": 0.0,
}  # fmt: skip


def told(*, steps: int = LOOK, **metrics: Any) -> list[str]:
    lines: list[str] = []
    watch = MetricGuards(lines.append, show=lambda: "Q: which colour? A: ????")
    for _ in range(steps):
        watch.see(SOUND | metrics)
    return lines


def test_sound_training_hears_nothing() -> None:
    assert told(steps=50) == []


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ({"reward": 0.0, "frac_reward_zero_std": 1.0}, "no completion got any reward in 10 steps; is this what it should say. Q: which"),
        ({"frac_reward_zero_std": 0.95}, "in 95% of the groups all completions got the same reward.*raise temperature or group"),
        ({"completions/clipped_ratio": 0.5}, "50% of the completions were cut off; raise max_completion"),
        ({"entropy": 0.001}, "entropy fell to 0.001 nats"),
        ({"grad_norm": 0.0}, "the gradient was 0 for 10 steps"),
        ({"loss": float("nan")}, "loss or gradient is no number; lower learning_rate"),
        ({"sampling/sampling_logp_difference/mean": 2.0}, "vLLM's log-probabilities differ"),
        ({guards.MASKED: 0.34}, "34% of what vLLM made is masked, .*vllm_importance_sampling_mode to token_truncate"),
        ({guards.FILLED: 0.4, guards.TAKEN: 1.0}, "the completions of a step fill 40% of token_budget, so steps differ in size; lower it"),
        ({guards.FILLED: 1.0, guards.TAKEN: 0.2}, "token_budget takes 20% of the completions, the rest teach nothing; raise it"),
        ({guards.FLAT: 0.6, guards.AGAIN: 1.2}, "60% of the groups, as first drawn, .* makes a rollout 2.2 times as long"),
    ],
)
def test_each_trouble_has_one_line_however_long_it_lasts(metrics: dict[str, float], line: str) -> None:
    lines = told(steps=3 * LOOK, **metrics)
    assert len(lines) == 1
    assert re.search(line, lines[0])


def test_a_trouble_that_passes_within_a_few_steps_is_none() -> None:
    assert told(steps=LOOK - 1, **{"completions/clipped_ratio": 1.0, "frac_reward_zero_std": 1.0}) == []


def test_a_student_that_learns_by_heart_may_be_sure() -> None:
    lines: list[str] = []
    watch = MetricGuards(lines.append)
    for _ in range(3 * LOOK):
        watch.see({"loss": 0.01, "grad_norm": 0.1, "entropy": 0.001})
    assert lines == []


def test_who_already_draws_groups_again_is_not_told_to() -> None:
    (line,) = told(**{"frac_reward_zero_std": 0.95})
    assert "raise temperature or group, set resample, or end" in line
    (line,) = told(**{"frac_reward_zero_std": 0.95, guards.FLAT: 0.1, guards.AGAIN: 0.1})
    assert "raise temperature or group, or end" in line


def test_entropy_that_rises_is_told_with_where_it_began() -> None:
    lines: list[str] = []
    watch = MetricGuards(lines.append)
    for step in range(40):
        watch.see(SOUND | {"entropy": 0.5 + step / 10})
    assert len(lines) == 1
    assert "entropy rose from 0.50 to" in lines[0]


def test_a_clip_that_never_acted_is_told_with_how_far_the_ratio_went() -> None:
    lines: list[str] = []
    watch = MetricGuards(lines.append)
    watch.see(SOUND)
    watch.over(low=0.2, high=0.1, live=True, furthest=(0.98, 1.03))
    assert lines == [
        "guard: no clip ever acted (0.8 to 1.1): the ratio stayed within 0.980 and 1.030; "
        "raise learning_rate or updates_per_rollout, or narrow clip"
    ]
    watch.see(SOUND | {"clip_ratio/region_mean": 0.01})
    watch.over(low=0.2, high=0.1, live=True)
    assert len(lines) == 1


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_a_clip_is_live_where_completions_outlast_an_optimizer_step(accumulate: int, per_generation: int, iterations: int) -> None:
    versions = {}  # of the weights, when micro-batch k's completions were made and when it is learned from
    made = 0
    for micro in range(accumulate * per_generation * iterations):
        if micro % (per_generation * iterations) == 0:
            made = micro // accumulate
        versions[micro] = (made, micro // accumulate)
    live = guards.clip_is_live(accumulate=accumulate, per_generation=per_generation, iterations=iterations)
    assert live == any(made != used for made, used in versions.values())


def test_a_dead_clip_and_a_checkpoint_within_a_rollout_are_refused() -> None:
    with pytest.raises(PipelineError, match="the clip never act"):
        guards.check_schedule(clipped=True, accumulate=2, per_generation=2, iterations=1, save_steps=None)
    with pytest.raises(PipelineError, match="set it to a multiple of 4"):
        guards.check_schedule(clipped=True, accumulate=2, per_generation=2, iterations=4, save_steps=6)
    guards.check_schedule(clipped=True, accumulate=2, per_generation=2, iterations=4, save_steps=8)
    guards.check_schedule(clipped=False, accumulate=2, per_generation=2, iterations=1, save_steps=7)


def test_a_completion_must_fit_behind_the_longest_prompt() -> None:
    guards.check_room(1000, 1048, 2048)
    guards.check_room(1000, 10_000, None)
    with pytest.raises(PipelineError, match=r"set max_completion to 1,048"):
        guards.check_room(1000, 2000, 2048)


def test_what_is_frozen_is_told() -> None:
    model = torch.nn.ModuleDict({"vision_tower": torch.nn.Linear(2, 2), "language_model": torch.nn.Linear(3, 3)})
    model["vision_tower"].requires_grad_(False)
    assert guards.frozen_line(model) == "parameters: language 12 trained, vision frozen"


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_parameters_that_are_no_numbers_stop_a_stage(poison: float) -> None:
    model = torch.nn.Linear(3, 3)
    guards.check_finite(model.named_parameters(), step=7)
    with torch.no_grad():
        model.bias[1] = poison
    with pytest.raises(PipelineError, match="step 7: the parameter 'bias' is no number any more") as fault:
        guards.check_finite(model.named_parameters(), step=7)
    assert len(fault.value.faults) == 1
    guards.check_finite(model.requires_grad_(False).named_parameters(), step=7)
