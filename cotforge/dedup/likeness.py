"""How alike two pictures are: 1 where the one is a copy or a crop of the other, near 0 where they only look alike from afar.

It is decided where the two differ most: two forms with other numbers in one line are different pictures, however much of them is equal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cotforge.dedup.alignment import Map, Overlap, overlap, place_roughly, refine, sampling, span_of, window_views
from cotforge.dedup.thumbnail import CHROMA, SIDE, Floats, Thumbnail, halve, weighted

ROUGH = 0.5
"""Least correlation of the best window: below, the pictures are not compared any closer."""
HALFWAY = 0.3
"""Least agreement at half the size: below, the pictures are not compared any closer."""
BLOCKS = 14
"""Blocks of a side, not counting those between them."""
NOISE = 5.0
"""Grey values that compression and scaling may change."""
TONE = 2.0
"""By how much more the contrast of a block may have changed than that of the picture: brightness cuts bright colours off."""
SHADE = 36.0
"""The same of its mean, in grey values."""
MOVED = 0.75
"""Pixels by which a block may be shifted against the rest."""
DETAIL, SHARED = 0.4, 0.6
"""Least deviation of the fine detail, in grey values, and its least correlation: that of unrelated pictures is 0, give or take 0.1."""
SPAN = 0.62
"""Least part of a side that both pictures show: crops take up to 15 % from either end."""
COLOUR = 22.0
"""Largest difference of colour between equal pictures, of 128."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What two pictures have in common."""

    similarity: float
    """From 0 to 1."""
    flipped: bool = False
    """Whether the one is a mirror image of the other."""


NONE = Likeness(0.0)


@dataclass(frozen=True, slots=True)
class Viewed:
    """A thumbnail made ready to be compared with many."""

    thumbnail: Thumbnail
    small: Floats
    """32 x 32."""
    views: Floats
    """See `window_views`."""

    @classmethod
    def of(cls, thumbnail: Thumbnail) -> "Viewed":
        """The same with its windows."""
        small = halve(thumbnail.luma, 2)
        return cls(thumbnail, small, window_views(small))

    def mirrored(self) -> "Viewed":
        """Its mirror image."""
        there = self.thumbnail
        return Viewed.of(Thumbnail(there.luma[:, ::-1], there.chroma[:, :, ::-1], there.sharp))


def compare(one: Viewed, other: Viewed, mirror: Viewed | None = None) -> Likeness:
    """Of two pictures, or of the one with the `mirror` image of the other, whichever is more alike."""
    placed = place_roughly(one.small, one.views, other.small, other.views)
    flipped = False
    if mirror is not None:
        turned = place_roughly(one.small, one.views, mirror.small, mirror.views)
        if turned.score > placed.score:
            placed, other, flipped = turned, mirror, True
    if placed.score < ROUGH:
        return NONE
    columns, rows = refine(one.small, other.small, placed.columns, placed.rows, steps=8)
    columns, rows = refine(halve(one.thumbnail.luma), halve(other.thumbnail.luma), columns, rows, steps=10)
    found = overlap(halve(one.thumbnail.luma), halve(other.thumbnail.luma), columns, rows)
    if not _is_wide(columns, rows) or not _share_detail(found) or agreement(found) < HALFWAY:
        return NONE
    times = _halvings(min(one.thumbnail.sharp, other.thumbnail.sharp))
    if times == 0:
        columns, rows = refine(one.thumbnail.luma, other.thumbnail.luma, columns, rows, steps=2)
    found = overlap(halve(one.thumbnail.luma, times), halve(other.thumbnail.luma, times), columns, rows)
    if not _is_wide(columns, rows) or differ_in_colour(one.thumbnail.chroma, other.thumbnail.chroma, columns, rows):
        return NONE
    return Likeness(max(0.0, agreement(found)), flipped)


def _halvings(sharp: int) -> int:
    """How often thumbnails are halved, so that what is compared is in both pictures."""
    return 0 if sharp >= SIDE * 0.75 else 1 if sharp >= SIDE * 0.375 else 2


def _is_wide(columns: Map, rows: Map) -> bool:
    for place in (columns, rows):
        start, end = span_of(place)
        if end - start < SPAN or (end - start) * place[1] < SPAN:
            return False
    return True


@lru_cache(maxsize=256)
def _block_means(size: int) -> Floats:
    """Weights of blocks that begin every half block, [blocks, size]."""
    length = max(2, round(size / BLOCKS))
    starts = np.linspace(0, size - length, 2 * BLOCKS - 1).round().astype(int)
    weights = np.zeros((len(starts), size), np.float32)
    for place, start in enumerate(starts):
        weights[place, start : start + length] = 1 / length
    return weights


def agreement(found: Overlap) -> float:
    """That of the worst block: 1 where the two are equal but for brightness and contrast, 0 where they are no more alike than chance."""
    height, width = found.one.shape
    down, along = _block_means(height), _block_means(width)
    seen = [_by_block(one, other, down, along) for one, other in found.cut_off()]
    return float(np.maximum(*seen).min())


def _by_block(one: Floats, other: Floats, down: Floats, along: Floats) -> Floats:
    """The agreement of each block."""

    def mean(values: Floats) -> Floats:
        return weighted(down, values, along)

    mean_a, mean_b = mean(one), mean(other)
    var_a = np.maximum(mean(one * one) - mean_a * mean_a, 0)
    var_b = np.maximum(mean(other * other) - mean_b * mean_b, 0)
    both = mean(one * other) - mean_a * mean_b
    gain = np.asarray(np.clip((both + NOISE) / (var_b + NOISE), 1 / TONE, TONE), np.float32)
    apart = np.maximum(0, var_a + gain * gain * var_b - 2 * gain * both - _explained(one, other, gain, mean))
    apart += np.maximum(0, np.abs(mean_a - mean_b) - SHADE) ** 2
    return np.asarray(1 - apart / (var_a + gain * gain * var_b + 2 * NOISE * NOISE), np.float32)


def _share_detail(found: Overlap) -> bool:
    """Whether the fine detail of both is the same, and enough of it: a plain wall or sky, or a gradient, has nothing to be known by."""
    one, other = _detail(found.one), _detail(found.other)
    strength = float(np.sqrt(min(one.var(), other.var())))
    return strength >= DETAIL and float((one * other).mean()) >= SHARED * float(one.std()) * float(other.std())


def _detail(values: Floats) -> Floats:
    """What is finer than a tenth of a side: no gradient."""
    means = [sampling(0, 1, size, size, blur=max(2.0, size / 12)) for size in values.shape]
    rest = values - weighted(means[0], values, means[1])
    edge = max(2, min(values.shape) // 12)
    return np.asarray(rest[edge:-edge, edge:-edge], np.float32)


def _explained(one: Floats, other: Floats, gain: Floats, mean: Callable[[Floats], Floats]) -> Floats:
    """The part of each block's difference that a small shift of the block explains, or a picture that is a little less sharp."""
    slopes = np.zeros((3, *other.shape), np.float32)
    slopes[0, :, 1:-1] = (other[:, 2:] - other[:, :-2]) / 2
    slopes[1, 1:-1] = (other[2:] - other[:-2]) / 2
    slopes[2, :, 1:-1] = other[:, 2:] + other[:, :-2] - 2 * other[:, 1:-1]
    slopes[2, 1:-1] += other[2:] + other[:-2] - 2 * other[1:-1]
    middle = [mean(slope) for slope in slopes]
    mean_a, mean_b = mean(one), mean(other)
    pull = np.stack(
        [mean(slope * one) - at * mean_a - gain * (mean(slope * other) - at * mean_b) for slope, at in zip(slopes, middle, strict=True)], -1
    )
    matrix = np.empty((*pull.shape, 3), np.float32)
    for row in range(3):
        for column in range(row + 1):
            matrix[..., row, column] = matrix[..., column, row] = mean(slopes[row] * slopes[column]) - middle[row] * middle[column]
    weight = 1.0 + 0.01 * matrix[..., [0, 1, 2], [0, 1, 2]].sum(axis=-1)
    moved = np.linalg.solve(matrix + weight[..., None, None] * np.eye(3, dtype=np.float32), pull[..., None])[..., 0]
    moved = np.clip(moved, -MOVED, MOVED)
    taken = 2 * (moved * pull).sum(axis=-1) - np.einsum("...i,...ij,...j->...", moved, matrix, moved)
    return np.asarray(np.maximum(0, taken), np.float32)


def differ_in_colour(one: Floats, other: Floats, columns: Map, rows: Map) -> bool:
    """Whether the colours differ by more than compression and brightness explain; [2, CHROMA, CHROMA] each."""
    (here_x, there_x), (here_y, there_y) = _colour_weights(columns), _colour_weights(rows)
    seen, met = here_y @ one @ here_x.T, there_y @ other @ there_x.T
    gain = float(np.clip((seen * met).sum() / max(1.0, float((met * met).sum())), 0.5, 2.0))
    apart = np.sqrt(((seen - gain * met) ** 2).sum(axis=0))
    return bool((apart > COLOUR + 0.35 * np.sqrt((seen * seen).sum(axis=0))).any())


def _colour_weights(place: Map) -> tuple[Floats, Floats]:
    start, end = span_of(place)
    p, q = place
    half = CHROMA // 2
    return sampling(start, end, half, CHROMA), sampling(p + q * start, p + q * end, half, CHROMA)
