"""How answers come about where only who agrees with whom is kept: the model of `difficulty` with one accuracy per voter and level.

For free answers, and for more classes than confusions can be learned of. A symbol is a group of voters that say the same, numbered by
first appearance with the label's first; the true answer, and the distractor, is one of the groups or none of them.
Shapes: as in `difficulty`; G = V groups at most, hidden states (level, true group or none, distractor group or none).
"""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np

from cotforge.consensus.sequential.answer_table import UNNAMED, AnswerTable, Floats, Ints
from cotforge.consensus.sequential.confidence import Confidence
from cotforge.consensus.sequential.difficulty import (
    CLOSE,
    EASY,
    ELEMENTS,
    HARD,
    LOOSE,
    ROUNDS,
    SAFE,
    Priors,
    known_states,
    thin_table,
)
from cotforge.consensus.sequential.relatives import Relatives, same_symbol

_FLOOR = 1e-4
_TINY = 1e-300


class AgreementModel:
    """The model with its parameters; `fit` changes them, all else is pure."""

    def __init__(self, size: int, columns: int, priors: Priors | None = None, *, bins: Sequence[int] = ()) -> None:
        """`size`: classes an answer is one of, at least 2; `columns`: voters and the label; `bins`: of confidence, of each column."""
        self.priors = priors or Priors()
        self.size, self.V = max(size, columns + 1), columns
        self.T = self.priors.levels
        groups = [*range(columns), UNNAMED]
        states = [(t, y, d) for t in range(self.T) for y in groups for d in groups]
        self.level_H, self.answer_H, self.fallen_H = (np.array(axis) for axis in zip(*states, strict=True))
        self._member_HS = (self.answer_H[:, None] == np.array(groups)).astype(float)
        self.level_T = np.full(self.T, 1 / self.T)
        self.right_VT = self._guess_VT()
        self.falls_V = np.full(columns, 0.4)
        self.relatives = Relatives(columns - 1)
        self.confidence = Confidence(bins or [1] * columns)
        self._tables: list[Floats] | None = None
        self._ways_G = np.cumprod([1.0, *(self.size - np.arange(columns, dtype=float))])

    @property
    def symbols(self) -> int:
        return self.V

    @property
    def H(self) -> int:
        return len(self.answer_H)

    def _guess_VT(self) -> Floats:
        teacher, label = np.linspace(EASY, HARD, self.T), np.linspace(SAFE, LOOSE, self.T)
        return np.vstack([np.tile(teacher, (self.V - 1, 1)), label])

    def copy(self) -> "AgreementModel":
        """One to go on from, which leaves this one as it is."""
        return deepcopy(self)

    # what it says of answers

    def joint_NH(self, answers_NV: Ints) -> Floats:
        """Probability that voters agree like this, whatever it is they say, with each hidden state; 0 for groups that are not there."""
        joint_NH = self._prior_NH(self._count_groups(answers_NV))
        for v, rows_XH in enumerate(self._prepared_tables()):
            said_N = answers_NV[:, v]
            if v == self.V - 1 and self.relatives.any:
                joint_NH *= self.relatives.likelihood(self._prepared_tables(), answers_NV, self.V)
            elif (said_N >= 0).any():
                joint_NH *= rows_XH[np.where(said_N < 0, len(rows_XH) - 1, said_N)]
        return joint_NH

    def _count_groups(self, codes_NV: Ints) -> Ints:
        """How many groups there are, [N]."""
        return np.asarray(np.where(codes_NV < 0, -1, codes_NV % self.V).max(axis=1, initial=-1) + 1)

    def _prepared_tables(self) -> list[Floats]:
        """Per column the probability of each code in each hidden state, [codes + 1, H], the last for no answer; kept until a fit."""
        if self._tables is None:
            ones = np.ones((1, self.H))
            self._tables = [np.vstack([self.confidence.parted(v, self._emission_table(v), self.answer_H), ones]) for v in range(self.V)]
        return self._tables

    def _prior_NH(self, groups_N: Ints) -> Floats:
        """Probability of each hidden state where so many groups were named, times the ways in which they can be classes."""
        named, fallen = self.answer_H != UNNAMED, self.fallen_H != UNNAMED
        least_H = np.maximum(np.where(named, self.answer_H, -1), np.where(fallen, self.fallen_H, -1))
        possible_NH = (least_H < groups_N[:, None]) & ~(named & (self.answer_H == self.fallen_H))
        unnamed_N = self.size - groups_N[:, None]
        answer_NH = np.where(named, 1.0, unnamed_N) / self.size
        # Where the truth is unnamed itself, one unnamed class less is left to resemble it.
        fallen_NH = np.where(fallen, 1.0, unnamed_N - ~named) / (self.size - 1)
        return np.asarray(self._ways_G[groups_N][:, None] * self.level_T[self.level_H] * answer_NH * fallen_NH * possible_NH)

    def _emission_table(self, v: int) -> Floats:
        """Probability that a voter says what a group says, in each hidden state, [G, H]."""
        group_G1 = np.arange(self.V)[:, None]
        right_H = self.right_VT[v][self.level_H]
        astray = (1 - self.falls_V[v]) / (self.size - 1)
        wrong_GH = (1 - right_H) * np.where(self.fallen_H == group_G1, self.falls_V[v] + astray, astray)
        return np.asarray(np.where(self.answer_H == group_G1, right_H, wrong_GH))

    def by_answer(self, joint_NH: Floats) -> Floats:
        """Summed by the true group, [N, G + 1]: the last is that nobody named it."""
        return np.asarray(joint_NH @ self._member_HS)

    def spread(self, factor_NC: Floats) -> Floats:
        """A factor per true group (the last: none), for each hidden state, [N, H]."""
        return np.asarray(factor_NC[:, np.where(self.answer_H == UNNAMED, self.V, self.answer_H)])

    def outcomes(self, hidden_NH: Floats, voter: int, answers_NV: Ints) -> Floats:
        """Probability of each code of a voter's answer, [N, codes]: joining a group, or founding the next one."""
        joined_NX, in_bins_NB = self._joining_probability(hidden_NH, voter, answers_NV)
        joined_NBG = joined_NX.reshape(len(hidden_NH), self.confidence.bins[voter], self.V)
        groups_N = self._count_groups(answers_NV)
        joined_NBG *= (np.arange(self.V) < groups_N[:, None])[:, None]
        fresh_NB = np.maximum(in_bins_NB - joined_NBG.sum(axis=2), 0)
        room = groups_N < self.V
        joined_NBG[np.flatnonzero(room), :, groups_N[room]] = fresh_NB[room]
        return np.asarray(joined_NBG.reshape(len(hidden_NH), self.confidence.bins[voter] * self.V))

    def _in_bins(self, hidden_NH: Floats, voter: int) -> Floats:
        """Probability of each bin of a voter's confidence, whatever it says, [N, B]."""
        if self.confidence.bins[voter] == 1:
            return np.asarray(hidden_NH.sum(axis=1)[:, None])
        right_H = self.right_VT[voter][self.level_H]
        wrong_or_right_2H = np.stack([1 - right_H, right_H])
        parted_XH = self.confidence.parted(voter, wrong_or_right_2H, np.ones(self.H, np.int64))
        return np.asarray(hidden_NH @ parted_XH.reshape(-1, 2, self.H).sum(axis=1).T)

    def _joining_probability(self, hidden_NH: Floats, voter: int, answers_NV: Ints) -> tuple[Floats, Floats]:
        """Probability of each code of a voter's answer, were all groups there, [N, codes], and of each bin, [N, B]."""
        rows_XH = self._prepared_tables()[voter][:-1]
        if not self.relatives.share_K[voter]:
            return hidden_NH @ rows_XH.T, self._in_bins(hidden_NH, voter)
        apart_NH, copied_NH = self.relatives.before(voter, self._prepared_tables(), answers_NV, self.V)
        copied_NX = ((hidden_NH * copied_NH) @ rows_XH.T) * same_symbol(len(rows_XH), answers_NV, self.V)
        in_bins_NB = copied_NX.reshape(len(hidden_NH), self.confidence.bins[voter], self.V).sum(axis=2)
        return (hidden_NH * apart_NH) @ rows_XH.T + copied_NX, self._in_bins(hidden_NH * apart_NH, voter) + in_bins_NB

    # learning

    def fit(self, table: AnswerTable, *, rounds: int = ROUNDS) -> "AgreementModel":
        """Fit to a table by EM, MAP; rows with gold are certain of their answer. Goes on from the parameters it has."""
        table = thin_table(table, ELEMENTS // self.H)
        if not len(table):
            return self
        times_N = table.times_N
        known_NH = known_states(table.gold_N, self.answer_H)
        self.confidence.know(table.answers_NV, times_N, self.V)
        before = -np.inf
        for _ in range(rounds):
            joint_NH = self.joint_NH(table.answers_NV) * known_NH
            whole_N = joint_NH.sum(axis=1)
            joint_NH *= (times_N / np.maximum(whole_N, _TINY))[:, None]
            self._maximisation_step(joint_NH, table.answers_NV)
            if max(self.confidence.bins) > 1:
                self.confidence.fit(table.answers_NV, self.by_answer(joint_NH), self.V)
            self._tables = None
            now = float(times_N @ np.log(np.maximum(whole_N, _TINY))) / times_N.sum()
            if now - before < CLOSE:
                break
            before = now
        self._tables = None
        return self

    def _maximisation_step(self, weight_NH: Floats, answers_NV: Ints) -> None:
        kappa, symbols_NV = self.priors.kappa, np.where(answers_NV < 0, answers_NV, answers_NV % self.V)
        level_T = np.bincount(self.level_H, weight_NH.sum(axis=0), self.T) + kappa / 4
        own_NH, copied = weight_NH, dict[int, Floats]()
        if self.relatives.any:
            own_NH, copied = self.relatives.parts(weight_NH, self._prepared_tables(), answers_NV, self.V)
            self.relatives.fit(copied, float(weight_NH[answers_NV[:, -1] >= 0].sum()))
        for v, guess_T in enumerate(self._guess_VT()):
            pseudo = self.priors.label if v == self.V - 1 else self.priors.teacher
            some = symbols_NV[:, v] >= 0
            said_N, weights_NH = symbols_NV[some, v][:, None], (own_NH if v == self.V - 1 else weight_NH)[some]
            right_NH = weights_NH * (self.answer_H == said_N)
            right_T = np.bincount(self.level_H, right_NH.sum(axis=0), self.T)
            whole_T = np.bincount(self.level_H, weights_NH.sum(axis=0), self.T)
            share_T = (right_T + guess_T * pseudo) / np.maximum(whole_T + pseudo, _TINY)
            self.right_VT[v] = np.clip(share_T, _FLOOR, 1 - _FLOOR)
            falls, guess = self.falls_V[v], 0.2 if v == self.V - 1 else 0.4
            met = float((weights_NH * ((self.fallen_H == said_N) & (self.answer_H != said_N))).sum())
            fell = met * falls / (falls + (1 - falls) / (self.size - 1))
            self.falls_V[v] = (fell + guess * 20) / (float((weights_NH - right_NH).sum()) + 20)
        self.level_T = level_T / level_T.sum()

    def accuracy(self) -> Floats:
        """Each column's share of right answers over all Samples, [V]."""
        return np.asarray(self.right_VT @ self.level_T)
