"""A whole vote again, from answers that are all there: who would have been asked, and what comes of it.

It reads an answer only once the policy has asked for it, so that a journal, a table and a live run give the same verdicts.
"""

from dataclasses import dataclass

import numpy as np

from cotforge.consensus.claim import Claim
from cotforge.consensus.image.admission import look
from cotforge.consensus.image.admitted import Admission
from cotforge.consensus.image.voter import Pictures
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.held import Held, claim, held_out
from cotforge.consensus.sequential.learning import as_symbols, believe, learn, once
from cotforge.consensus.sequential.policy import Policy
from cotforge.consensus.sequential.table import NONE, Flags, Floats, Ints, Table, symbols_of, table
from cotforge.consensus.sequential.terms import Terms
from cotforge.consensus.sequential.walk import Walk, everybody, walk
from cotforge.consensus.sequential.waves import Waves


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a vote found, per row of the Table it was given."""

    belief: Belief
    policy: Policy
    walk: Walk
    column_N: Ints
    """A column that says the leading answer; `NONE` where no voter asked does. People's answers come later: see `decider.settle`."""
    confidence_N: Floats
    """Posterior of the leading answer, in [0, 1]."""
    accepted_N: Flags
    claim: Claim
    held: Held | None
    """None where there was no gold to speak of."""
    admission: Admission | None = None
    """Of the pictures, where there are features of them."""


def replay(terms: Terms, rows: Table, waves: Waves, pictures: Pictures | None = None) -> Replayed:
    """Wave by wave: learn, walk; at the end believe all that was heard.

    With `pictures`, rows are theirs one by one, and `terms.image`: what pictures say is found out anew before each learning.
    """
    rows = rows if pictures is None else rows.with_answers(rows.answers_NV.copy())  # it is written to
    policy, walked = _walked(terms, rows, waves, pictures)
    admission = _look(terms, rows, walked.seen_NV, pictures, waves.count) if pictures is not None else None
    told, place_N = _heard(rows, walked.seen_NV, terms)
    evidence = told.where(_some(told, terms))
    belief = believe(terms, evidence, policy=policy, like=policy.belief)
    view = once(told, belief.twins, terms)
    lead = belief.lead(view.answers_NV, belief.posterior(view.answers_NV))
    says_NK = symbols_of(view.answers_NV[:, : len(terms.voters)], terms) == lead.symbol_N[:, None]
    column = np.where(says_NK.any(axis=1), says_NK.argmax(axis=1), NONE)
    held = held_out(belief, policy, evidence, rows) if belief.calibration.weights_F is not None else None
    return Replayed(
        belief,
        policy,
        walked,
        column_N=column[place_N],
        confidence_N=lead.posterior_N[place_N],
        accepted_N=lead.accepted_N[place_N],
        claim=claim(told, lead.posterior_N, lead.accepted_N, view.answers_NV[:, -1] == lead.symbol_N, held),
        held=held,
        admission=admission,
    )


def _look(terms: Terms, rows: Table, seen_NV: Ints, pictures: Pictures, upto: int) -> Admission:
    """Writes what pictures say into the rows, and into what was seen of them."""
    told_NV = seen_NV.copy()
    told_NV[:, -1] = rows.answers_NV[:, -1]
    found = look(terms, pictures, rows.with_answers(told_NV), upto)
    rows.answers_NV[:, -2] = seen_NV[:, -2] = found.code_N
    return found.admission


def _walked(terms: Terms, rows: Table, waves: Waves, pictures: Pictures | None) -> tuple[Policy, Walk]:
    """(the last policy, who was asked and what was heard)."""
    n, k = len(rows), len(terms.voters)
    seen_NV, turn_NK, lacking_NK = np.full_like(rows.answers_NV, NONE), np.zeros((n, k), np.int64), np.zeros((n, k), bool)
    policy, learned = None, (-1, False)
    for wave in range(waves.count):
        here = rows.wave_N == wave
        if here.any() and (waves.needs(wave), waves.hasty(wave)) != learned:
            if pictures is not None and waves.needs(wave) >= 0 and waves.needs(wave) != learned[0]:
                _look(terms, rows, seen_NV, pictures, waves.needs(wave))
            learned = waves.needs(wave), waves.hasty(wave)
            policy = learn(terms, heard(rows, seen_NV, terms), *learned)
        part = walk(policy, rows.answers_NV[here], rows.everybody_N[here]) if policy else everybody(rows.answers_NV[here], k)
        seen_NV[here], turn_NK[here], lacking_NK[here] = part.seen_NV, part.turn_NK, part.lacking_NK
    return policy or learn(terms, heard(rows, seen_NV, terms), 0), Walk(seen_NV, turn_NK, lacking_NK)


def heard(rows: Table, seen_NV: Ints, terms: Terms) -> Table:
    """What was heard so far, as evidence; rows of which nothing was heard are none."""
    told, _ = _heard(rows, seen_NV, terms)
    return told.where(_some(told, terms))


def _heard(rows: Table, seen_NV: Ints, terms: Terms) -> tuple[Table, Ints]:
    """What was heard, equal rows counted once, and the place of each row: whatever was not heard leaves no trace."""
    answers_NV, gold_N = as_symbols(seen_NV, rows.gold_N, terms)
    return table(np.column_stack([rows.wave_N, rows.everybody_N, rows.fold_N, gold_N, answers_NV]), rows.times_N)


def _some(told: Table, terms: Terms) -> Flags:
    return np.asarray((told.answers_NV[:, : len(terms.voters)] != NONE).any(axis=1))
