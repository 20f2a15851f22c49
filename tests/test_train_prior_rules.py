"""The three rules of DRIFT against the closed form of arXiv 2510.15050, written out a second time in float64 without torch."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from cotforge.train.prior import pull_rules

RULES: tuple[pull_rules.Rule, ...] = ("absolute", "gradnorm", "cosine")


def closed_form(gradient: np.ndarray, difference: np.ndarray, rule: str, alpha: float) -> np.ndarray:
    """Facts of the paper and its code, one line each."""
    g, d = np.linalg.norm(gradient), np.linalg.norm(difference)
    if rule == "absolute":
        return gradient - alpha * difference
    if rule == "gradnorm":
        return gradient - alpha * g * difference / d
    c = np.clip((gradient * difference).sum() / (g * d), -1, 1)
    return gradient - alpha * (1 + c) / 2 * g * difference / d


def drawn(seed: int, shape: tuple[int, ...], scale: float = 1.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


shapes = st.one_of(st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 24), st.integers(1, 24)))
numbers = st.integers(0, 2**31)
sizes = st.sampled_from([1e-4, 1.0, 30.0])


@given(shape=shapes, seed=numbers, rule=st.sampled_from(RULES), alpha=st.floats(0, 4), size=sizes, other=sizes)
def test_a_bent_gradient_is_the_closed_form(
    shape: tuple[int, ...], seed: int, rule: pull_rules.Rule, alpha: float, size: float, other: float
) -> None:
    gradient, difference = drawn(seed, shape, size), drawn(seed + 1, shape, other)
    expected = closed_form(gradient.double().numpy(), difference.double().numpy(), rule, alpha)
    largest = float(max(gradient.abs().max(), np.abs(expected).max()))
    given_before = difference.clone()
    pull_rules.bend_gradients([gradient], [difference], rule=rule, alpha=alpha)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=0, atol=1e-5 * largest)
    assert torch.equal(difference, given_before), "the difference is mapped from a file and never written to"


@given(shape=shapes, seed=numbers, rule=st.sampled_from(RULES), alpha=st.floats(0, 4), parts=st.integers(1, 4))
def test_tensors_in_parts_are_bent_as_one_vector(
    shape: tuple[int, ...], seed: int, rule: pull_rules.Rule, alpha: float, parts: int
) -> None:
    gradient, difference = drawn(seed, shape), drawn(seed + 1, shape)
    cut = [part.clone() for part in gradient.chunk(parts)]
    pull_rules.bend_gradients(cut, difference.chunk(parts), rule=rule, alpha=alpha)
    pull_rules.bend_gradients([gradient], [difference], rule=rule, alpha=alpha)
    torch.testing.assert_close(torch.cat(cut), gradient, rtol=1e-5, atol=1e-6)


@given(shape=shapes, seed=numbers)
def test_a_step_by_cosine_never_leads_away_from_the_expert(shape: tuple[int, ...], seed: int) -> None:
    gradient, difference = drawn(seed, shape), drawn(seed + 1, shape)
    size = gradient.norm()
    cosine = (gradient * difference).sum() / (size * difference.norm())
    pull_rules.bend_gradients([gradient], [difference], rule="cosine", alpha=1.0)
    along = (gradient * difference).sum() / difference.norm()
    assert -size * 1.00001 <= along <= 1e-5 * size
    torch.testing.assert_close(along, size * (cosine - 1) / 2, rtol=1e-3, atol=float(1e-5 * size))


def test_a_gradient_that_leads_straight_to_the_expert_stays_and_one_that_leads_away_is_cancelled() -> None:
    difference = drawn(0, (5, 7))
    for factor, expected in ((-2.0, -2.0), (2.0, 0.0)):
        gradient = factor * difference
        pull_rules.bend_gradients([gradient], [difference], rule="cosine", alpha=1.0)
        torch.testing.assert_close(gradient, expected * difference, atol=1e-5, rtol=0)


def test_a_gradient_of_zeros_stays_zero_unless_the_difference_itself_is_added() -> None:
    for rule, expected in (("absolute", -1.0), ("gradnorm", 0.0), ("cosine", 0.0)):
        gradient, difference = torch.zeros(3), torch.ones(3)
        pull_rules.bend_gradients([gradient], [difference], rule=rule, alpha=1.0)
        assert gradient.tolist() == [expected] * 3


def test_a_bfloat16_gradient_is_bent_in_float32_and_rounded_once() -> None:
    gradient, difference = drawn(0, (64,)).bfloat16(), drawn(1, (64,))
    expected = closed_form(gradient.double().numpy(), difference.double().numpy(), "cosine", 1.0)
    pull_rules.bend_gradients([gradient], [difference], rule="cosine", alpha=1.0)
    assert torch.equal(gradient, torch.tensor(expected, dtype=torch.float32).bfloat16())
