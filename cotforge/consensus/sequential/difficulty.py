"""How answers come about where they are kept class by class: levels of difficulty, and a distractor that all voters share.

A Sample has a class y, a wrong class d that it resembles, and a level t of difficulty. A voter names y as often as it does at this level;
else it falls for d, or errs in its own way. So voters err together on the hard ones and towards the same class: what makes the posterior of
Dawid and Skene, who let them err independently given y, over-confident. With one level and no distractor the model is theirs.

Source: ours. The shared distractor as a mixture is in the spirit of EBCC (Li, Rubinstein and Cohn 2019, section 3).
Shapes: N rows, V columns (voters, then the label), C classes, T levels, M pairs (y, d) that resemble each other, H = T x M hidden states.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from cotforge.consensus.sequential.answer_table import NONE, UNKNOWN, UNTOLD, AnswerTable, Flags, Floats, Ints
from cotforge.consensus.sequential.confidence import Confidence
from cotforge.consensus.sequential.relatives import Relatives, same_symbol

KAPPA = 20.0
"""Pseudo-counts by which what a voter does in one class is shrunk towards what it does in all (ours)."""
ROUNDS, CLOSE = 60, 2e-6
"""Rounds of EM at most; nats per row that a round must gain (ours)."""
ELEMENTS = 4_000_000
"""Rows times hidden states that EM looks at; of more distinct rows a random part is taken (ours)."""
EASY, HARD = 0.9, 0.4
"""Accuracies that teachers are taken to have on the easiest and hardest level before anything is known (ours)."""
SAFE, LOOSE = 0.95, 0.85
"""The same of the label."""
NEAR = 7
"""Classes that a Sample of one class may resemble, where there are more (ours)."""
_FLOOR = 1e-4
ALONE = 1 << 18
"""Multiplications up to which OpenBLAS does a product in one thread (its default): more threads took twice the time on a busy machine."""
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Priors:
    """Pseudo-counts; all zero and one level make the model that of Dawid and Skene."""

    kappa: float = KAPPA
    teacher: float = 4.0
    label: float = 20.0
    levels: int = 3
    distractor: bool = True


class Difficulty:
    """The model with its parameters; `fit` changes them, all else is pure."""

    def __init__(
        self,
        classes: int,
        columns: int,
        priors: Priors | None = None,
        *,
        near_CC: Flags | None = None,
        bins: Sequence[int] = (),
        pictured: bool = False,
    ) -> None:
        """`classes`: at least 2; `columns`: voters and the label; `near_CC`: which classes d may be what a Sample of y resembles; `bins`:
        of confidence, of each column; `pictured`: whether the last column but one is what pictures say.
        """
        self.priors = priors or Priors()
        self.C, self.V, self.T = classes, columns, self.priors.levels
        self.unlike = ~np.eye(classes, dtype=bool)
        self.near_CC = self.unlike if near_CC is None else near_CC
        self.y_M, self.d_M = np.nonzero(self.near_CC)
        self.answer_H = np.tile(self.y_M, self.T)
        self.prior_C = np.full(classes, 1 / classes)
        self.level_T = np.full(self.T, 1 / self.T)
        self.distractor_CC = self.near_CC / self.near_CC.sum(axis=1, keepdims=True)
        self.right_VTC = np.repeat(self._guess_VT()[:, :, None], classes, axis=2)
        self.falls_V = np.full(columns, 0.4 if self.priors.distractor else 0.0)
        self.errors_VCC = np.repeat((self.unlike / (classes - 1))[None], columns, axis=0)
        self.relatives = Relatives(columns - 1 - pictured)
        self.pictured = pictured
        self.confidence = Confidence(bins or [1] * columns, picture=columns - 2 if pictured else None)
        self._first_C = np.searchsorted(self.y_M, np.arange(classes))
        self._tables: Any = None

    @property
    def symbols(self) -> int:
        return self.C

    @property
    def H(self) -> int:
        return len(self.answer_H)

    def _guess_VT(self) -> Floats:
        teacher = np.linspace(EASY, HARD, self.T) if self.T > 1 else np.array([0.75])
        label = np.linspace(SAFE, LOOSE, self.T) if self.T > 1 else np.array([0.9])
        return np.vstack([np.tile(teacher, (self.V - 1, 1)), label])

    def copy(self) -> "Difficulty":
        """One to go on from, which leaves this one as it is."""
        return deepcopy(self)

    # what it says of answers

    def prior_H(self) -> Floats:
        """Probability of each hidden state."""
        pair_M = self.prior_C[self.y_M] * self.distractor_CC[self.y_M, self.d_M]
        return np.asarray((self.level_T[:, None] * pair_M).ravel())

    def emission_VCH(self) -> Floats:
        """Probability of each answer in each hidden state."""
        at = np.arange(len(self.y_M))
        all_VCH = np.empty((self.V, self.C, self.H))
        for v in range(self.V):
            wrong_CM = (1 - self.falls_V[v]) * self.errors_VCC[v][self.y_M].T
            wrong_CM[self.d_M, at] += self.falls_V[v]
            right_TM = self.right_VTC[v][:, self.y_M]
            emission_CTM = wrong_CM[:, None, :] * (1 - right_TM)
            emission_CTM[self.y_M, :, at] = right_TM.T
            all_VCH[v] = emission_CTM.reshape(self.C, -1)
        return np.maximum(all_VCH, 1e-9)

    def prepared(self) -> "tuple[Floats, list[Floats]]":
        """(prior [H], per column [codes + 1, H] with a row of ones for no answer), kept until the next fit."""
        if self._tables is None:
            ones, all_VCH = np.ones((1, self.H)), self.emission_VCH()
            columns = [self.confidence.parted(v, emission, self.answer_H) for v, emission in enumerate(all_VCH)]
            self._tables = (self.prior_H(), [np.vstack([rows, ones]) for rows in columns])
        return self._tables  # type: ignore[no-any-return]

    def joint_NH(self, answers_NV: Ints) -> Floats:
        """Probability of the answers together with each hidden state."""
        prior_H, columns = self.prepared()
        joint_NH = np.repeat(prior_H[None], len(answers_NV), axis=0)
        for v, rows in enumerate(columns):
            said_N = answers_NV[:, v]
            if v == self.V - 1 and self.relatives.any:
                joint_NH *= self.relatives.likelihood(columns, answers_NV, self.C)
            elif (said_N >= 0).any():
                joint_NH *= rows[np.where(said_N < 0, len(rows) - 1, said_N)]
        return joint_NH

    def by_answer(self, joint_NH: Floats) -> Floats:
        """Summed over all hidden states with the same true symbol, [N, C]."""
        # no product with 0 and 1: see ALONE
        levels_NM = joint_NH.reshape(len(joint_NH), self.T, -1).sum(axis=1)
        return np.asarray(np.add.reduceat(levels_NM, self._first_C, axis=1))

    def spread(self, factor_NC: Floats) -> Floats:
        """A factor per true symbol, for each hidden state, [N, H]."""
        return np.asarray(factor_NC[:, self.answer_H])

    def outcomes(self, hidden_NH: Floats, voter: int, answers_NV: Ints) -> Floats:
        """Probability of each code of a voter's answer, [N, codes], where the hidden states have these probabilities."""
        if not self.relatives.share_K[voter]:
            return self._answer_probability(hidden_NH, voter)
        apart_NH, copied_NH = self.relatives.before(voter, self.prepared()[1], answers_NV, self.C)
        copied_NC = self._answer_probability(hidden_NH * copied_NH, voter)
        return self._answer_probability(hidden_NH * apart_NH, voter) + copied_NC * same_symbol(copied_NC.shape[1], answers_NV, self.C)

    def _answer_probability(self, hidden_NH: Floats, voter: int) -> Floats:
        """The same where the label has no relative."""
        says_HC = self.prepared()[1][voter][:-1].T
        size = max(1, ALONE // says_HC.size)
        parts = [hidden_NH[at : at + size] @ says_HC for at in range(0, len(hidden_NH), size)]
        return np.concatenate(parts) if parts else np.zeros((0, says_HC.shape[1]))

    # learning

    def fit(self, table: AnswerTable, *, rounds: int = ROUNDS) -> "Difficulty":
        """Fit to a table by EM, MAP; rows with gold are certain of their class. Goes on from the parameters it has."""
        table = thin_table(table, ELEMENTS // self.H)
        if not len(table):
            return self
        times_N = table.times_N
        taught_NV = self._teaching_answers(table)
        said = [_one_hot(taught_NV[:, v], self.C) for v in range(self.V)]
        self.confidence.know(table.answers_NV, times_N, self.C)
        known_NH = known_states(table.gold_N, self.answer_H)
        before = -np.inf
        for _ in range(rounds):
            joint_NH = self.joint_NH(table.answers_NV)
            joint_NH *= known_NH
            whole_N = joint_NH.sum(axis=1)
            joint_NH *= (times_N / np.maximum(whole_N, _TINY))[:, None]
            self._maximisation_step(joint_NH, said, table.answers_NV)
            if max(self.confidence.bins) > 1:
                self.confidence.fit(taught_NV, self.by_answer(joint_NH), self.C)
            self._tables = None
            now = float(times_N @ np.log(np.maximum(whole_N, _TINY))) / times_N.sum()
            if now - before < CLOSE:
                break
            before = now
        self._tables = None
        return self

    def _teaching_answers(self, table: AnswerTable) -> Ints:
        """The answers by which columns are judged: a picture's where everybody was asked, or it would be taken at its own word."""
        answers_NV = table.answers_NV.copy() if self.pictured else table.answers_NV
        if self.pictured:
            answers_NV[~table.everybody_N, -2] = NONE
        return answers_NV

    def _maximisation_step(self, weight_NH: Floats, said: list[Floats], answers_NV: Ints) -> None:
        kappa = self.priors.kappa
        whole_TM = weight_NH.sum(axis=0).reshape(self.T, -1)
        self.level_T = whole_TM.sum(axis=1) + kappa / 4
        self.level_T = self.level_T / self.level_T.sum()
        whole_M = whole_TM.sum(axis=0)
        prior_C = np.bincount(self.y_M, whole_M, self.C) + kappa / self.C
        self.prior_C = np.maximum(prior_C / prior_C.sum(), 1e-12)
        if self.priors.distractor:
            pairs_CC = kappa * self.near_CC / self.near_CC.sum(axis=1, keepdims=True)
            pairs_CC[self.y_M, self.d_M] += whole_M
            self.distractor_CC = pairs_CC / pairs_CC.sum(axis=1, keepdims=True)
        counts = [said_NC.T @ weight_NH for said_NC in said]
        if self.relatives.any:
            own_NH, copied = self.relatives.parts(weight_NH, self.prepared()[1], answers_NV, self.C)
            counts[-1] = said[-1].T @ own_NH
            for k, copied_NH in copied.items():
                counts[k] += said[-1].T @ (copied_NH * (answers_NV[:, k : k + 1] < 0))
            self.relatives.fit(copied, float(weight_NH[answers_NV[:, -1] >= 0].sum()))
        for v, guess_T in enumerate(self._guess_VT()):
            self._fit_voter(v, counts[v].reshape(self.C, self.T, -1), guess_T)

    def _fit_voter(self, v: int, count_CTM: Floats, guess_T: Floats) -> None:
        """One voter's accuracies by level and class, and what it says when it errs."""
        kappa, pseudo = self.priors.kappa, self.priors.label if v == self.V - 1 else self.priors.teacher
        at = np.arange(len(self.y_M))
        right_TM = count_CTM[self.y_M, :, at].T
        right_TC = _by_class(right_TM, self.y_M, self.C)
        whole_TC = _by_class(count_CTM.sum(axis=0), self.y_M, self.C)
        in_all_T = (right_TC.sum(axis=1) + guess_T * pseudo) / np.maximum(whole_TC.sum(axis=1) + pseudo, _TINY)
        share_TC = (right_TC + kappa * in_all_T[:, None]) / np.maximum(whole_TC + kappa, _TINY)
        self.right_VTC[v] = np.clip(share_TC, _FLOOR, 1 - _FLOOR)
        wrong_CM = count_CTM.sum(axis=1)
        wrong_CM[self.y_M, at] = 0
        fell_M = np.zeros(len(at))
        if self.priors.distractor:
            falls, errors_M = self.falls_V[v], self.errors_VCC[v][self.y_M, self.d_M]
            fell_M = wrong_CM[self.d_M, at] * falls / np.maximum(falls + (1 - falls) * errors_M, _TINY)
            guess = 0.2 if v == self.V - 1 else 0.4
            self.falls_V[v] = (fell_M.sum() + guess * 20) / (wrong_CM.sum() + 20)
        wrong_CM[self.d_M, at] -= fell_M
        own_CC = np.zeros((self.C, self.C))
        np.add.at(own_CC, self.y_M, wrong_CM.T)
        own_CC += np.maximum(kappa, _FLOOR) * self.unlike / (self.C - 1)
        self.errors_VCC[v] = own_CC / own_CC.sum(axis=1, keepdims=True)

    def accuracy(self) -> Floats:
        """Each column's share of right answers over all Samples, [V]."""
        return np.asarray((self.right_VTC.transpose(0, 2, 1) @ self.level_T) @ self.prior_C)


def nearest_classes(table: AnswerTable, classes: int) -> Flags:
    """For each class the `NEAR` others that voters name most often beside it, [C, C]: all of them where there are few."""
    if classes <= NEAR + 1:
        return ~np.eye(classes, dtype=bool)
    met_CC = np.zeros((classes, classes))
    columns = [*np.where(table.answers_NV < 0, NONE, table.answers_NV % classes).T, np.maximum(table.gold_N, -1)]
    for place, one_N in enumerate(columns):
        for other_N in columns[:place]:
            both = (one_N >= 0) & (other_N >= 0)
            np.add.at(met_CC, (one_N[both], other_N[both]), table.times_N[both])
    met_CC = met_CC + met_CC.T
    np.fill_diagonal(met_CC, -1)
    near_CC = np.zeros((classes, classes), bool)
    np.put_along_axis(near_CC, np.argsort(-met_CC, axis=1, kind="stable")[:, :NEAR], True, axis=1)
    return near_CC


def known_states(gold_N: Ints, answer_H: Ints) -> Any:
    """1 where a hidden state agrees with what is known of a row, else 0; the number 1 where nothing is known of any."""
    open_N = (gold_N == UNKNOWN) | (gold_N == UNTOLD)
    if open_N.all():
        return 1.0
    return open_N[:, None] | (gold_N[:, None] == answer_H)


def thin_table(table: AnswerTable, most: int) -> AnswerTable:
    """At most so many rows: all gold ones, and of the others a random part that follows from the rows themselves."""
    if len(table) <= most:
        return table
    mixed = np.full(len(table), 1469598103934665603, np.uint64)
    for column in (table.wave_N, *table.answers_NV.T):
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(1099511628211)
        mixed ^= mixed >> np.uint64(29)
    first = np.lexsort((mixed, table.gold_N == -1))[:most]
    chosen = np.zeros(len(table), bool)
    chosen[first] = True
    return table.where(chosen)


def _one_hot(codes_N: Ints, classes: int) -> Floats:
    said_N = np.where(codes_N < 0, NONE, codes_N % classes)
    return np.asarray((said_N[:, None] == np.arange(classes)).astype(float))


def _by_class(values_TM: Floats, y_M: Ints, classes: int) -> Floats:
    return np.stack([np.bincount(y_M, row, classes) for row in values_TM])
