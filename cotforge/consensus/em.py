"""Dawid and Skene's model learned by EM over packed votes: confusion matrices, or one accuracy per voter.

Shapes: N patterns, E entries (a voter gave an answer in a pattern), A answers given in patterns, V voters (the teachers by name,
then the label where it votes), C classes. Everything is summed in the patterns' own order, so a result depends on no other.

Source: Dawid and Skene 1979 (Applied Statistics 28(1)), equations 2.3 to 2.5; rows of a confusion matrix are shrunk towards the
voter's own one-coin row, which is what makes them safe on a few hundred samples.
"""
# ruff: noqa: N803, N806, N815
# Arrays end in their axes.

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cotforge.consensus.annotators import Matrices, OneCoin, size_of
from cotforge.consensus.votes import Pattern, Votes

KAPPA = 20.0
"""Pseudo-counts per row of a confusion matrix: as good as none on 20,000 samples, safe on 400."""
TEACHER_PRIOR = (0.75, 4.0)
"""Accuracy and pseudo-counts: weak, it only keeps a teacher that was never seen wrong from being certain."""
LABEL_PRIOR = (0.9, 60.0)
"""Accuracy and pseudo-counts: data sets are mostly right, and that should take some evidence to unlearn."""
_ROUNDS, _CLOSE = 200, 1e-7
_FLOOR = 1e-10

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Ground:
    """Packed votes as arrays."""

    teachers: tuple[str, ...]
    labelled: bool
    """Whether the label votes: the last voter."""
    item_E: Places
    answer_E: Places
    """Place among all answers given, A."""
    place_E: Places
    """Class, where answers are kept by class."""
    voter_E: Places
    weight_E: Floats
    item_A: Places
    size_N: Floats
    """Classes an answer is one of: see `size_of`."""
    times_N: Floats

    @property
    def priors(self) -> tuple[Floats, Floats]:
        """Accuracy and pseudo-counts of every voter, [V] each."""
        rows = [TEACHER_PRIOR] * len(self.teachers) + [LABEL_PRIOR] * self.labelled
        accuracy_V, counts_V = np.array(rows, dtype=float).reshape(-1, 2).T
        return accuracy_V, counts_V


def vote_arrays(votes: Votes, *, label: bool) -> Ground:
    """The votes as arrays; without `label` the raw labels are as if they were not there."""
    item_E, answer_E, place_E, voter_E, item_A = (array("i") for _ in range(5))
    weight_E, size_N, times_N = (array("d") for _ in range(3))
    the_label = len(votes.teachers) if label else None
    for pattern, times in votes.patterns():
        item, first = len(times_N), len(item_A)
        for place, heard in _pattern_answers(pattern, the_label):
            item_E.extend([item] * len(heard))
            answer_E.extend([len(item_A)] * len(heard))
            place_E.extend([place] * len(heard))
            voter_E.extend(heard)
            weight_E.extend(heard.values())
            item_A.append(item)
        size_N.append(size_of(pattern.size, len(item_A) - first))
        times_N.append(times)
    places = {"item_E": item_E, "answer_E": answer_E, "place_E": place_E, "voter_E": voter_E, "item_A": item_A}
    floats = {"weight_E": weight_E, "size_N": size_N, "times_N": times_N}
    arrays: dict[str, Any] = {name: np.frombuffer(part, np.int32) for name, part in places.items()}
    arrays |= {name: np.frombuffer(part, float) for name, part in floats.items()}
    return Ground(votes.teachers, label, **arrays)


def _pattern_answers(pattern: Pattern, the_label: int | None) -> Iterator[tuple[int, dict[int, float]]]:
    """(place, {voter: weight}) of every answer given; the ballots of one teacher on one sample share one voice."""
    voices: Counter[int] = Counter()
    for said in pattern.answers:
        voices.update(dict(said.voices))
    for said in pattern.answers:
        heard = {voter: count / voices[voter] for voter, count in said.voices}
        if said.by_label and the_label is not None:
            heard[the_label] = 1.0
        if heard:
            yield said.place, heard


def fit_annotators(votes: Votes, *, label: bool) -> Matrices | OneCoin:
    """Confusion matrices where all samples share one closed set of few classes, else one accuracy per voter."""
    found = vote_arrays(votes, label=label)
    return fit_matrices(found, votes.options) if votes.options else one_coin(found)


def one_coin(votes: Ground) -> OneCoin:
    """Every voter's accuracy, MAP."""
    accuracy_V, counts_V = votes.priors
    right_V = accuracy_V * counts_V
    strength_E = votes.weight_E * votes.times_N[votes.item_E]
    shape = len(accuracy_V)
    whole_V = np.bincount(votes.voter_E, strength_E, shape) + counts_V
    posterior_A = _shares_given(votes)
    for _ in range(_ROUNDS):
        before_V = accuracy_V
        accuracy_V = (np.bincount(votes.voter_E, strength_E * posterior_A[votes.answer_E], shape) + right_V) / whole_V
        if np.abs(accuracy_V - before_V).max(initial=0.0) < _CLOSE:
            break
        posterior_A = _coin_posterior(votes, accuracy_V)
    accuracies = accuracy_V.tolist()
    return OneCoin(dict(zip(votes.teachers, accuracies, strict=False)), accuracies[-1] if votes.labelled else LABEL_PRIOR[0])


def fit_matrices(votes: Ground, options: tuple[str, ...], *, kappa: float = KAPPA) -> Matrices:
    """Every voter's confusion matrix and the classes' shares, MAP; with `kappa` 0 the maximum likelihood of Dawid and Skene.

    `options` are the classes, sorted, as `Votes.options` gives them.
    """
    n, c = len(votes.times_N), len(options)
    share_A = _shares_given(votes)
    posterior_NC = np.zeros((n, c))
    posterior_NC[votes.item_E, votes.place_E] = share_A[votes.answer_E]
    theta_VCC, prior_C = _maximisation_step(votes, posterior_NC, kappa)
    for _ in range(_ROUNDS):
        before_VCC = theta_VCC
        posterior_NC = _matrix_posterior(votes, theta_VCC, prior_C)
        theta_VCC, prior_C = _maximisation_step(votes, posterior_NC, kappa)
        if np.abs(theta_VCC - before_VCC).max(initial=0.0) < _CLOSE:
            break
    logs = np.log(theta_VCC).tolist()
    teachers = dict(zip(votes.teachers, logs, strict=False))
    return Matrices(options, np.log(prior_C).tolist(), teachers, logs[-1] if votes.labelled else None)


def _shares_given(votes: Ground) -> Floats:
    """The share of voices each answer got in its pattern, [A]: where EM starts."""
    weight_A = np.bincount(votes.answer_E, votes.weight_E, len(votes.item_A))
    return _as_floats(weight_A / np.bincount(votes.item_A, weight_A, len(votes.times_N))[votes.item_A])


def _coin_posterior(votes: Ground, accuracy_V: Floats) -> Floats:
    """Probability of each answer given, [A]; the rest of a pattern's mass lies on classes nobody named."""
    odds_V = np.log(accuracy_V) - np.log1p(-accuracy_V)
    log_E = votes.weight_E * (odds_V[votes.voter_E] + np.log(votes.size_N - 1)[votes.item_E])
    log_A = np.bincount(votes.answer_E, log_E, len(votes.item_A))
    first = np.flatnonzero(np.diff(votes.item_A, prepend=-1))
    top_N = np.maximum(np.maximum.reduceat(log_A, first), 0.0) if len(first) else np.zeros(0)
    weight_A = np.exp(log_A - top_N[votes.item_A])
    unnamed_N = (votes.size_N - np.bincount(votes.item_A, minlength=len(top_N))) * np.exp(-top_N)
    whole_N = np.bincount(votes.item_A, weight_A, len(top_N)) + unnamed_N
    return _as_floats(weight_A / whole_N[votes.item_A])


def _matrix_posterior(votes: Ground, theta_VCC: Floats, prior_C: Floats) -> Floats:
    """Probability of each class, [N, C]."""
    n, c = len(votes.times_N), len(prior_C)
    log_NC = np.empty((n, c))
    log_VCC = np.log(theta_VCC)
    for true in range(c):
        log_E = votes.weight_E * log_VCC[votes.voter_E, votes.place_E, true]
        log_NC[:, true] = np.bincount(votes.item_E, log_E, n) + np.log(prior_C[true])
    log_NC -= log_NC.max(axis=1, keepdims=True)
    np.exp(log_NC, out=log_NC)
    log_NC /= log_NC.sum(axis=1, keepdims=True)
    return log_NC


def _maximisation_step(votes: Ground, posterior_NC: Floats, kappa: float) -> tuple[Floats, Floats]:
    """Confusion [voter, named, true] and shares of the classes [C] that fit a posterior best."""
    c, (guess_V, pseudo_V) = posterior_NC.shape[1], votes.priors
    strength_E = votes.weight_E * votes.times_N[votes.item_E]
    cell_E = votes.voter_E * c + votes.place_E
    counts_VCC = np.empty((len(guess_V), c, c))
    for true in range(c):
        cells = np.bincount(cell_E, strength_E * posterior_NC[votes.item_E, true], counts_VCC[..., true].size)
        counts_VCC[..., true] = cells.reshape(-1, c)
    right_V = np.trace(counts_VCC, axis1=1, axis2=2)
    accuracy_V = (right_V + guess_V * pseudo_V) / (counts_VCC.sum(axis=(1, 2)) + pseudo_V)
    coin_VCC = np.where(np.eye(c, dtype=bool), accuracy_V[:, None, None], ((1 - accuracy_V) / (c - 1))[:, None, None])
    counts_VCC = np.maximum(counts_VCC + kappa * coin_VCC, _FLOOR)
    seen_C = votes.times_N @ posterior_NC
    prior_C = np.maximum(seen_C + kappa / c, _FLOOR)
    return counts_VCC / counts_VCC.sum(axis=1, keepdims=True), prior_C / prior_C.sum()


def _as_floats(values: Any) -> Floats:
    return np.asarray(values, dtype=float)
