"""Bins of confidence: where a voter's own probabilities of its answers are parted, and into which bin each falls.

Ranks are kept and nothing else: raw probabilities of models are far from calibrated (expected errors of .07 to .56 were measured over
models and providers), and within one model they tell right answers from wrong ones all the same.

Shapes: N rows, K voters.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from cotforge.consensus.sequential.terms import Terms

ENOUGH = 60
"""Probabilities of a voter from which on they are parted (default chosen by us): three bins of 20."""
SHARES = (1 / 3, 2 / 3)
"""Shares of the answers below the cuts (default chosen by measurement on the demo's digits: a quarter and a half, and four bins, were no
better)."""


def bin_cuts(probability_N: Any) -> tuple[float, ...]:
    """Where one voter's probabilities are parted; nothing where too few are known (NaN: unknown), or all are the same.

    Of equal ones all fall into the same bin, so there may be fewer bins than three.
    """
    known_N = np.sort(np.asarray(probability_N, float)[~np.isnan(probability_N)])
    if len(known_N) < ENOUGH:
        return ()
    found = {float(known_N[int(share * len(known_N))]) for share in SHARES}
    return tuple(sorted(cut for cut in found if cut > known_N[0]))


def with_cuts(terms: Terms, probability_NK: Any) -> Terms:
    """The terms with the cuts that these probabilities suggest, for as many voters as can be told apart then; NaN: unknown."""
    for column in range(len(terms.voters) if terms.confidence else 0):
        voter = replace(terms.voters[column], cuts=bin_cuts(probability_NK[:, column]))
        parted = replace(terms, voters=(*terms.voters[:column], voter, *terms.voters[column + 1 :]))
        terms = parted if parted.codable else terms
    return terms


def assign_bins(probability_NK: Any, terms: Terms) -> Any:
    """The bin of each answer, from 0, as `Voter.bin` has it; NaN: unknown."""
    bins_NK = np.zeros(np.shape(probability_NK), np.int64)
    for column, voter in enumerate(terms.voters):
        known_N = ~np.isnan(probability_NK[:, column])
        if voter.cuts:
            bins_NK[known_N, column] = 1 + np.searchsorted(voter.cuts, probability_NK[known_N, column], side="right")
    return bins_NK
