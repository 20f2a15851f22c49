"""Whether a batch that is padded on its right needs an attention mask.

In a causal decoder no token sees what stands behind it, so that padding on the right changes nothing, and a mask only takes time: with it
PyTorch's attention computes the half that causality hides, too, and cannot take its fastest kernels. Whether a student is of this kind is
tried, not read off its configuration: some families see all of a prompt at once.
"""

from collections.abc import Callable
from typing import Any

import torch

MASK = "attention_mask"
CLOSE = 1e-3
"""Relative difference of a loss without the mask that rounding may make: the kernels are others. Ours; in float32 it is below 1e-6."""


def needs_mask(loss_of: Callable[[dict[str, Any]], Any], batch: dict[str, Any]) -> bool:
    """Whether a loss depends on the mask of a batch, or on what stands in its padding.

    `loss_of` gives the loss of a batch as a scalar, without drawing anything; `batch` has `input_ids`, `labels` (-100 where nothing is
    learned) and a mask, each [N, T], padded on the right. True as well where there is no padding to try it with.
    """
    padding_NT = batch[MASK] == 0
    learned = batch["input_ids"][batch["labels"] != -100]
    if not padding_NT.any() or not len(learned):
        return True
    bare = {name: value for name, value in batch.items() if name != MASK}
    other = bare | {"input_ids": torch.where(padding_NT, learned[0], batch["input_ids"])}
    try:
        with torch.no_grad():
            masked, plain, changed = (loss_of(one) for one in (batch, bare, other))
    except Exception:  # a family whose code cannot do without: whatever it says, the mask stays
        return True
    return not (bool(plain == changed) and bool((plain - masked).abs() <= CLOSE * masked.abs()))


def without_mask(_module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A forward pre-hook that leaves the mask out."""
    return given, {name: value for name, value in named.items() if name != MASK}
