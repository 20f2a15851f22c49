"""Features of all Samples, made into Pictures: read twice, a few at a time, so that memory follows the components kept."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cotforge.consensus.image.projection import COMPONENTS, Moments, Vectors
from cotforge.consensus.image.voter import FOLDS, Pictures
from cotforge.order import sample_rank

Batches = Callable[[], Iterator[tuple[Sequence[int], Vectors]]]
"""(places of Samples, a vector for each) from the beginning, in the same order each time; a Sample may have several vectors."""


def gather_pictures(ids: Sequence[str], batches: Batches, *, fold: Callable[[str], int]) -> Pictures:
    """The Pictures of Samples with these ids; of several vectors of one Sample the mean. `fold`: by which gold is parted."""
    moments: Moments | None = None
    for _, vectors_BD in batches():
        moments = moments or Moments(vectors_BD.shape[1])
        moments.add(vectors_BD)
    rank_N = np.array([sample_rank(id) >> 1 for id in ids], np.int64)
    fold_N = np.array([fold(id) % FOLDS for id in ids], np.int64)
    features_NP, count_N = np.zeros((len(ids), 0), np.float32), np.zeros(len(ids), np.int64)
    if moments is not None:
        project = moments.projection(COMPONENTS)
        features_NP = np.zeros((len(ids), project.axes_DP.shape[1]), np.float32)
        for places, vectors_BD in batches():
            np.add.at(features_NP, places, project(vectors_BD))
            np.add.at(count_N, places, 1)
        features_NP /= np.maximum(count_N, 1)[:, None]
    return Pictures(features_NP, count_N > 0, rank_N, fold_N)
