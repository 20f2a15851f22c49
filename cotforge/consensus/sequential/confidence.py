"""What a voter's own probability of its answer tells: cuts that part its answers into bins, and how full these are by right and wrong.

Raw probabilities of models are useless as such, their ranks are not: a model may be over-confident everywhere and still be surest where it
is right. So nothing is read into a probability but its bin, and what a bin means is learned for each voter.

Shapes: V columns, S symbols, B bins (the first of unknown confidence), T levels, H hidden states, N rows.
"""

from collections.abc import Sequence

import numpy as np

from cotforge.consensus.sequential.table import Floats, Ints

KAPPA = 20.0
"""Pseudo-counts by which a level's bins are shrunk towards those of all levels, and these towards the bins of all answers (default chosen
by us, as that of the confusions)."""
USUAL, USUALLY = ((0.6, 0.2), (0.25, 0.25), (0.15, 0.55)), 5.0
"""Bins of a picture's wrong and right answers before anything is known, as pseudo-counts: they are those of a classifier, which is unsure
where it errs, and among a hundred checked answers a handful is wrong (chosen by us; on the digits 5 and 15 do the same)."""
WRONG, RIGHT = 0, 1
_TINY = 1e-300


class Confidence:
    """How often each voter's answers fall into each bin: right ones and wrong ones, by level. `fit` changes it, all else is pure."""

    def __init__(self, bins: Sequence[int], levels: int, *, picture: int | None = None) -> None:
        """`bins`: of each column; 1 where a column has none; `picture`: the column of what pictures say, where there is one."""
        self.bins, self.picture = tuple(bins), picture
        self.levels = levels
        self._known_V = np.ones(len(bins))
        self._share_V = [np.full((max(count - 1, 1), 2, levels), 1 / max(count - 1, 1)) for count in bins]
        """[bin from 1, wrong or right, level]."""

    def parted(self, v: int, emission_SH: Floats, answer_H: Ints) -> Floats:
        """Probability of each code in each hidden state, [B S, H], from that of each symbol; the levels follow one another in H."""
        if self.bins[v] == 1:
            return emission_SH
        symbols, h = emission_SH.shape
        right_SH = np.arange(symbols)[:, None] == answer_H
        share_B2H = np.repeat(self._share_V[v], h // self.levels, axis=2)
        parts = [emission_SH * np.where(right_SH, right_H, wrong_H) for wrong_H, right_H in self._known_V[v] * share_B2H]
        return np.concatenate([emission_SH * (1 - self._known_V[v]), *parts])

    def know(self, codes_NV: Ints, times_N: Floats, symbols: int) -> None:
        """Take from a table how often a probability is known at all: by no means a matter of right and wrong."""
        for v, bins in enumerate(self.bins):
            if bins > 1:
                said_N = codes_NV[:, v] >= 0
                known = float(times_N[said_N & (codes_NV[:, v] >= symbols)].sum())
                self._known_V[v] = (known + 0.5) / (float(times_N[said_N].sum()) + 1)

    def fit(self, v: int, codes_N: Ints, weight_NTS: Floats, symbols: int) -> None:
        """One column's bins, MAP, where the weights of rows by level and true symbol (beyond `symbols`: none of them) are these."""
        some = codes_N >= symbols
        bin_N, symbol_N = codes_N[some] // symbols - 1, codes_N[some] % symbols
        whole_NT = weight_NTS[some].sum(axis=2)
        right_NT = np.take_along_axis(weight_NTS[some], symbol_N[:, None, None], axis=2)[:, :, 0]
        kinds_N2T = np.stack([whole_NT - right_NT, right_NT], axis=1)
        count_B2T = np.stack([kinds_N2T[bin_N == b].sum(axis=0) for b in range(self.bins[v] - 1)])
        if v == self.picture:
            share_B2 = _shrunk(count_B2T.sum(axis=2), np.array(USUAL), USUALLY)
        else:
            share_B = _shrunk(count_B2T.sum(axis=(1, 2)), np.full(self.bins[v] - 1, 1 / (self.bins[v] - 1)))
            share_B2 = _shrunk(count_B2T.sum(axis=2), share_B[:, None])
        self._share_V[v] = _shrunk(count_B2T, share_B2[:, :, None])


def _shrunk(count_B: Floats, towards_B: Floats, kappa: float = KAPPA) -> Floats:
    """Counts along the first axis as shares."""
    count_B = np.maximum(count_B, 0) + kappa * towards_B
    return np.asarray(count_B / count_B.sum(axis=0))
