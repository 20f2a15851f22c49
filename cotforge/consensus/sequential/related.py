"""Finding out whether the labels were made by a relative of one of the teachers: see `relatives`."""

from collections.abc import Callable, Sequence

import numpy as np

from cotforge.consensus.sequential.agreement import AgreementModel
from cotforge.consensus.sequential.answer_table import NONE, AnswerTable
from cotforge.consensus.sequential.difficulty import ELEMENTS, Difficulty, known_states, thin_table

BEGIN = 0.5
"""Share of the labels that a teacher is tried as the source of."""
FIRST = 8
"""Rounds of EM after which the teachers tried are compared."""
GAIN, LEAST = 3.0, 0.2
"""Nats by which a relative has to make all answers likelier, and share of the labels that it has to be the source of: where labels err by
themselves, gains of up to 7 nats come with shares below 0.06 (measured on drawn answers of four and five teachers)."""
FEW = 50
"""Rows with a label and two teachers heard, below which no relative is looked for."""
_TINY = 1e-300

Model = Difficulty | AgreementModel


def with_relative(model: Model, table: AnswerTable, voters: Sequence[int], fresh: Callable[[], Model]) -> Model:
    """The fitted model, or where one of these voters explains the labels better than their own accuracy does, one that says so.

    `fresh` makes one that has learned nothing: a model without relatives has explained their agreement by their accuracy already.
    """
    told_N = (table.answers_NV[:, -1] != NONE) & ((table.answers_NV[:, :-1] >= 0).sum(axis=1) >= 2)
    if len(voters) < 2 or table.times_N[told_N].sum() < FEW:
        return model
    table = thin_table(table, ELEMENTS // model.H)
    best = max((_try_relative(fresh(), table, column) for column in voters), key=lambda one: log_likelihood(one, table)).fit(table)
    related = best.relatives.share_K.max() >= LEAST and log_likelihood(best, table) >= log_likelihood(model, table) + GAIN
    return best if related else model


def _try_relative(model: Model, table: AnswerTable, column: int) -> Model:
    """The model after some rounds with one voter as the label's relative."""
    model.relatives.share_K[column] = BEGIN
    return model.fit(table, rounds=FIRST)


def log_likelihood(model: Model, table: AnswerTable) -> float:
    """Log probability of all answers and gold of a table, in nats."""
    joint_NH = model.joint_NH(table.answers_NV)
    known_NH = known_states(table.gold_N, model.answer_H)
    return float(table.times_N @ np.log(np.maximum((joint_NH * known_NH).sum(axis=1), _TINY)))
