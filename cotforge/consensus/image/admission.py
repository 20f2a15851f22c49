"""Whether what pictures say may be heard: only where people's answers show that it tells more of the truth.

Each person's answer is judged by beliefs that have not seen its part: with the picture and without, one or two voters heard. The picture
is admitted where the log posterior of the true answer grows by more than `SURE` standard errors in the mean.
Shapes: N Samples, V columns, C classes.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from cotforge.consensus.claim import FEW
from cotforge.consensus.image.voter import FOLDS, Pictures, says
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.learning import believe, once
from cotforge.consensus.sequential.table import NONE, UNKNOWN, Flags, Floats, Ints, Table, table, unique_rows
from cotforge.consensus.sequential.terms import Terms

SURE = 2.0
"""Standard errors by which it has to be better."""
_LEAST = 1e-3
"""Probability below which being wrong counts no more: one answer must not decide."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether the picture votes, and what that stands on."""

    admitted: bool
    checked: int
    """Samples with features that people checked."""
    gain: float | None = None
    """By how much the log posterior of the true answer grows, in nats; None where too few are checked to say."""
    error: float | None = None
    """Its standard error."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the pictures of all Samples say."""

    code_N: Ints
    """Codes of the picture's column; `NONE` everywhere where it is not admitted."""
    admission: Admission


def look(terms: Terms, pictures: Pictures, told: Table, upto: int) -> Look:
    """What pictures say once Samples of the waves up to `upto` were asked about. Takes seconds.

    `told`: a row for each Sample, in the order of the pictures, with whatever was heard and every label; `terms.image`.
    """
    told = _heard(terms, told, upto)
    seen_N = pictures.there_N & (told.gold_N != UNKNOWN) & _anything(terms, told)
    checked = int(seen_N.sum())
    nothing = np.full(len(pictures), NONE, np.int64)
    if checked < FEW:
        return Look(nothing, Admission(False, checked))
    plain = believe(terms, _evidence(terms, told))
    code_N = _said(terms, pictures, told, plain)
    sighted = believe(terms, _evidence(terms, _with(told, code_N)))
    code_N = _said(terms, pictures, _with(told, code_N), sighted)
    admission = _admission(pictures, _with(told, code_N), seen_N, plain, sighted)
    return Look(code_N if admission.admitted else nothing, admission)


def _said(terms: Terms, pictures: Pictures, told: Table, belief: Belief) -> Ints:
    """What pictures say after a classifier has learned what is believed."""
    answers_NV = once(told, belief.twins, terms).answers_NV
    distinct, place_N = unique_rows(answers_NV)
    target_NC = belief.posterior(distinct)[place_N]
    checked = np.flatnonzero(told.gold_N >= 0)
    target_NC[checked] = 0
    target_NC[checked, told.gold_N[checked]] = 1
    known_N = (np.delete(answers_NV, -2, axis=1) >= 0).any(axis=1) | (told.gold_N >= 0)
    return says(pictures, target_NC, known_N, _anything(terms, told))


def _admission(pictures: Pictures, told: Table, seen_N: Flags, plain: Belief, sighted: Belief) -> Admission:
    gain_N = np.zeros(len(told))
    blank = _with(told, np.full(len(told), NONE, np.int64))
    for fold in range(FOLDS):
        hidden_N = pictures.fold_N == fold
        here_N = hidden_N & seen_N
        for sign, rows, like in ((1, told, sighted), (-1, blank, plain)):
            others = replace(rows, gold_N=np.where(hidden_N, UNKNOWN, rows.gold_N))
            belief = believe(like.terms, _evidence(like.terms, others), like=like)
            gain_N[here_N] += sign * _log_posterior(belief, rows.where(here_N))
    gains = gain_N[seen_N]
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return Admission(gain > SURE * error and gain > 0, len(gains), gain, error)


def _log_posterior(belief: Belief, rows: Table) -> Floats:
    """Of the true answer, the mean over all ways of hearing one or two voters, [N]."""
    k = len(belief.terms.voters)
    rows = once(rows, belief.twins, belief.terms)
    sets = [chosen for size in (1, 2) for chosen in combinations(belief.own, size)]
    logs_N = np.zeros(len(rows))
    for chosen in sets:
        part_NV = np.full_like(rows.answers_NV, NONE)
        part_NV[:, [*chosen, *range(k, part_NV.shape[1])]] = rows.answers_NV[:, [*chosen, *range(k, part_NV.shape[1])]]
        share_N = belief.posterior(part_NV)[np.arange(len(rows)), rows.gold_N]
        logs_N += np.log(np.maximum(share_N, _LEAST)) / len(sets)
    return logs_N


def _heard(terms: Terms, told: Table, upto: int) -> Table:
    """Without what was heard after the wave."""
    answers_NV = told.answers_NV.copy()
    answers_NV[told.wave_N > upto, : len(terms.voters)] = NONE
    return told.with_answers(answers_NV)


def _anything(terms: Terms, told: Table) -> Flags:
    return np.asarray((told.answers_NV[:, : len(terms.voters)] != NONE).any(axis=1))


def _with(told: Table, code_N: Ints) -> Table:
    answers_NV = told.answers_NV.copy()
    answers_NV[:, -2] = code_N
    return told.with_answers(answers_NV)


def _evidence(terms: Terms, told: Table) -> Table:
    """Rows of which anything was heard, equal ones counted once."""
    told = told.where(_anything(terms, told))
    return table(np.column_stack([told.wave_N, told.everybody_N, np.full(len(told), -1), told.gold_N, told.answers_NV]))[0]
