"""Labels made by a relative of a teacher: found where they are, not where they are not, and counted as what they are."""

from typing import Any

import numpy as np
import pytest

from cotforge.consensus import decide
from cotforge.consensus.sequential import Terms
from cotforge.consensus.sequential.agreement import AgreementModel
from cotforge.consensus.sequential.answer_table import AnswerTable, Ints, make_table, regroup_codes
from cotforge.consensus.sequential.belief import Belief, new_model
from cotforge.consensus.sequential.calibration import Calibration
from cotforge.consensus.sequential.difficulty import Difficulty
from cotforge.consensus.sequential.learning import fit_belief
from cotforge.consensus.sequential.related import log_likelihood
from cotforge.consensus.sequential.relatives import RELATED
from tests.voting import drawn, given, precision, sure_of, terms_of

SKILLS = (0.6, 0.7, 0.75, 0.85, 0.9)
"""Four teachers and the label."""


def world(share: float, *, column: int = 3, items: int = 1500, classes: int = 5, gold: int = 0, seed: int = 0) -> AnswerTable:
    """A share of the labels is what one of the teachers says; the others err by themselves."""
    random = np.random.default_rng(seed)
    made, _ = drawn(random, items, classes, SKILLS, gold=gold)
    rows = np.repeat(np.arange(len(made)), made.times_N.astype(int))
    answers_NV = made.answers_NV[rows]
    copied_N = random.random(len(rows)) < share
    answers_NV[copied_N, -1] = answers_NV[copied_N, column]
    return make_table(np.column_stack([made.wave_N[rows], made.everybody_N[rows], made.fold_N[rows], made.gold_N[rows], answers_NV]))[0]


def grouped(made: AnswerTable) -> AnswerTable:
    """The same where only who agrees with whom is kept."""
    answers_NV, gold_N = regroup_codes(made.answers_NV, made.gold_N)
    assert gold_N is not None
    return make_table(np.column_stack([made.wave_N, made.everybody_N, made.fold_N, gold_N, answers_NV]), made.times_N)[0]


def shares(made: AnswerTable, terms: Terms) -> list[float]:
    found: list[float] = fit_belief(terms, made).model.relatives.share_K.tolist()
    return found


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("gold", [0, 100])
@pytest.mark.parametrize("column", [1, 3])
def test_the_teacher_that_the_labels_repeat_is_found(gold: int, column: int, free: bool) -> None:
    made = world(0.7, column=column, gold=gold)
    found = shares(grouped(made), terms_of(0, 4)) if free else shares(made, terms_of(5, 4))
    assert 0.3 < found[column] < 0.85, "less than it is: where both are right, the label may be so by itself"
    assert sum(found) == found[column]


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("gold", [0, 100])
@pytest.mark.parametrize("seed", range(3))
def test_labels_that_err_by_themselves_have_no_relative(seed: int, gold: int, free: bool) -> None:
    made = world(0.0, gold=gold, seed=seed)
    assert shares(grouped(made), terms_of(0, 4)) == [0] * 4 if free else shares(made, terms_of(5, 4)) == [0] * 4


def test_few_rows_rows_without_labels_and_a_single_teacher_have_none() -> None:
    made = world(0.9, items=40)
    assert shares(made, terms_of(5, 4)) == [0] * 4
    made = world(0.9)
    without = made.answers_NV.copy()
    without[:, -1] = -1
    assert shares(made.with_answers(without), terms_of(5, 4, label=False)) == [0] * 4
    assert shares(made.with_answers(made.answers_NV[:, [3, 4]]), terms_of(5, 1)) == [0]


def related(model: Any) -> Any:
    model.relatives.share_K[:2] = 0.2, 0.4
    return model


HIDDEN = np.array([[-1, 1, -1, 0], [-1, -1, 1, 2], [0, -1, -1, -1], [-1, -1, -1, 1], [2, -1, 0, 0], [-2, 1, -1, 1]])


@pytest.mark.parametrize("model", [related(Difficulty(3, 4)), related(AgreementModel(6, 4))], ids=["classes", "groups"])
@pytest.mark.parametrize("voter", range(3))
def test_what_may_be_said_next_is_the_probability_of_the_rows_that_have_it(model: Any, voter: int) -> None:
    def numbered(answers_NV: Ints) -> Ints:
        return answers_NV if isinstance(model, Difficulty) else regroup_codes(answers_NV)[0]

    rows = numbered(HIDDEN)[HIDDEN[:, voter] == -1]
    joint_NH = model.joint_NH(rows)
    outcome_NS = model.outcomes(joint_NH, voter, rows)
    assert outcome_NS.sum(axis=1) == pytest.approx(joint_NH.sum(axis=1))
    for row, symbol in np.argwhere(outcome_NS > 1e-12):
        after_1V = rows[[row]].copy()
        after_1V[0, voter] = symbol
        assert model.joint_NH(numbered(after_1V)).sum() == pytest.approx(outcome_NS[row, symbol])


@pytest.mark.parametrize("free", [False, True])
def test_learning_with_a_relative_never_makes_what_was_heard_less_likely(free: bool) -> None:
    made, model = world(0.6, items=600), related(new_model(terms_of(0 if free else 5, 4), (), ~np.eye(5, dtype=bool)))
    made, last = grouped(made) if free else made, -np.inf
    for _ in range(30):
        now = log_likelihood(model, made)
        assert now >= last - 1e-4 * 600
        model.fit(made, rounds=1)
        last = now


def belief(terms: Terms, *, share: float = 0.0, people: bool = False) -> Belief:
    """Of somebody who takes teachers for as good as they are."""
    made = fit_belief(terms, world(0.0))
    made.model.relatives.share_K[3] = share
    return Belief(terms, made.model, Calibration(np.array([1.0, 0.0])) if people else Calibration(), repairs=people)


def accepted(of: Belief, *rows: list[int]) -> list[bool]:
    answers_NV = np.array(rows)
    flags: list[bool] = of.lead(answers_NV, np.eye(5)[np.full(len(rows), 2)]).accepted_N.tolist()
    return flags


def test_without_answers_of_people_the_label_and_its_relative_are_one_voice() -> None:
    rows = [-1, -1, -1, 2, 2], [2, -1, -1, -1, 2], [2, -1, -1, 2, 2], [-1, -1, -1, 2, 0], [-1, -1, -1, -1, 2]
    assert accepted(belief(terms_of(5, 4)), *rows) == [True, True, True, False, False]
    assert accepted(belief(terms_of(5, 4), share=RELATED), *rows) == [False, True, True, False, False]
    assert accepted(belief(terms_of(5, 4), share=RELATED, people=True), *rows) == [True, True, True, True, False]


def test_without_label_and_answers_of_people_two_teachers_must_agree_and_none_disagree() -> None:
    agreed = [2, -1, -1, 2, -1], [-1, 2, 2, 2, -1], [2, 2, -2, -2, -1]
    apart = [-1, -1, -1, 2, -1], [0, -1, 2, 2, -1], [2, 2, -1, 0, -1], [2, 2, 2, 0, -1], [-2, -2, 2, -2, -1]
    of = belief(terms_of(5, 4))
    assert accepted(of, *agreed) == [True] * 3
    assert accepted(of, *apart) == [False] * 5
    assert accepted(belief(terms_of(5, 4), people=True), *apart) == [True] * 5, "people's answers say whom to believe alone"


def test_where_all_are_asked_at_once_the_two_most_accurate_heard_must_agree() -> None:
    rows = np.array([[0, 0, 2, 2, -1], [0, 2, 2, -2, -1], [2, 2, 2, 0, -1], [2, -2, -2, -2, -1]])
    lead = belief(terms_of(5, 4)).lead(rows, np.eye(5)[np.full(4, 2)], np.ones(4, bool))
    assert lead.accepted_N.tolist() == [True, True, False, False]


def test_a_single_teacher_without_label_is_believed_alone() -> None:
    made = world(0.0)
    one = fit_belief(terms_of(5, 1), made.with_answers(made.answers_NV[:, [3, 4]]))
    assert accepted(one, [2, -1], [2, 0]) == [True, False]


def test_labels_by_a_relative_of_the_best_teacher_do_not_lift_the_claim() -> None:
    made = given(4000, classes=6, accuracies=(0.6, 0.7, 0.75, 0.85), kind="COR", seed=3)
    said = dict(made.frame.filter(teacher="t4").select("id", "answer").rows())
    random = np.random.default_rng(0)
    labels = {id: said[id] if random.random() < 0.8 else label for id, label in made.labels.items()}
    gold = sure_of(made, 150)
    decided = decide(made.frame, labels=labels, gold=gold, classes=made.classes)
    assert [line for line in decided.remarks if line.startswith("the labels repeat what teacher t4 says, errors included")]
    assert decided.claim.precision is not None
    assert decided.claim.precision <= precision(decided, made.truth, but=gold) + 0.03


def test_the_rule_says_that_two_teachers_have_to_agree() -> None:
    made = given(300, classes=3)
    line = "where there is neither a label nor checked answers, two teachers have to agree, and none asked in turn may disagree"
    assert decide(made.frame, classes=made.classes).remarks == (line,)
    assert decide(made.frame, classes=made.classes, labels=made.labels).remarks == ()
    assert decide(made.frame, classes=made.classes, gold=sure_of(made, 60)).remarks == ()
    assert decide(made.frame.filter(teacher="t1"), classes=made.classes).remarks == ()
