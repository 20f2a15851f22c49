"""The clipped objective of GRPO per token, with two bounds that move on their own.

Source: GRPO as in the Ring-lite report, eq. 1, with the range decoupled as in DAPO:

    r = pi(token) / pi_old(token)                                        the ratio; 1 until the first update on a rollout
    J = min(r A, clip(r, 1 - low, 1 + high) A)                           for each token, A the advantage of its completion

The minimum lets a bound act on one sign of the advantage only: `high` stops what grows although A > 0 asks for more (the gradient is 0
above 1 + high), `low` stops what shrinks although A < 0 asks for less (the gradient is 0 below 1 - low).

"ClipLow" is the last stage of CLGRPO (arXiv 2506.18048), which is to narrow the space that a small model explores. Which bound it moves is
not established; two readings fit that goal, and neither is called the paper's here (their numbers, in `plan.CLIPS`, are ours):

    cliplow-upper    the upper bound is lowered, high < low: the mirror of DAPO's Clip-Higher; likely tokens grow less in one rollout
    cliplow-lower    the lower bound is dropped, low > high: tokens of bad completions may be pushed down further, to (1 - low)

By arXiv 2509.26114 the lower bound, where it acts, raises the entropy, and the upper one lowers it: more of the upper and less of the
lower both narrow. The third way to read the name, low < high, is Clip-Higher, and widens.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Acted(NamedTuple):
    """Where a bound took a token's gradient away."""

    low_BT: Tensor
    """A < 0 and the ratio below 1 - low."""
    high_BT: Tensor
    """A > 0 and the ratio above 1 + high."""


def objective(ratio_BT: Tensor, advantage_B: Tensor, *, low: float, high: float) -> Tensor:
    """What is maximised, per token: min(r A, clip(r, 1 - low, 1 + high) A). At ratio 1 it is A."""
    advantage_B1 = advantage_B.unsqueeze(-1)
    return torch.minimum(ratio_BT * advantage_B1, ratio_BT.clamp(1 - low, 1 + high) * advantage_B1)


def acted(ratio_BT: Tensor, advantage_B: Tensor, *, low: float, high: float) -> Acted:
    """Which tokens a bound acted on; none at ratio 1."""
    advantage_B1 = advantage_B.unsqueeze(-1)
    return Acted((ratio_BT < 1 - low) & (advantage_B1 < 0), (ratio_BT > 1 + high) & (advantage_B1 > 0))
