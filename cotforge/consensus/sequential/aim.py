"""The target that a promise needs, found by the checked Samples of the warm-up before anybody else is asked.

Who is asked depends on the target: a policy goes on until it is reached. So each target is tried with the policy that it leads to, on
what people checked, judged by beliefs that have not seen it. All gold is in the warm-up, so every wave goes by the same target.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from cotforge.consensus.claim import Count
from cotforge.consensus.promise import Wish, steps, walk_down
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.learning import ROUGH, as_symbols, believe, calibrated, once
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.table import UNKNOWN, Floats, Table, unpacked
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.walk import walk

FOLDS = 5
"""Parts of the checked rows, each of which is judged by what the others taught."""


def aimed(terms: Terms, table: Table) -> Terms:
    """The terms with the target that the promise needs, if there is one; where nothing can be promised they stay as they are."""
    if terms.promise is None:
        return terms
    warm = table.where(table.wave_N == 0).unfolded().packed()
    return replace(terms, target=_target(terms, terms.promise, warm.tobytes(), warm.shape[1]))


@lru_cache(maxsize=8)
def _target(terms: Terms, wish: Wish, packed: bytes, width: int) -> float:
    """The same from bytes, so that each wave finds what the first found."""
    warm = _parted(unpacked(np.frombuffer(packed).reshape(-1, width)))
    belief = believe(terms, warm)
    if belief.calibration.weights_F is None:
        return terms.target
    others = [replace(warm, gold_N=np.where(warm.fold_N == fold, UNKNOWN, warm.gold_N)) for fold in range(FOLDS)]
    beliefs = [believe(terms, part) for part in others]

    def shown(target: float) -> Count:
        return _shown(replace(terms, target=target), belief, warm, list(zip(beliefs, others, strict=True)))

    return walk_down(wish, shown, steps(terms.target)).target or terms.target


def _shown(terms: Terms, belief: Belief, warm: Table, parts: Sequence[tuple[Belief, Table]]) -> Count:
    """What is checked of the answers that would be accepted at the target of the terms."""
    policy = Policy(replace(belief, terms=terms), most=ROUGH)
    gold = warm.where(warm.gold_N != UNKNOWN)
    gold = gold.with_answers(walk(policy, gold.answers_NV).seen_NV)
    accepted = right = 0
    for fold, (believed, others) in enumerate(parts):
        without = replace(believed, terms=terms)
        without = replace(without, calibration=calibrated(without, others, policy))
        view = once(gold.where(gold.fold_N == fold), without.twins, terms)
        symbols_NV, true_N = as_symbols(view.answers_NV, view.gold_N, terms)
        lead = without.lead(symbols_NV, without.posterior(symbols_NV))
        accepted += int(lead.accepted_N.sum())
        right += int((lead.accepted_N & (lead.symbol_N == true_N)).sum())
    return Count(accepted, right)


def _parted(table: Table) -> Table:
    """Checked rows one by one, in turn of one part and the next: a live run knows no ids by which they could be parted."""
    checked_N = table.gold_N != UNKNOWN
    place_N = np.repeat(np.arange(len(table)), np.where(checked_N, table.times_N, 1).astype(np.int64))
    each_N = checked_N[place_N]
    times_N: Floats = np.where(each_N, 1.0, table.times_N[place_N])
    fold_N = np.where(each_N, np.cumsum(each_N) % FOLDS, -1)
    return replace(
        table,
        answers_NV=table.answers_NV[place_N],
        gold_N=table.gold_N[place_N],
        wave_N=table.wave_N[place_N],
        everybody_N=table.everybody_N[place_N],
        fold_N=fold_N,
        times_N=times_N,
    )
