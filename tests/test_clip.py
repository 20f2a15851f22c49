"""The clipped objective per token, against figures worked out by hand on both sides of each bound."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.clip import acted, objective

LOW, HIGH = 0.2, 0.1

# ratio, advantage, objective, its slope in the ratio
BY_HAND = [
    (1.00, 2.0, 2.0, 2.0),
    (1.05, 2.0, 2.1, 2.0),  # grows, below the upper bound
    (1.30, 2.0, 2.2, 0.0),  # grows beyond 1.1: the bound acts
    (0.50, 2.0, 1.0, 2.0),  # shrinks although A > 0: no bound, it must come back
    (1.00, -2.0, -2.0, -2.0),
    (0.90, -2.0, -1.8, -2.0),  # shrinks, above the lower bound
    (0.50, -2.0, -1.6, 0.0),  # shrinks below 0.8: the bound acts
    (1.30, -2.0, -2.6, -2.0),  # grows although A < 0: no bound, it must come back
    (1.30, 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize(("ratio", "advantage", "value", "slope"), BY_HAND)
def test_objective_and_gradient_are_those_worked_out_by_hand(ratio: float, advantage: float, value: float, slope: float) -> None:
    ratio_BT = torch.tensor([[ratio]], dtype=torch.float64, requires_grad=True)
    found_BT = objective(ratio_BT, torch.tensor([advantage], dtype=torch.float64), low=LOW, high=HIGH)
    found_BT.sum().backward()
    assert found_BT.item() == pytest.approx(value)
    assert ratio_BT.grad is not None
    assert ratio_BT.grad.item() == pytest.approx(slope)


@pytest.mark.parametrize(("ratio", "advantage", "value", "slope"), BY_HAND)
def test_a_bound_acts_where_it_takes_the_gradient_away(ratio: float, advantage: float, value: float, slope: float) -> None:
    low_BT, high_BT = acted(torch.tensor([[ratio]]), torch.tensor([advantage]), low=LOW, high=HIGH)
    assert bool(low_BT | high_BT) == (slope == 0 and advantage != 0)
    assert not bool(low_BT & high_BT)
    assert bool(high_BT) == (value == 2.2)


def test_each_completion_has_its_own_advantage_for_all_its_tokens() -> None:
    ratio_BT = torch.tensor([[1.5, 0.5, 1.0], [1.5, 0.5, 1.0]])
    found_BT = objective(ratio_BT, torch.tensor([1.0, -1.0]), low=LOW, high=HIGH)
    torch.testing.assert_close(found_BT, torch.tensor([[1.1, 0.5, 1.0], [-1.5, -0.8, -1.0]]))


bounds = st.floats(0.01, 0.9)
ratios = st.floats(0.0078125, 5, width=32)
advantages = st.floats(-5, 5, width=32)


@given(ratios, advantages, bounds, bounds)
def test_it_is_never_above_the_unclipped_one_and_equal_at_ratio_1(ratio: float, advantage: float, low: float, high: float) -> None:
    advantage_B = torch.tensor([advantage])
    assert objective(torch.tensor([[ratio]]), advantage_B, low=low, high=high).item() <= ratio * advantage + 1e-4
    assert objective(torch.ones(1, 1), advantage_B, low=low, high=high).item() == pytest.approx(advantage)
