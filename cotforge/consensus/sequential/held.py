"""Gold rows judged as if nobody had checked them: what a claim, and the plot of its calibration, stand on."""

from dataclasses import dataclass, replace

import numpy as np

from cotforge.consensus.claim import Bin, Claim, bins, lower_bound
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.learning import as_symbols, believed, once
from cotforge.consensus.sequential.learning_cache import LearningCache
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.table import NONE, UNKNOWN, Flags, Floats, Table
from cotforge.consensus.sequential.walk import walk

FOLDS = 5
"""Parts of the gold rows, each of which is judged by what the others taught (ours)."""


@dataclass(frozen=True, slots=True)
class Held:
    """What came of them."""

    posterior_N: Floats
    """Of the leading answer, where the row's part was left out."""
    right_N: Flags
    accepted_N: Flags
    times_N: Floats

    def bins(self) -> list[Bin]:
        """Points of a calibration plot."""
        rows = zip(self.posterior_N.tolist(), self.right_N.tolist(), self.times_N.astype(int).tolist(), strict=True)
        return bins(list(rows))


def held_out(belief: Belief, policy: Policy, evidence: Table, rows: Table, *, memory: LearningCache) -> Held:
    """Judge every gold row by a belief that has not seen its part."""
    gold = rows.where(rows.gold_N != UNKNOWN)
    seen_NV = walk(policy, gold.answers_NV).seen_NV
    posterior_N, right_N, accepted_N = np.zeros(len(gold)), np.zeros(len(gold), bool), np.zeros(len(gold), bool)
    for fold in range(FOLDS):
        hidden = evidence.fold_N % FOLDS == fold
        others = replace(evidence, gold_N=np.where(hidden, UNKNOWN, evidence.gold_N))
        without = believed(belief.terms, others, policy=policy, like=belief, memory=memory)
        part = gold.fold_N % FOLDS == fold
        view = once(gold.where(part).with_answers(seen_NV[part]), without.twins, belief.terms)
        symbols_NV, true_N = as_symbols(view.answers_NV, view.gold_N, belief.terms)
        lead = without.lead(symbols_NV, without.posterior(symbols_NV))
        posterior_N[part], accepted_N[part], right_N[part] = lead.posterior_N, lead.accepted_N, lead.symbol_N == true_N
    return Held(posterior_N, right_N, accepted_N, gold.times_N)


def claim(rows: Table, posterior_N: Floats, accepted_N: Flags, with_label_N: Flags, held: Held | None) -> Claim:
    """The claim about accepted rows without gold; `held` is None where nothing was calibrated."""
    plain_N = accepted_N & (rows.gold_N == UNKNOWN)
    labelled_N = rows.answers_NV[:, -1] != NONE

    def mean(some_N: Flags) -> float | None:
        weight = float(rows.times_N[some_N].sum())
        return float(rows.times_N[some_N] @ posterior_N[some_N]) / weight if weight else None

    checked = right = 0
    if held is not None:
        checked = round(float(held.times_N[held.accepted_N].sum()))
        right = round(float(held.times_N[held.accepted_N & held.right_N].sum()))
    return Claim(
        precision=mean(plain_N),
        low=lower_bound(right, checked) if checked else None,
        calibrated=held is not None,
        checked=checked,
        right=right,
        with_label=mean(plain_N & with_label_N) if held is not None else None,
        against_label=mean(plain_N & labelled_N & ~with_label_N) if held is not None else None,
    )
