"""The coarse layout of a picture as numbers: pictures that share one of them may be near-duplicates, and only those are compared.

Each of several windows of a picture gives the signs of its lowest spatial frequencies (a perceptual hash: Zauner 2010, "Implementation
and benchmarking of perceptual image hash functions"). A crop has the signs of that window of the original which it comes nearest to. In
a mirror image, the signs of the frequencies that are odd along the rows are the opposite, so that no picture has to be hashed twice.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cotforge.dedup.alignment import CELLS, sampling
from cotforge.dedup.thumbnail import Floats, weighted

WINDOWS = ((0.0, 1.0), (0.05, 0.95), (0.1, 0.9), (0.07, 0.87), (0.13, 0.93), (0.14, 0.86))
"""(from, to) of one direction."""
HIGHEST = 6
"""Frequencies along the rows and down the columns that add up to more are left out: a small shift would turn their signs."""
BANDS, BITS = 4, 22
"""Numbers of a window, and signs of each. Chosen by measurement: `benchmarks/curation`."""


@lru_cache(maxsize=1)
def _frequencies() -> npt.NDArray[np.int64]:
    """(down, along) of each frequency that is used."""
    return np.array([(v, u) for v in range(HIGHEST) for u in range(HIGHEST) if 0 < u + v <= HIGHEST])


@lru_cache(maxsize=1)
def _weights() -> Floats:
    """The cosine transform of each window, [WINDOWS * HIGHEST, 32]."""
    place = np.arange(CELLS) + 0.5
    waves = np.stack([np.cos(np.pi * place * frequency / CELLS) for frequency in range(HIGHEST)]).astype(np.float32)
    return np.concatenate([waves @ sampling(start, end, CELLS, 32) for start, end in WINDOWS])


@lru_cache(maxsize=1)
def _chosen() -> npt.NDArray[np.int64]:
    """Which frequencies make each number: the lower, the likelier. [BANDS, BITS]"""
    weight = 1 / _frequencies().sum(axis=1)
    draw = np.random.default_rng(1)
    return np.stack([np.sort(draw.choice(len(weight), BITS, replace=False, p=weight / weight.sum())) for _ in range(BANDS)])


def layout_bands(small: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The numbers of a picture of 32 x 32, and those of its mirror image; each once."""
    count, weights = len(WINDOWS), _weights()
    waves = weighted(weights, small, weights).reshape(count, HIGHEST, count, HIGHEST).transpose(0, 2, 1, 3).reshape(-1, HIGHEST, HIGHEST)
    down, along = _frequencies().T
    signs = waves[:, down, along] > 0
    return _numbers(signs), _numbers(signs ^ (along % 2 == 1))


def _numbers(signs: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    bits = 1 << np.arange(BITS, dtype=np.int64)
    return np.unique(np.concatenate([signs[:, chosen] @ bits | place << BITS for place, chosen in enumerate(_chosen())]))
