"""What people's answers correct in a posterior: a conditional logit over the answers, shrunk towards no correction.

score(c) = b0 log p(c) + sum over columns v of b_v [v says c] + b_n max(0, how many say c - 1)

Shapes: N rows, S symbols, F = V + 2 features.
Source: the quadratic log-odds of dependent votes (arXiv 2601.22336), with one term for all pairs where a model of them stands below.
"""

from dataclasses import dataclass

import numpy as np

from cotforge.consensus.sequential.table import Floats, Ints

SLOPE, SAYS, REDUNDANT = 100.0, 50.0, 50.0
"""Ridge on b0 - 1, on b_v and on b_n (ours, from the simulated worlds)."""
_STEPS = 30
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights; by default none, and every posterior stays as it is."""

    weights_F: Floats | None = None

    def __call__(self, posterior_NS: Floats, answers_NV: Ints) -> Floats:
        """The posterior as corrected, [N, S]."""
        if self.weights_F is None:
            return posterior_NS
        return _softmax(features(posterior_NS, answers_NV) @ self.weights_F)


def features(posterior_NS: Floats, answers_NV: Ints) -> Floats:
    """[N, S, F]."""
    n, s = posterior_NS.shape
    v = answers_NV.shape[1]
    features_NSF = np.zeros((n, s, v + 2))
    features_NSF[:, :, 0] = np.log(np.maximum(posterior_NS, _LEAST))
    for column in range(v):
        some = np.flatnonzero(answers_NV[:, column] >= 0)
        features_NSF[some, answers_NV[some, column], 1 + column] = 1
    features_NSF[:, :, v + 1] = np.maximum(features_NSF[:, :, 1 : v + 1].sum(axis=2) - 1, 0)
    return features_NSF


def calibrate(posterior_NS: Floats, answers_NV: Ints, true_N: Ints, weight_N: Floats) -> Calibration:
    """Fit to rows whose true symbol is known, by Newton's method."""
    features_NSF = features(posterior_NS, answers_NV)
    f = features_NSF.shape[2]
    none_F = np.zeros(f)
    none_F[0] = 1
    ridge_F = np.array([SLOPE, *[SAYS] * (f - 2), REDUNDANT])
    weights_F = none_F.copy()
    right_NF = features_NSF[np.arange(len(true_N)), true_N]
    for _ in range(_STEPS):
        share_NS = _softmax(features_NSF @ weights_F)
        mean_NF = np.einsum("ns,nsf->nf", share_NS, features_NSF)
        gradient_F = weight_N @ (right_NF - mean_NF) - ridge_F * (weights_F - none_F)
        flat = (features_NSF * (share_NS * weight_N[:, None])[:, :, None]).reshape(-1, f)
        hessian_FF = flat.T @ features_NSF.reshape(-1, f) - (mean_NF * weight_N[:, None]).T @ mean_NF + np.diag(ridge_F)
        step_F = np.clip(np.linalg.solve(hessian_FF, gradient_F), -1, 1)
        weights_F = weights_F + step_F
        if np.abs(step_F).max() < 1e-7:
            break
    return Calibration(weights_F)


def _softmax(scores_NS: Floats) -> Floats:
    shares_NS = np.exp(scores_NS - scores_NS.max(axis=1, keepdims=True))
    return np.asarray(shares_NS / shares_NS.sum(axis=1, keepdims=True))
