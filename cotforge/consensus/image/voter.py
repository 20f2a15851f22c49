"""What a classifier of pictures says of every Sample, having learned from all others: the picture as a voter.

Its targets are what is believed of each Sample, soft where that is unsure. A Sample is judged by a classifier that has not seen its part,
so that it does not repeat the Sample's own label. Source: cross-fitting, as in CROWDLAB (Goh, Tkachenko and Mueller 2022, section 3).
Shapes: N Samples, P features, C classes.
"""

from dataclasses import dataclass

import numpy as np

from cotforge.consensus.image.classifier import RIDGES, fit_classifier, predict_classes
from cotforge.consensus.image.projection import Vectors
from cotforge.consensus.sequential.answer_table import NONE, Flags, Floats, Ints

FOLDS = 5
"""Parts of the Samples, each of which is judged by what the others taught."""
EDGES = (0.25, 0.5)
"""Shares of the Samples, the least sure first, at which the answers are parted into bins of confidence."""
MOST = 10_000
"""Samples that a classifier learns from; of more, those that were asked about first, then a random part."""
TRIED = 2_000
"""Samples on which its ridge is chosen."""
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Pictures:
    """The features of all Samples of a run or table, in a fixed order."""

    features_NP: Vectors
    """Principal components; see `projection`."""
    there_N: Flags
    """Whether there are features."""
    rank_N: Ints
    """A random number that follows from the id, at least 0."""
    fold_N: Ints
    """From 0 to `FOLDS` - 1: the part of a Sample, for people's answers too."""

    def __len__(self) -> int:
        return len(self.rank_N)


def picture_votes(pictures: Pictures, targets_NC: Floats, known_N: Flags, heard_N: Flags) -> Ints:
    """The code of each picture's answer, `bin * C + class`, the bins from 1, the surest last; `NONE` without features.

    `targets_NC`: probability of each class; `known_N`: where they tell anything; `heard_N`: Samples that somebody was asked about. All
    `NONE` where there are no features, or too few Samples with them to part.
    """
    code_N = np.full(len(pictures), NONE, np.int64)
    learnable = np.flatnonzero(known_N & pictures.there_N)
    order = np.lexsort((pictures.rank_N[learnable], ~heard_N[learnable]))
    taught = learnable[order[:MOST]]
    if not pictures.features_NP.shape[1] or len(np.unique(pictures.fold_N[taught])) < FOLDS:
        return code_N
    tried = taught[:TRIED]
    ridge = min(RIDGES, key=lambda ridge: _held_out_loss(pictures, targets_NC, tried, ridge))
    share_NC = _crossfit_probabilities(pictures, targets_NC, taught, np.flatnonzero(pictures.there_N), ridge)
    sure_N = np.round(share_NC.max(axis=1), 6)  # the last digits of a sum must not decide
    edges = np.quantile(sure_N, EDGES, method="lower")
    bin_N = 1 + np.searchsorted(edges, sure_N, side="right")
    code_N[pictures.there_N] = bin_N * targets_NC.shape[1] + share_NC.argmax(axis=1)
    return code_N


def _held_out_loss(pictures: Pictures, targets_NC: Floats, tried: Ints, ridge: float) -> float:
    """Mean cross-entropy of the targets under classifiers that have not seen them, in nats."""
    share_NC = _crossfit_probabilities(pictures, targets_NC, tried, tried, ridge)
    return float(-(targets_NC[tried] * np.log(np.maximum(share_NC, _LEAST))).sum(axis=1).mean())


def _crossfit_probabilities(pictures: Pictures, targets_NC: Floats, taught: Ints, asked: Ints, ridge: float) -> Vectors:
    """Probability of each class of the Samples `asked`, by a classifier of those `taught` that are not of the same part."""
    share_NC = np.zeros((len(asked), targets_NC.shape[1]), np.float32)
    for fold in range(FOLDS):
        others, here = taught[pictures.fold_N[taught] != fold], pictures.fold_N[asked] == fold
        coefficients = fit_classifier(pictures.features_NP[others], targets_NC[others], np.ones(len(others)), ridge=ridge)
        share_NC[here] = predict_classes(pictures.features_NP[asked[here]], coefficients)
    return share_NC
