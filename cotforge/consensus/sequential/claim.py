"""What may be said of the precision of the accepted answers, and how surely."""

from dataclasses import dataclass, replace
from math import lgamma

import numpy as np

from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.learning import as_symbols, believe, once
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.table import NONE, UNKNOWN, Flags, Floats, Table
from cotforge.consensus.sequential.walk import walk

FOLDS = 5
"""Parts of the gold rows, each of which is judged by what the others taught (ours)."""
SURE = 0.95


@dataclass(frozen=True, slots=True)
class Claim:
    """Shares in [0, 1], of Samples that nobody checked."""

    precision: float | None
    """Of the accepted answers, as claimed; None where none was accepted."""
    low: float | None
    """Its lower bound: one-sided 95 % (Clopper and Pearson 1934) over gold rows accepted while their part was left out of what was
    learned; None without gold."""
    calibrated: bool
    """Whether answers of people stand behind it."""
    checked: int = 0
    """Gold rows accepted while left out."""
    right: int = 0
    """Of these, with the true answer."""
    with_label: float | None = None
    """The precision claimed where the answer is the raw label."""
    against_label: float | None = None
    """The same where it is another one."""


@dataclass(frozen=True, slots=True)
class Held:
    """Gold rows as if nobody had checked them, for the claim and for a plot of its calibration."""

    posterior_N: Floats
    """Of the leading answer, where the row's part was left out."""
    right_N: Flags
    accepted_N: Flags
    times_N: Floats


def held_out(belief: Belief, policy: Policy, evidence: Table, rows: Table) -> Held:
    """Judge every gold row by a belief that has not seen its part."""
    gold = rows.where(rows.gold_N != UNKNOWN)
    seen_NV = walk(policy, gold.answers_NV).seen_NV
    posterior_N, right_N, accepted_N = np.zeros(len(gold)), np.zeros(len(gold), bool), np.zeros(len(gold), bool)
    for fold in range(FOLDS):
        hidden = evidence.fold_N % FOLDS == fold
        others = replace(evidence, gold_N=np.where(hidden, UNKNOWN, evidence.gold_N))
        without = believe(belief.terms, others, policy=policy, like=belief)
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
        low=None if held is None else lower_bound(right, checked),
        calibrated=held is not None,
        checked=checked,
        right=right,
        with_label=mean(plain_N & with_label_N),
        against_label=mean(plain_N & labelled_N & ~with_label_N),
    )


def lower_bound(right: int, of: int, *, sure: float = SURE) -> float:
    """The share that `right` of `of` show at least, one-sided. Source: Clopper and Pearson 1934."""
    if right == 0:
        return 0.0
    counts = np.arange(right, of + 1)
    ways = np.array([lgamma(of + 1) - lgamma(count + 1) - lgamma(of - count + 1) for count in counts])
    low, high = 0.0, 1.0
    for _ in range(50):
        share = (low + high) / 2
        tail = np.exp(ways + counts * np.log(share) + (of - counts) * np.log1p(-share)).sum()
        low, high = (share, high) if tail < 1 - sure else (low, share)
    return low
