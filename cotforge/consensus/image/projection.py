"""Principal components of vectors that are read a few at a time: memory follows their length, not their number.

Shapes: B vectors of a batch, D numbers of a vector, P components.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cotforge.consensus.sequential.answer_table import Floats

Vectors = npt.NDArray[np.float32]

COMPONENTS = 64
"""Components kept at most; default chosen by measurement: benchmarks.consensus, real pictures."""
LONGEST = 4_096
"""Numbers of a vector at most: what is summed over them grows with the square."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Projection:
    """A mean and the axes of largest variance around it."""

    mean_D: Floats
    axes_DP: Floats

    def __call__(self, vectors_BD: Floats | Vectors) -> Vectors:
        """The vectors along the axes, [B, P]: their squared length is 1 in the mean of all."""
        return np.asarray((vectors_BD - self.mean_D) @ self.axes_DP, np.float32)


class Moments:
    """Sums over vectors, added in any batches."""

    def __init__(self, length: int) -> None:
        """`length`: D, at least 1."""
        self.count = 0
        self._shift_D: Floats | None = None
        self._sum_D = np.zeros(length)
        self._products_DD = np.zeros((length, length))

    def add(self, vectors_BD: Floats | Vectors) -> None:
        """Counts finite vectors in."""
        if not len(vectors_BD):
            return
        if self._shift_D is None:  # near the mean, so that the difference of two large sums is not taken
            self._shift_D = np.asarray(vectors_BD, float).mean(axis=0)
        shifted_BD = np.asarray(vectors_BD, float) - self._shift_D
        self.count += len(shifted_BD)
        self._sum_D += shifted_BD.sum(axis=0)
        self._products_DD += shifted_BD.T @ shifted_BD

    def projection(self, most: int = COMPONENTS) -> Projection:
        """The axes of largest variance, at most so many; none where there are fewer than two vectors, or all are the same."""
        if self._shift_D is None or self.count < 2:
            return Projection(np.zeros(len(self._sum_D)), np.zeros((len(self._sum_D), 0)))
        mean_D = self._sum_D / self.count
        covariance_DD = self._products_DD / self.count - np.outer(mean_D, mean_D)
        variance_P, axes_DP = np.linalg.eigh(covariance_DD)
        first = np.argsort(-variance_P, kind="stable")[:most]
        first = first[variance_P[first] > _TINY * max(float(variance_P.max()), _TINY)]
        whole = float(variance_P[first].sum())
        return Projection(self._shift_D + mean_D, axes_DP[:, first] / np.sqrt(whole) if whole > 0 else axes_DP[:, :0])
