"""Checked rows judged as if nobody had checked them: what a claim, and the plot of its calibration, stand on."""

from dataclasses import dataclass, replace

import numpy as np

from cotforge.consensus.sequential.answer_table import NONE, UNKNOWN, AnswerTable, Flags, Floats, Ints, symbols_of
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.learning import as_symbols, cached_belief, drop_twins
from cotforge.consensus.sequential.learning_cache import LearningCache
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.replay_trace import walk_policy

FOLDS = 5
"""Parts of the checked rows, each of which is judged by what the others taught (ours)."""


@dataclass(frozen=True, slots=True)
class FoldedGold:
    """What came of them, a row for each."""

    row_N: Ints
    """The place of each in the Table."""
    column_N: Ints
    """A column that says the leading answer; `NONE` where no voter asked does."""
    posterior_N: Floats
    """Of the leading answer, where the row's part was left out."""
    accepted_N: Flags
    against_N: Flags
    """Whether there is a label, and the leading answer is another one."""
    times_N: Floats

    def by_row(self) -> dict[int, tuple[int, float, bool]]:
        """(column, posterior, accepted) by the place in the Table."""
        found = zip(self.column_N.tolist(), self.posterior_N.tolist(), self.accepted_N.tolist(), strict=True)
        return dict(zip(self.row_N.tolist(), found, strict=True))

    @property
    def overruled(self) -> float:
        """How many were accepted against their label."""
        return float(self.times_N[self.accepted_N & self.against_N].sum())


def held_out(
    belief: Belief, policy: Policy, evidence: AnswerTable, rows: AnswerTable, *, memory: LearningCache | None = None
) -> FoldedGold:
    """Judge every checked row by a belief that has not seen its part."""
    row_N = np.flatnonzero(rows.checked_N)
    gold = rows.where(rows.checked_N)
    seen_NV = walk_policy(policy, gold.answers_NV).seen_NV
    n = len(gold)
    column_N, posterior_N, accepted_N, against_N = np.full(n, NONE), np.zeros(n), np.zeros(n, bool), np.zeros(n, bool)
    for fold in range(FOLDS):
        hidden = evidence.fold_N % FOLDS == fold
        others = replace(evidence, gold_N=np.where(hidden, UNKNOWN, evidence.gold_N))
        without = replace(cached_belief(belief.terms, others, policy=policy, like=belief, memory=memory), repairs=belief.repairs)
        part = gold.fold_N % FOLDS == fold
        view = drop_twins(gold.where(part).with_answers(seen_NV[part]), without.twins, belief.terms)
        symbols_NV, _ = as_symbols(view.answers_NV, view.gold_N, belief.terms)
        lead = without.lead(symbols_NV, without.posterior(symbols_NV))
        posterior_N[part], accepted_N[part] = lead.posterior_N, lead.accepted_N
        column_N[part] = saying_column(symbols_of(symbols_NV[:, : len(belief.terms.voters)], belief.terms), lead.symbol_N)
        against_N[part] = (symbols_NV[:, -1] != NONE) & (symbols_NV[:, -1] != lead.symbol_N)
    return FoldedGold(row_N, column_N, posterior_N, accepted_N, against_N, gold.times_N)


def saying_column(symbols_NK: Ints, symbol_N: Ints) -> Ints:
    """A column in which the symbol stands, `NONE` where it does in none; who abstained does not say what nobody named."""
    says_NK = (symbols_NK == symbol_N[:, None]) & (symbol_N[:, None] >= 0)
    return np.where(says_NK.any(axis=1), says_NK.argmax(axis=1), NONE)
