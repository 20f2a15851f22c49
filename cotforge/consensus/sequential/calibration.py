"""What people's answers correct in a posterior: how far to trust it, and the label in it.

score(c) = b log p(c) + l [the label says c], made to sum to 1 again: a conditional logit, shrunk towards b = 1, l = 0. More weights
(one per teacher, one for agreement) were tried: with a few hundred answers, how much is accepted then differs from draw to draw.

Where people could not tell some of the checked Samples, none of the classes may be right: how often, by how sure the leading answer is, is
a logistic regression on these Samples, shrunk towards their share.

Shapes: N rows, S symbols, F = 2 features.
"""

from dataclasses import dataclass

import numpy as np

from cotforge.consensus.sequential.answer_table import Flags, Floats, Ints

SLOPE, LABEL = 50.0, 4.0
"""Ridge on b - 1 and on l (default chosen by measurement: benchmarks); with 20 on l, a hundred checked answers could not move it."""
SURENESS = 10.0
"""Ridge on how much less often none is right where the leading answer is surer (default chosen by measurement: benchmarks)."""
_STEPS = 30
_LEAST = 1e-12
_FARTHEST = 8.0
"""Log odds beyond which a posterior is no surer."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights; by default none, and every posterior stays as it is."""

    weights_F: Floats | None = None
    none_F: Floats | None = None
    """Of the log odds that none of the classes is right: a constant, and per log odds of the leading one; None where people always could
    tell."""
    some_at_all: float = 1.0
    """Share of Samples of which people can tell."""

    def __call__(self, posterior_NS: Floats, answers_NV: Ints) -> Floats:
        """The posterior as corrected, [N, S], where one of the classes is right."""
        if self.weights_F is None:
            return posterior_NS
        return _softmax_scores(calibration_features(posterior_NS, answers_NV) @ self.weights_F)

    def some(self, corrected_NS: Floats) -> Floats:
        """Probability that one of the classes is right, [N], by the corrected posterior."""
        if self.none_F is None:
            return np.ones(len(corrected_NS))
        return np.asarray(1 / (1 + np.exp(sureness_features(corrected_NS) @ self.none_F)))


def calibration_features(posterior_NS: Floats, answers_NV: Ints) -> Floats:
    """[N, S, F]."""
    features_NSF = np.zeros((*posterior_NS.shape, 2))
    features_NSF[:, :, 0] = np.log(np.maximum(posterior_NS, _LEAST))
    labelled = np.flatnonzero(answers_NV[:, -1] >= 0)
    features_NSF[labelled, answers_NV[labelled, -1], 1] = 1
    return features_NSF


def fit_calibration(posterior_NS: Floats, answers_NV: Ints, true_N: Ints, weight_N: Floats) -> Calibration:
    """Fit to rows whose true symbol is known, by Newton's method."""
    features_NSF = calibration_features(posterior_NS, answers_NV)
    none_F, ridge_F = np.array([1.0, 0.0]), np.array([SLOPE, LABEL])
    weights_F = none_F.copy()
    right_NF = features_NSF[np.arange(len(true_N)), true_N]
    for _ in range(_STEPS):
        share_NS = _softmax_scores(features_NSF @ weights_F)
        mean_NF = np.einsum("ns,nsf->nf", share_NS, features_NSF)
        gradient_F = weight_N @ (right_NF - mean_NF) - ridge_F * (weights_F - none_F)
        flat = (features_NSF * (share_NS * weight_N[:, None])[:, :, None]).reshape(-1, 2)
        hessian_FF = flat.T @ features_NSF.reshape(-1, 2) - (mean_NF * weight_N[:, None]).T @ mean_NF + np.diag(ridge_F)
        step_F = np.clip(np.linalg.solve(hessian_FF, gradient_F), -1, 1)
        weights_F = weights_F + step_F
        if np.abs(step_F).max() < 1e-7:
            break
    return Calibration(weights_F)


def sureness_features(corrected_NS: Floats) -> Floats:
    """[N, F]: 1, and the log odds of the leading symbol."""
    best_N = np.clip(corrected_NS.max(axis=1, initial=_LEAST), _LEAST, 1 - _LEAST)
    odds_N = np.clip(np.log(best_N) - np.log1p(-best_N), -_FARTHEST, _FARTHEST)
    return np.column_stack([np.ones(len(odds_N)), odds_N])


def with_none(found: Calibration, corrected_NS: Floats, told_N: Flags, weight_N: Floats) -> Calibration:
    """The same with the odds that none is right, fit to checked rows by Newton's method."""
    features_NF, untold_N = sureness_features(corrected_NS), (~told_N).astype(float)
    share = float((weight_N @ untold_N + 0.5) / (weight_N.sum() + 1))
    none_F = np.array([np.log(share) - np.log1p(-share), 0.0])
    ridge_F, weights_F = np.array([1e-6, SURENESS]), none_F.copy()
    for _ in range(_STEPS):
        none_N = 1 / (1 + np.exp(-features_NF @ weights_F))
        gradient_F = (weight_N * (untold_N - none_N)) @ features_NF - ridge_F * (weights_F - none_F)
        flat_NF = features_NF * (weight_N * none_N * (1 - none_N))[:, None]
        step_F = np.clip(np.linalg.solve(flat_NF.T @ features_NF + np.diag(ridge_F), gradient_F), -1, 1)
        weights_F = weights_F + step_F
        if np.abs(step_F).max() < 1e-7:
            break
    return Calibration(found.weights_F, weights_F, 1 - share)


def _softmax_scores(scores_NS: Floats) -> Floats:
    shares_NS = np.exp(scores_NS - scores_NS.max(axis=1, keepdims=True))
    return np.asarray(shares_NS / shares_NS.sum(axis=1, keepdims=True))
