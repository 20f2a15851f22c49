"""The target that a promise needs, found by the checked Samples of the warm-up before anybody else is asked.

Who is asked depends on the target: a policy goes on until it is reached. So each target is tried with the policy that it leads to, on
what people checked, judged by beliefs that have not seen it. All gold is in the warm-up, so every wave goes by the same target.
"""

from dataclasses import replace

import numpy as np

from cotforge.consensus.claim import Count
from cotforge.consensus.promise import Wish, needed_checks, target_steps, walk_down
from cotforge.consensus.sequential.answer_table import AnswerTable, symbols_of
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.folded_gold import FOLDS, held_out
from cotforge.consensus.sequential.learning import ROUGH, fit_belief
from cotforge.consensus.sequential.learning_cache import LearningCache, key_of
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.terms import Terms


def aim_terms(terms: Terms, table: AnswerTable, memory: LearningCache) -> Terms:
    """The terms with the target that the promise needs; where nothing can be promised they stay as they are. It may take seconds."""
    if terms.promise is None:
        return terms
    warm = _warm_up_rows(table)
    key = _aim_key(terms, warm)
    target = memory.number(key)
    if target is None:
        target = _needed_target(terms, terms.promise, _part_rows(warm))
        memory.keep_number(key, target)
    return replace(terms, target=target)


def is_known(terms: Terms, table: AnswerTable, memory: LearningCache) -> bool:
    """Whether `aim_terms` takes no time."""
    return terms.promise is None or memory.number(_aim_key(terms, _warm_up_rows(table))) is not None


def _warm_up_rows(table: AnswerTable) -> AnswerTable:
    return table.where(table.wave_N == 0).unfolded()


def _aim_key(terms: Terms, warm: AnswerTable) -> str:
    return key_of("target", terms, warm.packed().tobytes())


def _needed_target(terms: Terms, wish: Wish, warm: AnswerTable) -> float:
    if warm.checked_N.sum() < needed_checks(wish):
        return terms.target
    belief = fit_belief(terms, warm)
    return (
        walk_down(wish, lambda target: _shown_at_target(replace(terms, target=target), belief, warm), target_steps(terms.target)).target
        or terms.target
    )


def _shown_at_target(terms: Terms, belief: Belief, warm: AnswerTable) -> Count:
    """What is checked of the answers that would be accepted at the target of the terms."""
    policy = Policy(replace(belief, terms=terms), most=ROUGH)
    held = held_out(fit_belief(terms, warm, policy=policy, like=belief), policy, warm, warm)
    said_N = symbols_of(warm.answers_NV, terms)[held.row_N, held.column_N]
    right_N = held.accepted_N & (said_N == warm.gold_N[held.row_N])
    return Count(round(float(held.times_N[held.accepted_N].sum())), round(float(held.times_N[right_N].sum())))


def _part_rows(table: AnswerTable) -> AnswerTable:
    """Checked rows one by one, each in the part after the one before: a live run knows no ids by which they could be parted."""
    place_N = np.repeat(np.arange(len(table)), np.where(table.checked_N, table.times_N, 1).astype(np.int64))
    each_N = table.checked_N[place_N]
    return AnswerTable(
        answers_NV=table.answers_NV[place_N],
        gold_N=table.gold_N[place_N],
        wave_N=table.wave_N[place_N],
        everybody_N=table.everybody_N[place_N],
        fold_N=np.where(each_N, np.cumsum(each_N) % FOLDS, -1),
        times_N=np.where(each_N, 1.0, table.times_N[place_N]),
    )
