"""How far DRIFT bends a gradient towards an expert: three rules, pure functions of tensors.

With the gradient g, the difference D between expert and student, and its unit vector d, a descent step along the bent gradient
`g - pull * D` also goes towards the expert:

    rule       name in the paper's code    bent gradient
    absolute   absolute                    g - alpha * D
    gradnorm   gradnorm                    g - alpha * |g| * d
    cosine     adaptive_cosine             g - alpha * (1 + c) / 2 * |g| * d,   c the cosine of g and D

Under `cosine` at alpha 1 no descent step leads away from the expert: where c is 1 the step would, and that part of it is cancelled; where
c is -1 it leads there anyway, and is left as it is.

Source: arXiv 2510.15050; https://github.com/WikiChao/DRIFT, core/drift.py. The paper writes a plus sign and a negative alpha.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch

Rule = Literal["absolute", "gradnorm", "cosine"]

EPS = 1e-12
"""Norms are at least this; of the paper's code."""


def inner_products(gradients: Sequence[torch.Tensor], differences: Sequence[torch.Tensor]) -> torch.Tensor:
    """`<g, g>`, `<g, D>` and `<D, D>` of tensors that are one vector each, as float64 (each tensor's own sum is float32, pairwise)."""
    totals = torch.zeros(3, dtype=torch.float64, device=gradients[0].device)
    for gradient, difference in zip(gradients, differences, strict=True):
        given = gradient.float()
        pairs = ((given, given), (given, difference), (difference, difference))
        totals += torch.stack([(one * other).sum().double() for one, other in pairs])
    return totals


def cosine_similarity(totals: torch.Tensor) -> torch.Tensor:
    """Of a gradient and a difference, in [-1, 1], by their `inner_products`: 1 where a descent step leads straight away from the expert."""
    gradient, product, difference = totals.unbind()
    return (product / (gradient.sqrt() * difference.sqrt()).clamp_min(EPS)).clamp(-1, 1)


def pull_factor(rule: Rule, alpha: float, totals: torch.Tensor) -> torch.Tensor:
    """The number of differences that are taken off a gradient, by their `inner_products`."""
    if rule == "absolute":
        return torch.full_like(totals[0], alpha)
    strength = totals[0].sqrt() / totals[2].sqrt().clamp_min(EPS)
    return alpha * strength if rule == "gradnorm" else alpha * (1 + cosine_similarity(totals)) / 2 * strength


def bend_gradients(
    gradients: Sequence[torch.Tensor],
    differences: Sequence[torch.Tensor],
    *,
    rule: Rule,
    alpha: float,
    total: Callable[[torch.Tensor], torch.Tensor] = lambda totals: totals,
) -> torch.Tensor:
    """Bend gradients in place, tensors that are one vector; gives `<g, g>`, `<g, D>`, `<D, D>` from before, and the pull.

    The differences are float32, of the gradients' shapes and device. `total` sums products over processes that hold a part of each.
    """
    totals = total(inner_products(gradients, differences))
    taken = pull_factor(rule, alpha, totals)
    for gradient, difference in zip(gradients, differences, strict=True):
        if gradient.dtype == torch.float32:
            gradient.addcmul_(difference, taken.float(), value=-1)
        else:
            gradient.copy_(gradient.float() - difference * taken.float())
    return torch.cat([totals, taken[None]])
