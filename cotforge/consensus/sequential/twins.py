"""Teachers that are one model behind two names: their answers count once."""

from itertools import combinations

import numpy as np

from cotforge.consensus.sequential.answer_table import AnswerTable, Flags, Ints, symbols_of
from cotforge.consensus.sequential.terms import Terms

ENOUGH = 20
"""Answers that differ from what the others say, from which on two teachers can be told to be one (ours)."""
SAME = 0.9
"""Share of them, of either, in which both say the same all the same: two models share about half of their errors (ours)."""


def find_twins(table: AnswerTable, terms: Terms) -> dict[int, int]:
    """Columns of voters that repeat another one, with that one's; of twins the cheapest stays, then the first by name."""
    table = table.where(table.everybody_N)
    symbols_NV = symbols_of(table.answers_NV, terms)
    table = table.with_answers(np.delete(symbols_NV, -2, axis=1) if terms.image else symbols_NV)
    order = sorted(range(len(terms.voters)), key=lambda column: (terms.voters[column].price, terms.voters[column].name))
    found: dict[int, int] = {}
    for one, other in combinations(order, 2):
        if one in found or other in found or terms.voters[one].short != terms.voters[other].short:
            continue
        if _are_twins(table, one, other):
            found[other] = one
    return found


def _are_twins(table: AnswerTable, one: int, other: int) -> bool:
    """Whether the two say the same even where one of them is wrong, or, with few gold rows, differs from most of the rest."""
    answers_NV = table.answers_NV
    table = table.where((answers_NV[:, one] >= 0) & (answers_NV[:, other] >= 0))
    mine_N, other_N = table.answers_NV[:, one], table.answers_NV[:, other]
    same_N, checked_N = mine_N == other_N, table.told_N
    # Two good teachers agree against bad ones too: who is right is known better than what most say.
    for differs_N in (
        checked_N & ((mine_N != table.gold_N) | ~same_N),
        _against_most(np.delete(table.answers_NV, [one, other], axis=1), mine_N, other_N),
    ):
        told = float(table.times_N[differs_N].sum())
        if told >= ENOUGH:
            return float(table.times_N[differs_N & same_N].sum()) >= SAME * told
    return False


def _against_most(rest_NV: Ints, mine_N: Ints, other_N: Ints) -> Flags:
    """Where one of the two differs from what most of the rest say, the label's word included."""
    if not len(rest_NV):
        return np.zeros(0, bool)
    votes_NV = np.stack([((rest_NV == rest_NV[:, [column]]) & (rest_NV >= 0)).sum(axis=1) for column in range(rest_NV.shape[1])], axis=1)
    rows = np.arange(len(rest_NV))
    most_N = np.where(votes_NV.max(axis=1) > 0, rest_NV[rows, votes_NV.argmax(axis=1)], -1)
    return np.asarray((most_N >= 0) & ((mine_N != most_N) | (other_N != most_N)))
