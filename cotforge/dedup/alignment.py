"""Two pictures laid over each other: which part of one is seen in the other.

A crop is a map from places x of one picture to places p + q x of the other, for columns and rows apart. It is first looked for among a
few hundred windows, then refined (Lucas and Kanade 1981, "An iterative image registration technique"; with gain and offset, so that
brightness and contrast do not matter).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cotforge.dedup.thumbnail import Floats, halve, weighted

SCALES = (1.0, 0.93, 0.86, 0.79, 0.72)
"""Lengths of the windows that are tried, as shares of a side: a crop takes up to 15 % from either end."""
STEP, DEEPEST = 0.045, 0.16
"""How far apart windows begin, and the largest share that may be cut off at one end."""
CELLS = 16
"""Samples of a window in each direction."""

Map = tuple[float, float]
"""(p, q) of one direction: x of the one picture is p + q x in the other; 0 to 1 is a whole side."""


@lru_cache(maxsize=1)
def windows() -> tuple[tuple[float, float], ...]:
    """(from, to) of the windows of one direction."""
    found = []
    for scale in SCALES:
        low, high = max(0.0, 1 - scale - DEEPEST), min(DEEPEST, 1 - scale)
        steps = max(1, round((high - low) / STEP)) if high > low else 0
        found += [(start := low + (high - low) * (step / steps if steps else 0), start + scale) for step in range(steps + 1)]
    return tuple(found)


def sampling(start: float, end: float, samples: int, size: int, blur: float = 1.0) -> Floats:
    """Weights that take `samples` even samples between two places of a side of `size` pixels, [samples, size]."""
    step = (end - start) * size / samples
    centre = start * size + (np.arange(samples) + 0.5) * step - 0.5
    weight = np.maximum(0, 1 - np.abs(np.arange(size) - np.clip(centre, 0, size - 1)[:, None]) / (blur * max(1.0, step)))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


@lru_cache(maxsize=1)
def _window_weights() -> Floats:
    return np.concatenate([sampling(start, end, CELLS, 32) for start, end in windows()])


def window_views(luma: Floats) -> Floats:
    """Every window (rows, then columns) of a picture of 32 x 32, each of mean 0 and length 1, [W * W, CELLS * CELLS]."""
    weights, count = _window_weights(), len(windows())
    views = weighted(weights, luma, weights).reshape(count, CELLS, count, CELLS).transpose(0, 2, 1, 3).reshape(count * count, -1)
    return _unit_rows(np.asarray(views, np.float32))


def _unit_rows(rows: Floats) -> Floats:
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return np.asarray(rows / np.maximum(length, 1e-3), np.float32)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the one picture lies in the other."""

    columns: Map
    rows: Map
    score: float
    """Correlation of the parts that overlap, at the scale where it was found."""


def place_roughly(one: Floats, one_views: Floats, other: Floats, other_views: Floats) -> Placed:
    """The best of all windows of either picture against the whole of the other; both 32 x 32, with their `window_views`."""
    count = len(windows())
    best = Placed((0.0, 1.0), (0.0, 1.0), -1.0)
    for views, whole, turned in ((one_views, other, False), (other_views, one, True)):
        scores = views @ _unit_rows(halve(whole).reshape(1, -1))[0]
        place = int(scores.argmax())
        if scores[place] > best.score:
            row, column = windows()[place // count], windows()[place % count]
            # A window from a to b of this one is the whole of that one: x here is (x - a) / (b - a) there.
            maps = [(-low / (high - low), 1 / (high - low)) if not turned else (low, high - low) for low, high in (column, row)]
            best = Placed(maps[0], maps[1], float(scores[place]))
    return best


@dataclass(frozen=True, slots=True)
class Overlap:
    """The parts of two pictures that show the same, sampled alike, the other with the gain and offset of the one."""

    one: Floats
    other: Floats
    gain: float
    offset: float

    def cut_off(self) -> "tuple[tuple[Floats, Floats], ...]":
        """(one, other) as they are seen where brightness has cut the one off, and where it has cut the other off."""
        low, high = sorted((self.offset, 255 * self.gain + self.offset))
        return (self.one, np.clip(self.other, 0, 255)), (np.clip(self.one, low, high), self.other)


def span_of(place: Map) -> tuple[float, float]:
    """The part of the one picture's side that the other covers."""
    p, q = place
    return max(0.0, -p / q), min(1.0, (1 - p) / q)


def _sample_both(place: Map, size: int, blur: float) -> tuple[Floats, Floats]:
    """Weights for the one and the other, in one direction."""
    start, end = span_of(place)
    p, q = place
    samples = max(8, round(size * min(1.0, q) * (end - start)))
    return sampling(start, end, samples, size, blur), sampling(p + q * start, p + q * end, samples, size, blur)


def overlap(one: Floats, other: Floats, columns: Map, rows: Map, *, blur: float = 1.5) -> Overlap:
    """Both pictures of one size, sampled where they overlap."""
    size = len(one)
    (one_x, other_x), (one_y, other_y) = _sample_both(columns, size, blur), _sample_both(rows, size, blur)
    seen = weighted(one_y, one, one_x)
    met = weighted(other_y, other, other_x)
    gain, offset = _gain(seen, met)
    return Overlap(seen, np.asarray(gain * met + offset, np.float32), gain, offset)


def _gain(seen: Floats, met: Floats) -> tuple[float, float]:
    """The gain and offset that bring `met` to `seen`; pixels at the ends of the range are left out, which brightness may have cut."""
    inner = (seen > 4) & (seen < 251) & (met > 4) & (met < 251)
    a, b = (seen[inner], met[inner]) if inner.mean() > 0.25 else (seen.ravel(), met.ravel())
    a_mean, b_mean = float(a.mean()), float(b.mean())
    # The geometric mean of both regressions: noise in either does not flatten it.
    gain = float(np.sqrt((a.var() + 1e-3) / (b.var() + 1e-3)))
    return gain, a_mean - gain * b_mean


def refine(one: Floats, other: Floats, columns: Map, rows: Map, *, steps: int) -> tuple[Map, Map]:
    """The maps moved and stretched until the two agree best."""
    for _ in range(steps):
        (start_x, end_x), (start_y, end_y) = span_of(columns), span_of(rows)
        if end_x - start_x < 0.3 or end_y - start_y < 0.3:
            break
        found = overlap(one, other, columns, rows)
        rest = (found.one - found.other)[1:-1, 1:-1]
        slope_x = (found.other[1:-1, 2:] - found.other[1:-1, :-2]) / 2
        slope_y = (found.other[2:, 1:-1] - found.other[:-2, 1:-1]) / 2
        height, width = rest.shape
        along = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / width
        down = ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / height)[:, None]
        slopes = np.stack([slope_x, slope_x * along, slope_y, slope_y * down]).reshape(4, -1)
        weight = 1 / (1 + (rest.ravel() / 24) ** 2)  # what differs in earnest does not pull
        system = (slopes * weight) @ slopes.T
        move = np.linalg.solve(system + np.eye(4) * (1e-3 * system.trace() + 1e-3), (slopes * weight) @ rest.ravel())
        step_x, step_y = (end_x - start_x) / (width + 2), (end_y - start_y) / (height + 2)
        columns = _moved(columns, move[0] * step_x, move[1] / width, (start_x + end_x) / 2)
        rows = _moved(rows, move[2] * step_y, move[3] / height, (start_y + end_y) / 2)
        if np.abs(move).max() < 0.02:
            break
    return columns, rows


def _moved(place: Map, shift: float, stretch: float, centre: float) -> Map:
    """The map of x + shift + stretch (x - centre)."""
    p, q = place
    shift, stretch = max(-0.06, min(0.06, float(shift))), max(-0.06, min(0.06, float(stretch)))
    return p + q * (shift - stretch * centre), q * (1 + stretch)


@lru_cache(maxsize=64)
def _blocks(size: int, length: int) -> Floats:
    """Means of blocks of `length` samples that begin every half block, [blocks, size]."""
    count = max(1, round((size - length) / (length / 2)) + 1)
    starts = np.linspace(0, max(0, size - length), count).round().astype(int)
    weights = np.zeros((count, size), np.float32)
    for place, start in enumerate(starts):
        weights[place, start : start + length] = 1 / min(length, size)
    return weights
