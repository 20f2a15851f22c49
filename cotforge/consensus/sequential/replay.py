"""A whole vote again, from answers that are all there: who would have been asked, and what comes of it.

It reads an answer only once the policy has asked for it, so that a journal, a table and a live run give the same verdicts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cotforge.consensus.claim import FEW, Expected
from cotforge.consensus.image.admission import admit_pictures
from cotforge.consensus.image.admitted import Admission
from cotforge.consensus.image.voter import Pictures
from cotforge.consensus.sequential.aim import aim_terms
from cotforge.consensus.sequential.answer_table import NONE, AnswerTable, Flags, Floats, Ints, make_table, symbols_of
from cotforge.consensus.sequential.belief import Belief, BeliefLead
from cotforge.consensus.sequential.folded_gold import FoldedGold, held_out, saying_column
from cotforge.consensus.sequential.learning import as_symbols, cached_belief, drop_twins, learn_policy
from cotforge.consensus.sequential.learning_cache import LearningCache, cache_of
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.replay_trace import ReplayTrace, walk_everybody, walk_policy
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.waves import Waves


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a vote found, per row of the Table it was given."""

    belief: Belief
    policy: Policy
    walk: ReplayTrace
    column_N: Ints
    """A column that says the leading answer; `NONE` where no voter asked does. People's answers come later: `decider.settle_verdict`."""
    confidence_N: Floats
    """Posterior of the leading answer, in [0, 1]."""
    said_NV: Floats
    """Posterior of what each column says; 0 where it says nothing."""
    accepted_N: Flags
    expected: Callable[[float], Expected] | None
    """Of accepted answers that nobody checked, from a confidence on; None where gold has not calibrated the belief."""
    held: FoldedGold | None
    """None where nobody checked anything."""
    admission: Admission | None = None
    """Of the pictures, where there are features of them."""


def replay_waves(
    terms: Terms, rows: AnswerTable, waves: Waves, pictures: Pictures | None = None, *, memory: LearningCache | None = None
) -> Replayed:
    """Wave by wave: learn, walk; at the end believe all that was heard. What `memory` knows is not learned again.

    With `pictures`, rows are theirs one by one, and `terms.image`: what pictures say is found out anew before each learning.
    """
    rows = rows if pictures is None else rows.with_answers(rows.answers_NV.copy())  # it is written to
    memory = memory or cache_of(None)
    terms = _aim_at_promise(terms, rows, memory)
    policy, walked = _walk_waves(terms, rows, waves, pictures, memory)
    admission = _admit_and_write(terms, rows, walked.seen_NV, pictures, waves.count) if pictures is not None else None
    told, place_N = _heard_rows(rows, walked.seen_NV, terms)
    evidence = told.where(_any_heard(told, terms))
    belief = cached_belief(terms, evidence, policy=policy, like=policy.belief, memory=memory)
    view = drop_twins(told, belief.twins, terms)
    held = held_out(belief, policy, evidence, rows, memory=memory) if rows.checked_N.any() else None
    if held is not None and belief.repairs and held.overruled < FEW:
        # Fewer are accepted where what people said of them is kept from the vote.
        belief = replace(belief, repairs=False)
        held = held_out(belief, policy, evidence, rows, memory=memory)
    posterior_NS, symbol_NV = belief.posterior(view.answers_NV), symbols_of(view.answers_NV, terms)
    lead = belief.lead(view.answers_NV, posterior_NS, told.everybody_N)
    said_NV = np.where(symbol_NV >= 0, np.take_along_axis(posterior_NS, np.maximum(symbol_NV, 0), axis=1), 0.0)
    return Replayed(
        belief,
        policy,
        walked,
        column_N=saying_column(symbol_NV[:, : len(terms.voters)], lead.symbol_N)[place_N],
        confidence_N=lead.posterior_N[place_N],
        said_NV=said_NV[place_N],
        accepted_N=lead.accepted_N[place_N],
        expected=partial(_expected_precision, told, lead, view.answers_NV[:, -1]) if belief.calibration.weights_F is not None else None,
        held=held,
        admission=admission,
    )


def _admit_and_write(terms: Terms, rows: AnswerTable, seen_NV: Ints, pictures: Pictures, upto: int) -> Admission:
    """Writes what pictures say into the rows, and into what was seen of them."""
    told_NV = seen_NV.copy()
    told_NV[:, -1] = rows.answers_NV[:, -1]
    found = admit_pictures(terms, pictures, rows.with_answers(told_NV), upto)
    rows.answers_NV[:, -2] = seen_NV[:, -2] = found.code_N
    return found.admission


def _expected_precision(told: AnswerTable, lead: BeliefLead, label_N: Ints, least: float) -> Expected:
    """The mean posterior of accepted answers that nobody checked."""

    def mean(some_N: Flags) -> float | None:
        weight = float(told.times_N[some_N].sum())
        return float(told.times_N[some_N] @ lead.posterior_N[some_N]) / weight if weight else None

    plain_N = lead.accepted_N & (lead.posterior_N >= least) & ~told.checked_N
    with_N = label_N == lead.symbol_N
    return Expected(mean(plain_N), mean(plain_N & with_N), mean(plain_N & ~with_N & (label_N != NONE)))


def _aim_at_promise(terms: Terms, rows: AnswerTable, memory: LearningCache) -> Terms:
    """The terms with the target that a promise needs: known once everybody has been asked about the warm-up."""
    warm = rows.where(rows.wave_N == 0)
    return aim_terms(terms, heard_table(warm, walk_everybody(warm.answers_NV, len(terms.voters)).seen_NV, terms), memory)


def _walk_waves(
    terms: Terms, rows: AnswerTable, waves: Waves, pictures: Pictures | None, memory: LearningCache
) -> tuple[Policy, ReplayTrace]:
    """(the last policy, who was asked and what was heard)."""
    n, k = len(rows), len(terms.voters)
    seen_NV, turn_NK, lacking_NK = np.full_like(rows.answers_NV, NONE), np.zeros((n, k), np.int64), np.zeros((n, k), bool)
    policy, learned = None, (-1, False)
    for wave in range(waves.count):
        here = rows.wave_N == wave
        if here.any() and (waves.needs(wave), waves.hasty(wave)) != learned:
            if pictures is not None and waves.needs(wave) >= 0 and waves.needs(wave) != learned[0]:
                _admit_and_write(terms, rows, seen_NV, pictures, waves.needs(wave))
            learned = waves.needs(wave), waves.hasty(wave)
            policy = learn_policy(terms, heard_table(rows, seen_NV, terms), *learned, memory=memory)
        part = walk_policy(policy, rows.answers_NV[here], rows.everybody_N[here]) if policy else walk_everybody(rows.answers_NV[here], k)
        seen_NV[here], turn_NK[here], lacking_NK[here] = part.seen_NV, part.turn_NK, part.lacking_NK
    return policy or learn_policy(terms, heard_table(rows, seen_NV, terms), 0, memory=memory), ReplayTrace(seen_NV, turn_NK, lacking_NK)


def heard_table(rows: AnswerTable, seen_NV: Ints, terms: Terms) -> AnswerTable:
    """What was heard so far, as evidence; rows of which nothing was heard are none."""
    told, _ = _heard_rows(rows, seen_NV, terms)
    return told.where(_any_heard(told, terms))


def _heard_rows(rows: AnswerTable, seen_NV: Ints, terms: Terms) -> tuple[AnswerTable, Ints]:
    """What was heard, equal rows counted once, and the place of each row: whatever was not heard leaves no trace."""
    answers_NV, gold_N = as_symbols(seen_NV, rows.gold_N, terms)
    return make_table(np.column_stack([rows.wave_N, rows.everybody_N, rows.fold_N, gold_N, answers_NV]), rows.times_N)


def _any_heard(told: AnswerTable, terms: Terms) -> Flags:
    return np.asarray((told.answers_NV[:, : len(terms.voters)] != NONE).any(axis=1))
