"""Whether what pictures say may be heard: only where people's answers show that it tells more of the truth.

Each person's answer is judged by beliefs that have not seen its part: with the picture and without, one or two voters heard. The picture
is admitted where the log posterior of the true answer grows by more than `SURE` standard errors in the mean.
Shapes: N Samples, V columns, C classes.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations

import numpy as np

from cotforge.consensus.image.admitted import LEAST, SURE, Admission
from cotforge.consensus.image.samples import with_codes
from cotforge.consensus.image.voter import FOLDS, Pictures, picture_votes
from cotforge.consensus.sequential.answer_table import NONE, UNKNOWN, AnswerTable, Flags, Floats, Ints, make_table, unique_rows
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.learning import drop_twins, fit_belief
from cotforge.consensus.sequential.terms import Terms

_LEAST = 1e-3
"""Probability below which being wrong counts no more: one answer must not decide."""


@dataclass(frozen=True, slots=True)
class PictureAdmission:
    """What the pictures of all Samples say."""

    code_N: Ints
    """Codes of the picture's column; `NONE` everywhere where it is not admitted."""
    admission: Admission


LATEST = 6
"""Looks kept in mind: a run finds out what is missing, asks, and curates by the same ones."""
_latest: OrderedDict[bytes, PictureAdmission] = OrderedDict()


def admit_pictures(terms: Terms, pictures: Pictures, told: AnswerTable, upto: int) -> PictureAdmission:
    """What pictures say once Samples of the waves up to `upto` were asked about. Takes seconds, the latest times none.

    `told`: a row for each Sample, in the order of the pictures, with whatever was heard and every label; `terms.image`. The warm-up decides
    whether pictures are heard, for there everybody is asked about all that people checked. It decides for the whole vote: a policy that
    reckoned with pictures would else have asked too little.
    """
    first = _recalled_admission(terms, pictures, _heard_before(terms, told, 0), None)
    if upto <= 0 or not first.admission.admitted:
        return first
    return _recalled_admission(terms, pictures, _heard_before(terms, told, upto), first.admission)


def _recalled_admission(terms: Terms, pictures: Pictures, told: AnswerTable, admission: Admission | None) -> PictureAdmission:
    key = sha256(repr((terms, admission)).encode())
    for array in (told.answers_NV, told.gold_N, pictures.features_NP, pictures.there_N, pictures.rank_N, pictures.fold_N):
        key.update(array.tobytes())
    found = _latest.pop(key.digest(), None) or _found_out(terms, pictures, told, admission)
    _latest[key.digest()] = found
    while len(_latest) > LATEST:
        _latest.popitem(last=False)
    return found


def _found_out(terms: Terms, pictures: Pictures, told: AnswerTable, admission: Admission | None) -> PictureAdmission:
    """With the `admission`, which is tested where there is none yet."""
    seen_N = pictures.there_N & (told.gold_N >= 0) & _any_answer(terms, told)
    checked = int(seen_N.sum())
    nothing = np.full(len(pictures), NONE, np.int64)
    if admission is None and checked < LEAST:
        return PictureAdmission(nothing, Admission(False, checked))
    plain = fit_belief(terms, evidence_of(terms, told))
    code_N = _picture_answers(terms, pictures, told, plain)
    sighted = fit_belief(terms, evidence_of(terms, with_codes(told, code_N)))
    code_N = _picture_answers(terms, pictures, with_codes(told, code_N), sighted)
    if admission is None:
        admission = _decide_admission(pictures, with_codes(told, code_N), seen_N, plain, sighted)
    return PictureAdmission(code_N if admission.admitted else nothing, admission)


def _picture_answers(terms: Terms, pictures: Pictures, told: AnswerTable, belief: Belief) -> Ints:
    """What pictures say after a classifier has learned what is believed."""
    answers_NV = drop_twins(told, belief.twins, terms).answers_NV
    distinct, place_N = unique_rows(answers_NV)
    target_NC = belief.posterior(distinct)[place_N]
    checked = np.flatnonzero(told.gold_N >= 0)
    target_NC[checked] = 0
    target_NC[checked, told.gold_N[checked]] = 1
    known_N = (np.delete(answers_NV, -2, axis=1) >= 0).any(axis=1) | (told.gold_N >= 0)
    return picture_votes(pictures, target_NC, known_N, _any_answer(terms, told))


def _decide_admission(pictures: Pictures, told: AnswerTable, seen_N: Flags, plain: Belief, sighted: Belief) -> Admission:
    gain_N = np.zeros(len(told))
    blank = with_codes(told, np.full(len(told), NONE, np.int64))
    for fold in range(FOLDS):
        hidden_N = pictures.fold_N == fold
        here_N = hidden_N & seen_N
        for sign, rows, like in ((1, told, sighted), (-1, blank, plain)):
            others = replace(rows, gold_N=np.where(hidden_N, UNKNOWN, rows.gold_N))
            belief = fit_belief(like.terms, evidence_of(like.terms, others), like=like)
            gain_N[here_N] += sign * _log_posterior(belief, rows.where(here_N))
    gains = gain_N[seen_N]
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    admitted = gain > max(SURE * error, 0.0)
    return Admission(admitted, len(gains), gain, error, float(sighted.model.accuracy()[-2]) if admitted else None)


def _log_posterior(belief: Belief, rows: AnswerTable) -> Floats:
    """Of the true answer, the mean over all ways of hearing one or two voters, [N]."""
    k = len(belief.terms.voters)
    rows = drop_twins(rows, belief.twins, belief.terms)
    sets = [chosen for size in (1, 2) for chosen in combinations(belief.own_columns, size)]
    logs_N = np.zeros(len(rows))
    for chosen in sets:
        part_NV = np.full_like(rows.answers_NV, NONE)
        part_NV[:, [*chosen, *range(k, part_NV.shape[1])]] = rows.answers_NV[:, [*chosen, *range(k, part_NV.shape[1])]]
        share_N = belief.posterior(part_NV)[np.arange(len(rows)), rows.gold_N]
        logs_N += np.log(np.maximum(share_N, _LEAST)) / len(sets)
    return logs_N


def _heard_before(terms: Terms, told: AnswerTable, upto: int) -> AnswerTable:
    """Without what was heard after the wave."""
    answers_NV = told.answers_NV.copy()
    answers_NV[told.wave_N > upto, : len(terms.voters)] = NONE
    return told.with_answers(answers_NV)


def _any_answer(terms: Terms, told: AnswerTable) -> Flags:
    return np.asarray((told.answers_NV[:, : len(terms.voters)] != NONE).any(axis=1))


def evidence_of(terms: Terms, told: AnswerTable) -> AnswerTable:
    """Rows of which anything was heard, equal ones counted once."""
    told = told.where(_any_answer(terms, told))
    return make_table(np.column_stack([told.wave_N, told.everybody_N, np.full(len(told), -1), told.gold_N, told.answers_NV]), told.times_N)[
        0
    ]
