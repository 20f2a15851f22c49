"""Groups whose completions all got the same reward are drawn again with other prompts: dynamic sampling, as in DAPO (arXiv 2503.14476).

Such a group has no advantage and teaches nothing. The new prompts follow from seed, step and process: a resumed stage draws the same.
"""

from collections.abc import Iterator
from itertools import cycle, islice

import torch

SAME = 1e-6
"""Rewards that are no further apart count as equal: they are weighted sums of float32."""


def flat_groups(rewards_NF: torch.Tensor, weights_F: torch.Tensor, group: int, *, summed: bool = True) -> torch.Tensor:
    """Whether each group's completions all got the same reward, `flat_G`; NaN is a reward that does not apply.

    With `summed` the weighted sum decides, else each reward by itself (TRL's `multi_objective_aggregation`).
    """
    values_NF = rewards_NF
    if summed:
        none_N = rewards_NF.isnan().all(dim=1)
        values_NF = (rewards_NF * weights_F).nansum(dim=1).masked_fill(none_N, torch.nan).unsqueeze(1)
    values_GMF = values_NF.view(-1, group, values_NF.shape[1])
    low_GF = values_GMF.nan_to_num(nan=torch.inf).amin(dim=1)
    high_GF = values_GMF.nan_to_num(nan=-torch.inf).amax(dim=1)
    return (high_GF - low_GF <= SAME).all(dim=1)


def other_rows(count: int, *, seed: int, step: int, process: int, processes: int) -> Iterator[int]:
    """Rows of `count`, in an order of their own at each step, without end; those of two processes differ while there are enough."""
    draw = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    mixed = torch.randperm(count, generator=draw).tolist()
    return cycle(list(islice(mixed, process, None, processes)) or mixed)


def refill_groups(flat: list[int], fresh: list[bool]) -> list[tuple[int, int]]:
    """Which newly drawn group takes the place of which flat one: (flat group, new group). `fresh` says which new ones are not flat."""
    return list(zip(flat, (place for place, good in enumerate(fresh) if good), strict=False))
