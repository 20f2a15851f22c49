"""How weights of several models become one: pure functions of flat tensors of one length, in float32.

`base` and `student` are weights of one model, `models_MN` those of M others, `deltas_MN` their differences from the base.
The words and defaults are those of mergekit (https://github.com/arcee-ai/mergekit, docs/merge_methods.md).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

NEARLY_PARALLEL = 0.9995
"""Cosine above which slerp is a straight line, as in mergekit."""
SMALLEST = 1e-8
"""Norms and sums of weights below this count as none, as in mergekit."""


def merge_linear(models_MN: Sequence[torch.Tensor], weights: Sequence[float], *, normalize: bool) -> torch.Tensor:
    """The weighted sum, divided by the sum of weights where it is to be normalized. Source: arXiv 2203.05482 (model soups)."""
    whole = _weighted_sum(models_MN, weights)
    return whole / math.fsum(weights) if normalize else whole


def add_differences(
    base: torch.Tensor, deltas_MN: Sequence[torch.Tensor], weights: Sequence[float], *, normalize: bool, factor: float
) -> torch.Tensor:
    """The base and a factor times the weighted sum of differences. Source: arXiv 2212.04089, section 2 (task arithmetic)."""
    mixed = _weighted_sum(deltas_MN, weights)
    whole = math.fsum(weights)
    return base + factor * (mixed / whole if normalize and abs(whole) >= SMALLEST else mixed)


def add_agreeing(
    base: torch.Tensor, deltas_MN: Sequence[torch.Tensor], weights: Sequence[float], *, normalize: bool, factor: float
) -> torch.Tensor:
    """As `add_differences`, of each number only from models whose weighted difference has the sign of the sum; that of 0 is plus.

    Source: arXiv 2306.01708, section 3 (TIES: elect, disjoint merge); the divisor is that of the models which agree, 1 where none does.
    """
    weighted = [delta * weight for delta, weight in zip(deltas_MN, weights, strict=True)]
    sign = torch.copysign(torch.ones_like(base), _weighted_sum(weighted, [1.0] * len(weighted)) + 0.0)  # -0.0 becomes 0.0
    mixed, divisor = torch.zeros_like(base), torch.zeros_like(base)
    for delta, weight in zip(weighted, weights, strict=True):
        agreeing = torch.relu(delta * sign)  # masks of bool are five times as slow
        mixed += agreeing
        divisor.add_(agreeing.sign_(), alpha=weight)
    mixed *= sign
    if normalize:
        mixed /= divisor.add_(divisor.clone().eq_(0))
    return base + factor * mixed


def swap_layers(student: torch.Tensor, model: torch.Tensor, weight: float) -> torch.Tensor:
    """The model's weights in the place of the student's, or between both by its weight. Source: arXiv 2505.05464's code (layerswap)."""
    return student.lerp(model, weight)


@dataclass
class Largest:
    """Keeps the largest numbers of a tensor that comes in pieces, and nothing of the others; made by `find_largest`."""

    least: float
    """The size of the smallest number that is kept."""
    ties: int
    """How many of just that size are still to be kept, the first ones."""

    def keep(self, piece: torch.Tensor) -> torch.Tensor:
        """A piece, in the order of the pieces, with 0 for what is not kept."""
        kept = torch.nn.functional.hardshrink(piece, self.least)
        if self.ties and self.least:
            tied = (piece.abs() == self.least).nonzero().flatten()[: self.ties]
            kept[tied] = piece[tied]
            self.ties -= len(tied)
        return kept


def find_largest(pieces: Callable[[], Iterable[torch.Tensor]], count: int) -> Largest:
    """What keeps the `count` numbers of largest size, of equal ones the first, of a tensor that is read twice for it.

    Source: arXiv 2306.01708, section 3 (TIES: trim). Exact: by the 15 high bits of the float, then by the 16 low ones, which sort as sizes.
    """
    high = torch.zeros(1 << 15, dtype=torch.int64)
    for piece in pieces():
        high += torch.bincount(_magnitude_bits(piece) >> 16, minlength=1 << 15)
    first, above = _rank_bin(high, count)
    low = torch.zeros(1 << 16, dtype=torch.int64)
    for piece in pieces():
        bits = _magnitude_bits(piece)
        low += torch.bincount(bits[bits >> 16 == first] & 0xFFFF, minlength=1 << 16)
    second, over = _rank_bin(low, count - above)
    least = torch.tensor((first << 16) + second, dtype=torch.int32).view(torch.float32)
    return Largest(float(least), count - above - over)


def _rank_bin(counts: torch.Tensor, count: int) -> tuple[int, int]:
    """The bin in which the number of that rank from above is, and how many are in bins above it."""
    from_above = counts.flip(0).cumsum(0)
    place = int(torch.searchsorted(from_above, count))
    return len(counts) - 1 - place, int(from_above[place - 1]) if place else 0


def _magnitude_bits(piece: torch.Tensor) -> torch.Tensor:
    """The size of each number as a whole number that sorts alike."""
    return piece.abs().view(torch.int32)


def drop_random(delta: torch.Tensor, density: float, draws: torch.Generator, *, rescale: bool) -> torch.Tensor:
    """A random share of a difference, divided by that share where it is to be rescaled. Source: arXiv 2311.03099, section 3.1 (DARE)."""
    kept = torch.rand(delta.shape, generator=draws).lt_(density)
    return delta * kept.div_(density) if rescale else delta * kept


def slerp_factors(t: float, dot: float, first: float, second: float) -> tuple[float, float]:
    """By what two tensors are multiplied whose sum lies at `t` of the arc between them, by their inner product and norms.

    Source: Shoemake 1985; a straight line where they are nearly parallel, and tensors of norm 0 not divided by it, as in mergekit.
    """
    cosine = dot / ((first if first > SMALLEST else 1.0) * (second if second > SMALLEST else 1.0))
    if abs(cosine) > NEARLY_PARALLEL:
        return 1 - t, t
    angle = math.acos(cosine)
    return math.sin(angle * (1 - t)) / math.sin(angle), math.sin(angle * t) / math.sin(angle)


def _weighted_sum(tensors_MN: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    whole = torch.zeros_like(tensors_MN[0])
    for tensor, weight in zip(tensors_MN, weights, strict=True):
        whole.add_(tensor, alpha=weight)
    return whole
