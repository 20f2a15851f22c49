"""Teachers that are one model behind two names: their answers count once."""

from itertools import combinations

import numpy as np

from cotforge.consensus.sequential.table import Table
from cotforge.consensus.sequential.terms import Terms

ENOUGH = 20
"""Answers that differ from what the others say, from which on two teachers can be told to be one (ours)."""
SAME = 0.9
"""Share of them, of either, in which both say the same all the same: two models share about half of their errors (ours)."""


def twins(table: Table, terms: Terms) -> dict[int, int]:
    """Columns of voters that repeat another one, with that one's; of twins the cheapest stays, then the first by name."""
    table = table.where(table.everybody_N)
    order = sorted(range(len(terms.voters)), key=lambda column: (terms.voters[column].price, terms.voters[column].name))
    found: dict[int, int] = {}
    for one, other in combinations(order, 2):
        if one in found or other in found or terms.voters[one].short != terms.voters[other].short:
            continue
        if _alike(table, one, other):
            found[other] = one
    return found


def _alike(table: Table, one: int, other: int) -> bool:
    """Whether the two say the same even where one of them differs from most of the rest (the label's word included)."""
    answers_NV = table.answers_NV
    both_N = (answers_NV[:, one] >= 0) & (answers_NV[:, other] >= 0)
    rest_NV = np.delete(answers_NV, [one, other], axis=1)
    rest_NV, mine_N, other_N = (part[both_N] for part in (rest_NV, answers_NV[:, one], answers_NV[:, other]))
    times_N = table.times_N[both_N]
    if not len(rest_NV):
        return False
    votes_NV = np.stack([((rest_NV == rest_NV[:, [column]]) & (rest_NV >= 0)).sum(axis=1) for column in range(rest_NV.shape[1])], axis=1)
    rows = np.arange(len(rest_NV))
    most_N = np.where(votes_NV.max(axis=1) > 0, rest_NV[rows, votes_NV.argmax(axis=1)], -1)
    differs_N = (most_N >= 0) & ((mine_N != most_N) | (other_N != most_N))
    told = float(times_N[differs_N].sum())
    return told >= ENOUGH and float(times_N[differs_N & (mine_N == other_N)].sum()) >= SAME * told
