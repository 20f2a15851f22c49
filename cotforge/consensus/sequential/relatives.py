"""Labels that a relative of a teacher made: they repeat what that teacher says, its errors too.

Given a hidden state h and the answers r of the teachers, the label l comes about as a mixture: with probability `share_K[k]` it is what
teacher k says (or would say), else it is drawn as the label's own accuracy has it:

    P(l | r, h) = sum over k of share_k [r_k = l]  +  (1 - sum of the shares) P_own(l | h)

For a teacher that was not asked, [r_k = l] is the probability that it would have said l. With all shares 0 the label errs by itself.

Shapes: N rows, V columns (voters, then the label), K voters, H hidden states.
"""

from collections.abc import Sequence

import numpy as np

from cotforge.consensus.sequential.answer_table import Flags, Floats, Ints

RELATED = 0.25
"""Share from which on a teacher and the label are one voice where nobody is believed alone."""
_TINY = 1e-300


class Relatives:
    """How often the label is what each teacher says; `fit` changes it, all else is pure."""

    def __init__(self, voters: int) -> None:
        self.share_K = np.zeros(voters)

    @property
    def any(self) -> bool:
        """Whether the label has a relative."""
        return bool(self.share_K.any())

    @property
    def own(self) -> float:
        """Share of the labels that come about by themselves."""
        return float(1 - self.share_K.sum())

    def likelihood(self, tables: Sequence[Floats], codes_NV: Ints, symbols: int) -> Floats:
        """Probability of the labels given the teachers' answers, in each hidden state, [N, H]; 1 where there is no label.

        `tables`: of each column the probability of each code in each hidden state, with a last row of ones for no answer.
        """
        label_N = codes_NV[:, -1]
        likelihood_NH = self.own * tables[-1][np.where(label_N < 0, len(tables[-1]) - 1, label_N)]
        for k in np.flatnonzero(self.share_K):
            likelihood_NH += self.share_K[k] * _label_probability(int(k), tables, codes_NV, symbols)
        return likelihood_NH

    def before(self, k: int, tables: Sequence[Floats], codes_NV: Ints, symbols: int) -> tuple[Floats, Floats]:
        """By what to weigh hidden states before teacher k says (anything, the label besides), [N, H] each: it was not asked yet."""
        likelihood_NH = np.maximum(self.likelihood(tables, codes_NV, symbols), _TINY)
        copied_NH = self.share_K[k] * (codes_NV[:, -1:] >= 0) / likelihood_NH
        return 1 - copied_NH * _label_probability(k, tables, codes_NV, symbols), copied_NH

    def parts(self, weight_NH: Floats, tables: Sequence[Floats], codes_NV: Ints, symbols: int) -> tuple[Floats, dict[int, Floats]]:
        """Weights of rows and hidden states as those of labels that came about by themselves, and by teacher of those it made."""
        labelled_NH = weight_NH * (codes_NV[:, -1:] >= 0) / np.maximum(self.likelihood(tables, codes_NV, symbols), _TINY)
        copied = {
            int(k): labelled_NH * self.share_K[k] * _label_probability(int(k), tables, codes_NV, symbols)
            for k in np.flatnonzero(self.share_K)
        }
        own_NH = weight_NH.copy()
        for copied_NH in copied.values():
            own_NH -= copied_NH
        return np.maximum(own_NH, 0), copied

    def fit(self, copied: dict[int, Floats], whole: float) -> None:
        """Shares by the weights that `parts` gave of all labels, `whole` in number, shrunk a little towards none."""
        for k, copied_NH in copied.items():
            self.share_K[k] = copied_NH.sum() / (whole + PSEUDO)


PSEUDO = 20.0
"""Pseudo-labels that come about by themselves."""


def _label_probability(k: int, tables: Sequence[Floats], codes_NV: Ints, symbols: int) -> Floats:
    """Probability that a teacher says the label: 0 or 1 where it was heard, [N, H]; 1 where there is no label."""
    label_N, heard_N = codes_NV[:, -1], codes_NV[:, k] >= 0
    says_SH = tables[k][:-1].reshape(-1, symbols, tables[k].shape[1]).sum(axis=0)
    says_NH = says_SH[np.maximum(label_N, 0)]
    says_NH[heard_N] = (codes_NV[heard_N, k] % symbols == label_N[heard_N])[:, None]
    says_NH[label_N < 0] = 1
    return np.asarray(says_NH)


def same_symbol(codes: int, codes_NV: Ints, symbols: int) -> Flags:
    """Which of so many codes say what the label says, [N, codes]."""
    return np.asarray(np.arange(codes) % symbols == codes_NV[:, -1:])
