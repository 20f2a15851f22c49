"""A token budget: which completions fill it, and that processes and passes of a step come to what one of them would."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cotforge.train.rollouts.token_budget import fill_budget, within_budget

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=24)
BUDGETS = st.integers(1, 80)


def rollout(lengths: list[int]) -> dict[str, Any]:
    """As TRL leaves it, with advantages of 1, 2, 3, ..."""
    mask = (torch.arange(12) < torch.tensor(lengths).unsqueeze(1)).int()
    return {
        "completion_mask": mask,
        "advantages": torch.arange(1.0, len(lengths) + 1),
        "num_items_in_batch": torch.tensor(sum(lengths)),
    }


def loss(made: dict[str, Any], *, processes: int = 1) -> float:
    """TRL's `dapo` at a ratio of 1, as a process of several computes it: gradients are averaged over them."""
    normalizer = made["num_items_in_batch"].clamp(min=1.0) / processes
    return float(-(made["advantages"].unsqueeze(1) * made["completion_mask"]).sum() / normalizer)


@given(LENGTHS, BUDGETS)
def test_completions_are_taken_in_their_order_until_their_tokens_reach_the_budget(lengths: list[int], budget: int) -> None:
    taken = within_budget(torch.tensor(lengths), budget).tolist()
    count = sum(taken)
    assert taken == [True] * count + [False] * (len(lengths) - count)
    assert sum(lengths[: count - 1]) < budget
    assert sum(lengths[:count]) >= budget or count == len(lengths)


@given(LENGTHS, BUDGETS)
def test_the_loss_is_the_sum_over_the_tokens_taken_divided_by_the_budget(lengths: list[int], budget: int) -> None:
    before = rollout(lengths)
    found = fill_budget(before, budget)
    tokens, total, taken = 0, 0.0, 0
    for number, length in enumerate(lengths, 1):
        if tokens < budget:
            tokens, total, taken = tokens + length, total + number * length, taken + 1
    assert loss(found.rollout) == pytest.approx(-total / budget, abs=1e-4)
    assert (found.filled, found.taken) == (tokens / budget, pytest.approx(taken / len(lengths)))
    assert before["completion_mask"].sum(1).tolist() == lengths, "what it was given stays as it is"
    assert found.rollout["advantages"] is before["advantages"]


@given(st.lists(st.integers(0, 12), min_size=2, max_size=24).filter(lambda each: len(each) % 2 == 0), BUDGETS)
def test_two_processes_take_what_one_would(lengths: list[int], budget: int) -> None:
    half = len(lengths) // 2
    whole = fill_budget(rollout(lengths), budget)
    parts = [rollout(lengths[:half]), rollout(lengths[half:]) | {"advantages": torch.arange(half + 1.0, len(lengths) + 1)}]
    lengths_of_all = torch.cat([part["completion_mask"].sum(1) for part in parts])
    found = [fill_budget(part, budget, gather=lambda own: lengths_of_all, process=process) for process, part in enumerate(parts)]
    assert torch.cat([each.rollout["completion_mask"] for each in found]).equal(whole.rollout["completion_mask"])
    assert sum(loss(each.rollout, processes=2) for each in found) / 2 == pytest.approx(loss(whole.rollout), abs=1e-4)
    assert {(each.filled, each.taken) for each in found} == {(whole.filled, whole.taken)}


@given(LENGTHS, st.integers(1, 5))
def test_a_budget_that_is_reached_just_so_is_the_loss_without_one(lengths: list[int], more: int) -> None:
    lengths = [*lengths, more]
    before = rollout(lengths)
    assert loss(fill_budget(before, sum(lengths)).rollout) == pytest.approx(loss(before), abs=1e-4)
