"""What a voter's own probability of its answer tells: cuts that part its answers into bins, and how full these are by right and wrong.

Raw probabilities of models are useless as such, their ranks are not: a model may be over-confident everywhere and still be surest where it
is right. So nothing is read into a probability but its bin, and what a bin means is learned for each voter.

Shapes: V columns, S symbols, B bins (the first of unknown confidence), H hidden states, N rows.
"""

from collections.abc import Sequence

import numpy as np

from cotforge.consensus.sequential.answer_table import Floats, Ints

KAPPA = 20.0
"""Pseudo-counts by which the bins of right answers, and of wrong ones, are shrunk towards those of all (default chosen by measurement on
the demo's 1,200 digits: with all answers known more were better, up to 150; asked in turn, where few errors are seen, fewer were)."""
USUAL, USUALLY = ((0.6, 0.2), (0.25, 0.25), (0.15, 0.55)), 5.0
"""Bins of a picture's wrong and right answers before anything is known, as pseudo-counts: they are those of a classifier, which is unsure
where it errs, and among a hundred checked answers a handful is wrong (chosen by us; on the digits 5 and 15 do the same)."""


class Confidence:
    """How often each voter's answers fall into each bin: right ones and wrong ones. `fit` changes it, all else is pure.

    The same at every level of difficulty: by level they were tried, and were worse on the demo's digits in every figure.
    """

    def __init__(self, bins: Sequence[int], *, picture: int | None = None) -> None:
        """`bins`: of each column; 1 where a column has none; `picture`: the column of what pictures say, where there is one."""
        self.bins, self.picture = tuple(bins), picture
        self._known_V = np.where(np.array(self.bins) > 1, 0.5, 1.0)
        self._share_V = [np.full((max(count - 1, 1), 2), 1 / max(count - 1, 1)) for count in bins]
        """[bin from 1, wrong or right]."""

    def parted(self, v: int, emission_SH: Floats, answer_H: Ints) -> Floats:
        """Probability of each code in each hidden state, [B S, H], from that of each symbol."""
        if self.bins[v] == 1:
            return emission_SH
        right_SH = np.arange(len(emission_SH))[:, None] == answer_H
        parts = [emission_SH * np.where(right_SH, right, wrong) for wrong, right in self._known_V[v] * self._share_V[v]]
        return np.concatenate([emission_SH * (1 - self._known_V[v]), *parts])

    def know(self, codes_NV: Ints, times_N: Floats, symbols: int) -> None:
        """Take from a table how often a probability is known at all: by no means a matter of right and wrong."""
        for v, bins in enumerate(self.bins):
            if bins > 1:
                said_N = codes_NV[:, v] >= 0
                known = float(times_N[said_N & (codes_NV[:, v] >= symbols)].sum())
                self._known_V[v] = (known + 0.5) / (float(times_N[said_N].sum()) + 1)

    def fit(self, codes_NV: Ints, weight_NS: Floats, symbols: int) -> None:
        """All columns' bins, MAP, where the weights of rows by their true symbol (beyond `symbols`: none of them) are these."""
        for v, bins in enumerate(self.bins):
            if bins == 1:
                continue
            some = codes_NV[:, v] >= symbols
            bin_N, symbol_N = codes_NV[some, v] // symbols - 1, codes_NV[some, v] % symbols
            right_N = np.take_along_axis(weight_NS[some], symbol_N[:, None], axis=1)[:, 0]
            wrong_N = np.maximum(weight_NS[some].sum(axis=1) - right_N, 0)
            counts = [np.bincount(bin_N, weights, bins - 1) for weights in (wrong_N, right_N)]
            count_B2 = np.stack(counts, axis=1).astype(float)
            if v == self.picture:
                self._share_V[v] = _shrunk_shares(count_B2, np.array(USUAL), USUALLY)
                continue
            share_B = _shrunk_shares(count_B2.sum(axis=1), np.full(bins - 1, 1 / (bins - 1)))
            self._share_V[v] = _shrunk_shares(count_B2, share_B[:, None])


def _shrunk_shares(count_B: Floats, towards_B: Floats, kappa: float = KAPPA) -> Floats:
    """Counts along the first axis as shares."""
    count_B = count_B + kappa * towards_B
    return np.asarray(count_B / count_B.sum(axis=0))
