"""Multinomial logistic regression with soft targets, by numpy alone.

Newton's method with Böhning's bound in the place of the Hessian, which costs one small inverse in all, and Nesterov's acceleration,
restarted where it overshoots. Sources: Böhning 1992, Multinomial logistic regression algorithm; O'Donoghue and Candès 2015, section 3.2.
Shapes: N rows, P features, C classes.
"""

import numpy as np

from cotforge.consensus.image.projection import Vectors
from cotforge.consensus.sequential.answer_table import Floats

RIDGES = (0.3, 0.1, 0.03, 0.01)
"""Weights of the squared coefficients that are tried, where the features' squared length is 1 in the mean."""
ROUNDS, CLOSE = 100, 1e-3
"""Steps at most; largest step of a coefficient, relative to the largest coefficient, that ends them."""
_LEAST = 1e-6
"""Ridge on the intercepts, which only keeps them finite."""


def fit_classifier(features_NP: Vectors, targets_NC: Floats, weight_N: Floats, *, ridge: float) -> Floats:
    """Coefficients [P + 1, C], the intercepts last; `targets_NC` are probabilities of each class."""
    inputs_NQ = _with_one(features_NP)
    ridge_Q = np.full(inputs_NQ.shape[1], ridge)
    ridge_Q[-1] = _LEAST
    targets_NC, weight_N1 = targets_NC.astype(np.float32), weight_N[:, None].astype(np.float32)
    bound_QQ = 0.5 * np.asarray((inputs_NQ * weight_N1).T @ inputs_NQ, float) + np.diag(ridge_Q)
    inverse_QQ = np.linalg.inv(bound_QQ)
    found_QC = ahead_QC = np.zeros((inputs_NQ.shape[1], targets_NC.shape[1]))
    momentum = 1.0
    for _ in range(ROUNDS):
        error_NC = (targets_NC - _softmax_rows(inputs_NQ @ ahead_QC.astype(np.float32))) * weight_N1
        gradient_QC = np.asarray(inputs_NQ.T @ error_NC, float) - ridge_Q[:, None] * ahead_QC
        next_QC = ahead_QC + inverse_QQ @ gradient_QC
        step_QC = next_QC - found_QC
        if float((gradient_QC * step_QC).sum()) < 0:
            momentum = 1.0
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead_QC = next_QC + (momentum - 1) / grown * step_QC
        found_QC, momentum = next_QC, grown
        if np.abs(step_QC).max() <= CLOSE * max(float(np.abs(found_QC).max()), 1e-9):
            break
    return found_QC


def predict_classes(features_NP: Vectors, coefficients_QC: Floats) -> Vectors:
    """Probability of each class, [N, C]."""
    return _softmax_rows(_with_one(features_NP) @ coefficients_QC.astype(np.float32))


def _with_one(features_NP: Vectors) -> Vectors:
    return np.column_stack([features_NP, np.ones(len(features_NP), np.float32)])


def _softmax_rows(scores_NC: Vectors) -> Vectors:
    shares_NC = np.exp(scores_NC - scores_NC.max(axis=1, keepdims=True))
    return np.asarray(shares_NC / shares_NC.sum(axis=1, keepdims=True))
