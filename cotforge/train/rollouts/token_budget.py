"""A step that learns from a fixed number of tokens: the completions that fill a budget, and a loss divided by it.

Source: C3PO, Ring-lite (arXiv 2506.14731), equations 2 and 3: loss = -1/budget * sum over the tokens of the completions taken.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch


def within_budget(lengths_N: torch.Tensor, budget: int) -> torch.Tensor:
    """Which completions are taken, `taken_N`: in their order, until their tokens reach the budget.

    `lengths_N` are tokens, 0 where a completion is masked. Without the last one that is taken the tokens are below the budget; with it they
    reach it, or all completions are taken.
    """
    before_N = lengths_N.cumsum(dim=0) - lengths_N
    return before_N < budget


class Budgeted(NamedTuple):
    """A rollout of one process, cut to the budget of all."""

    rollout: dict[str, Any]
    """As the loss takes it: completions that are not taken have no tokens, and the sum over the rest is divided by the budget."""
    filled: float
    """Tokens taken over the budget; above 1 by a part of the last completion."""
    taken: float
    """Completions taken, as a share of all."""


def fill_budget(
    rollout: Mapping[str, Any], budget: int, *, gather: Callable[[torch.Tensor], torch.Tensor] = lambda own: own, process: int = 0
) -> Budgeted:
    """A rollout of which the completions that fill the budget are learned from; it must be used for whole optimizer steps.

    `gather` puts the values of all processes one after another, and this is the `process`-th of them: they take what one process would.
    The masks are those with which TRL leaves out completions that were cut off. `num_items_in_batch` is what its losses `dapo`, `cispo` and
    `vespo` divide by, over all processes and forward passes of a step.
    """
    mask_BT = rollout["completion_mask"]
    own_B = mask_BT.sum(dim=1)
    lengths_N = gather(own_B)
    taken_N = within_budget(lengths_N, budget)
    taken_B = taken_N[process * len(own_B) : (process + 1) * len(own_B)]
    tokens = int((lengths_N * taken_N).sum().item())
    cut = {
        **rollout,
        "completion_mask": mask_BT * taken_B.unsqueeze(1).to(mask_BT.dtype),
        "num_items_in_batch": torch.full_like(rollout["num_items_in_batch"], budget),
    }
    return Budgeted(cut, tokens / budget, taken_N.float().mean().item())
