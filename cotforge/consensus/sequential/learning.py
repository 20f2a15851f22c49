"""From answers to a belief and a policy."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple, Self

import numpy as np

from cotforge.consensus.claim import FEW
from cotforge.consensus.sequential.agreement import AgreementModel
from cotforge.consensus.sequential.answer_table import (
    ABSTAINED,
    NONE,
    UNNAMED,
    UNTOLD,
    AnswerTable,
    Evidence,
    Floats,
    Ints,
    regroup_codes,
    symbols_of,
    unpack_table,
)
from cotforge.consensus.sequential.belief import Belief, new_model
from cotforge.consensus.sequential.calibration import Calibration, fit_calibration, with_none
from cotforge.consensus.sequential.difficulty import Difficulty, nearest_classes
from cotforge.consensus.sequential.learning_cache import LearningCache, cache_of, key_of
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.related import with_relative
from cotforge.consensus.sequential.replay_trace import walk_policy
from cotforge.consensus.sequential.stored import belief_bytes, policy_bytes
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.twins import find_twins

STOPPED = 0.5
"""Weight, of a gold row's 1, of the answers on which the policy would stop; the rest is shared by other parts of its answers (ours)."""
STUCK, MOVES = 0.98, 0.9
"""Shares of its answers that a voter's commonest one is where it says always the same, and may be at most where another one does not
(ours)."""
HASTY = 20_000
"""States of a level in a policy made in haste (ours): with five voters and eight classes a sixth of the time, 0.002 of the value."""
ROUGH = 5_000
"""States of a level in the policy that only shows where one would stop (ours)."""


class Grounds(NamedTuple):
    """All that a policy follows from."""

    terms: Terms
    rows: bytes
    width: int
    most: int | None
    """See `Policy`."""

    @classmethod
    def of(cls, terms: Terms, evidence: Evidence | AnswerTable, upto: int, *, hasty: bool = False) -> Self:
        """What Samples of the waves up to `upto` said."""
        told = evidence.table(terms) if isinstance(evidence, Evidence) else evidence
        packed = told.where(told.wave_N <= upto).unfolded().packed()
        return cls(terms, packed.tobytes(), packed.shape[1], HASTY if hasty else None)

    @property
    def key(self) -> str:
        """By which the policy is remembered."""
        return key_of("policy", *self)


def learn_policy(
    terms: Terms, evidence: Evidence | AnswerTable, upto: int, hasty: bool = False, *, memory: LearningCache | None = None
) -> Policy:
    """The policy by what Samples of the waves up to `upto` said. Takes seconds, in haste less, of known ones none; raises nothing."""
    grounds, memory = Grounds.of(terms, evidence, upto, hasty=hasty), memory or cache_of(None)
    policy = recall_policy(grounds, memory)
    if policy is None:
        policy = teach_policy(grounds)
        remember_policy(grounds, policy, memory)
    return policy


def recall_policy(grounds: Grounds, memory: LearningCache) -> Policy | None:
    """What followed from the grounds, where that is remembered."""
    return memory.policy(grounds.key, grounds.terms)


def remember_policy(grounds: Grounds, policy: Policy, memory: LearningCache) -> None:
    """Keep what followed."""
    memory.keep_policy(grounds.key, policy)


def teach_policy(grounds: Grounds) -> Policy:
    """What follows from them."""
    policy = solve_policy(grounds.terms, unpack_table(np.frombuffer(grounds.rows).reshape(-1, grounds.width)), most=grounds.most)
    policy.settle()
    return policy


def solve_policy(terms: Terms, table: AnswerTable, *, most: int | None = None) -> Policy:
    """The policy by all of a table, with the levels it was found by; `most`: see `Policy`."""
    belief = fit_belief(terms, table)
    if belief.calibration.weights_F is None:
        return Policy(belief, most=most)
    rough = Policy(belief, most=ROUGH)
    return Policy(_by_gold(belief, table, rough), most=most)


def fit_belief(terms: Terms, table: AnswerTable, *, policy: Policy | None = None, like: Belief | None = None) -> Belief:
    """Model and calibration by a table; with `policy`, calibrated on where it stops too. `like`: a belief to go on from."""
    heard, found = table, find_twins(table, terms)
    table = drop_twins(table, found, terms)
    labelled = float(table.times_N[table.answers_NV[:, -1] != NONE].sum())
    whole = max(float(table.times_N.sum()), 1.0)
    seen = float(table.times_N[table.answers_NV[:, -2] != NONE].sum()) if terms.image else 0.0
    model = _fit_model(terms, table, found) if like is None else like.model.copy().fit(table)
    raw = Belief(terms, model, Calibration(), found, 1 - labelled / whole, readable_shares(heard, terms), unseen=1 - seen / whole)
    return _by_gold(raw, table, policy)


def _by_gold(belief: Belief, table: AnswerTable, policy: Policy | None) -> Belief:
    """The belief as the gold rows correct it, with what a single teacher may do by them."""
    belief = replace(belief, calibration=calibrate_belief(belief, table, policy))
    if policy is None or belief.calibration.weights_F is None:
        return belief
    return replace(belief, repairs=_count_overruled(replace(belief, repairs=True), table, policy) >= FEW)


def _count_overruled(belief: Belief, table: AnswerTable, policy: Policy) -> float:
    """How many checked rows would be accepted against their label."""
    gold = drop_twins(table.where(table.checked_N), belief.twins, belief.terms)
    seen_NV, _ = as_symbols(walk_policy(policy, gold.answers_NV).seen_NV, gold.gold_N, belief.terms)
    lead = belief.lead(seen_NV, belief.posterior(seen_NV))
    return float(gold.times_N[lead.accepted_N & (seen_NV[:, -1] != NONE) & (seen_NV[:, -1] != lead.symbol_N)].sum())


def _fit_model(terms: Terms, table: AnswerTable, found: Collection[int]) -> Difficulty | AgreementModel:
    """A new model that has learned from a table, with a relative of the label among the teachers where that explains it better."""
    near_CC = nearest_classes(table, len(terms.options)) if terms.by_class else None

    def fresh() -> Difficulty | AgreementModel:
        return new_model(terms, found, near_CC)

    return with_relative(fresh().fit(table), table, [column for column in range(len(terms.voters)) if column not in found], fresh)


def cached_belief(terms: Terms, table: AnswerTable, *, policy: Policy, like: Belief, memory: LearningCache | None) -> Belief:
    """`fit_belief`, once for the same grounds where `memory` outlives the process."""
    if memory is None or not memory.lasts:
        return fit_belief(terms, table, policy=policy, like=like)
    key = key_of("belief", terms, table.packed().tobytes(), policy_bytes(policy), belief_bytes(like))
    belief = memory.belief(key, terms)
    if belief is None:
        belief = fit_belief(terms, table, policy=policy, like=like)
        memory.keep_belief(key, belief)
    return belief


def readable_shares(table: AnswerTable, terms: Terms) -> tuple[float, ...]:
    """Share of each voter's Calls that could be read; next to none of one that says the same class of whatever others tell apart."""
    answers_NK = table.answers_NV[:, : len(terms.voters)]
    asked_K, told_K = table.times_N @ (answers_NK != NONE), table.times_N @ (answers_NK >= 0)
    if terms.by_class:
        said = table.with_answers(symbols_of(table.answers_NV, terms))
        most_K = np.array([_most_said(said, column) for column in range(len(terms.voters))])
        moves = ((most_K > 0) & (most_K < MOVES)).any()
        told_K[(most_K >= STUCK) & moves] = 0
    return tuple(((told_K + 1) / (asked_K + 1)).tolist())


def _most_said(table: AnswerTable, column: int) -> float:
    """Share of a voter's commonest answer where everybody was asked; 0 where too little was heard to tell."""
    some = table.everybody_N & (table.answers_NV[:, column] >= 0)
    counts = np.bincount(table.answers_NV[some, column], table.times_N[some])
    return float(counts.max() / counts.sum()) if counts.sum() >= FEW else 0.0


def drop_twins(table: AnswerTable, found: Collection[int], terms: Terms) -> AnswerTable:
    """The table without what twins say."""
    if not found:
        return table
    answers_NV = table.answers_NV.copy()
    for column in found:
        answers_NV[answers_NV[:, column] >= 0, column] = ABSTAINED
    if terms.by_class:
        return table.with_answers(answers_NV)
    answers_NV, gold_N = regroup_codes(answers_NV, table.gold_N, terms)
    assert gold_N is not None
    return replace(table.with_answers(answers_NV), gold_N=gold_N)


def calibrate_belief(belief: Belief, table: AnswerTable, policy: Policy | None) -> Calibration:
    """What the gold rows correct; nothing where they are too few."""
    gold = drop_twins(table.where(table.checked_N), belief.twins, belief.terms)
    if gold.times_N[gold.told_N].sum() < FEW:
        return Calibration()
    answers_NV, gold_N, weight_N = _voter_subsets(gold, belief.terms, belief.own_columns)
    if policy is not None:
        stopped_NV, stopped_gold_N = as_symbols(walk_policy(policy, gold.answers_NV).seen_NV, gold.gold_N, belief.terms)
        answers_NV = np.concatenate([answers_NV, stopped_NV])
        gold_N = np.concatenate([gold_N, stopped_gold_N])
        weight_N = np.concatenate([(1 - STOPPED) * weight_N, STOPPED * gold.times_N])
    raw_NS, told_N = belief.raw(answers_NV), gold_N != UNTOLD
    true_N = np.where(gold_N == UNNAMED, raw_NS.shape[1] - 1, gold_N)
    found = fit_calibration(raw_NS[told_N], answers_NV[told_N], true_N[told_N], weight_N[told_N])
    return found if told_N.all() else with_none(found, found(raw_NS, answers_NV), told_N, weight_N)


def _voter_subsets(gold: AnswerTable, terms: Terms, voters: Sequence[int]) -> tuple[Ints, Ints, Floats]:
    """(answers, gold, weight) of every small set of voters beside picture and label, and of all; each row weighs 1 in all."""
    free = range(len(terms.voters), gold.answers_NV.shape[1])  # what nobody is asked for: the picture and the label
    sets = [chosen for size in range(1, min(len(voters), 3) + 1) for chosen in combinations(voters, size)]
    sets += [tuple(voters)] if len(voters) > 3 else []
    answers, true = [], []
    for chosen in sets:
        part_NV = np.full_like(gold.answers_NV, NONE)
        part_NV[:, [*chosen, *free]] = gold.answers_NV[:, [*chosen, *free]]
        part_NV, gold_N = as_symbols(part_NV, gold.gold_N, terms)
        answers.append(part_NV)
        true.append(gold_N)
    return np.concatenate(answers), np.concatenate(true), np.tile(gold.times_N / len(sets), len(sets))


def as_symbols(answers_NV: Ints, gold_N: Ints, terms: Terms) -> tuple[Ints, Ints]:
    """Answers and gold as the model wants them: groups numbered anew where something was left out."""
    if terms.by_class:
        return answers_NV, gold_N
    symbols_NV, symbol_N = regroup_codes(answers_NV, gold_N, terms)
    assert symbol_N is not None
    return symbols_NV, symbol_N
