"""The models of how answers come about: probabilities that add up, learning that only gains, and what is known found again."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cotforge.consensus.sequential.agreement import AgreementModel
from cotforge.consensus.sequential.answer_table import AnswerTable, Evidence, Ints, make_table, regroup_codes
from cotforge.consensus.sequential.difficulty import Difficulty, Priors
from tests.voting import drawn, terms_of

PLAIN = Priors(kappa=0, teacher=0, label=0, levels=1, distractor=False)
"""With these the model is Dawid and Skene's."""
SKILLS = (0.6, 0.7, 0.8, 0.9)


def world(items: int = 1500, classes: int = 4, skills: Any = SKILLS, seed: int = 0, gold: int = 0) -> AnswerTable:
    return drawn(np.random.default_rng(seed), items, classes, skills, gold=gold)[0]


def grouped(made: AnswerTable) -> AnswerTable:
    """The same where only who agrees with whom is kept."""
    answers_NV, gold_N = regroup_codes(made.answers_NV, made.gold_N)
    assert gold_N is not None
    return make_table(np.column_stack([made.wave_N, made.everybody_N, made.fold_N, gold_N, answers_NV]), made.times_N)[0]


def log_likelihood(model: Difficulty | AgreementModel, made: AnswerTable) -> float:
    return float(made.times_N @ np.log(model.joint_NH(made.answers_NV).sum(axis=1)))


@pytest.mark.parametrize(("classes", "skills"), [(2, (0.6, 0.75, 0.85, 0.7, 0.8)), (4, (0.7, 0.75, 0.8, 0.9))])
@pytest.mark.filterwarnings("ignore:The .* keyword")  # what crowd-kit still asks of pandas
def test_with_one_level_and_no_distractor_it_is_the_model_of_dawid_and_skene(classes: int, skills: tuple[float, ...]) -> None:
    import pandas
    from crowdkit.aggregation.classification.dawid_skene import DawidSkene

    # The label is never there: it is a column of its own in ours.
    made = world(1000, classes, (*skills, 0.9))
    answers_NV = np.column_stack([made.answers_NV[:, :-1], np.full(len(made), -1)])
    rows = np.repeat(np.arange(len(made)), made.times_N.astype(int))
    frame = pandas.DataFrame(
        [(task, column, answers_NV[row, column]) for task, row in enumerate(rows) for column in range(len(skills))],
        columns=["task", "worker", "label"],
    )
    theirs = DawidSkene(n_iter=120, tol=-1.0).fit(frame).probas_.sort_index().to_numpy()
    model = Difficulty(classes, len(skills) + 1, PLAIN)
    for _ in range(40):
        model.fit(made.with_answers(answers_NV), rounds=100)
    shares_NC = model.by_answer(model.joint_NH(answers_NV))
    ours = (shares_NC / shares_NC.sum(axis=1, keepdims=True))[rows]
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("classes", [2, 3, 5, 14])
@pytest.mark.parametrize("fitted", [False, True])
def test_what_a_voter_may_say_adds_up_in_each_hidden_state(classes: int, fitted: bool) -> None:
    model = Difficulty(classes, 5)
    if fitted:
        model.fit(world(600, classes, (*SKILLS, 0.9)), rounds=5)
    emission_VCH = model.emission_VCH()
    assert emission_VCH.min() > 0
    assert np.allclose(emission_VCH.sum(axis=1), 1, atol=1e-6)
    assert model.prior_H().sum() == pytest.approx(1)
    assert model.level_T.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("classes", "priors"),
    [
        (3, PLAIN),
        (2, PLAIN),
        (4, Priors(kappa=0, teacher=0, label=0, levels=2, distractor=False)),
        (3, Priors(kappa=0, teacher=0, label=0, levels=3, distractor=False)),
    ],
)
def test_learning_never_makes_what_was_heard_less_likely(classes: int, priors: Priors) -> None:
    made = world(800, classes, (*SKILLS, 0.85))
    model, last = Difficulty(classes, 5, priors), -np.inf
    for _ in range(40):
        now = log_likelihood(model, made)
        assert now >= last - 1e-4 * len(made)
        model.fit(made, rounds=1)
        last = now


def test_learning_gains_where_voters_fall_for_a_distractor_too() -> None:
    made = world(1500, 4, (*SKILLS, 0.85))
    for model in (Difficulty(4, 5), AgreementModel(4, 5)):
        rows = made if isinstance(model, Difficulty) else grouped(made)
        before = log_likelihood(model, rows)
        assert log_likelihood(model.fit(rows), rows) > before + 100


@pytest.mark.parametrize("classes", [3, 6])
@pytest.mark.parametrize("skills", [(0.6, 0.7, 0.8, 0.9), (0.55, 0.85, 0.7, 0.5, 0.95)])
def test_accuracies_are_found_again(classes: int, skills: tuple[float, ...]) -> None:
    made = world(4000, classes, skills)
    for model in (Difficulty(classes, len(skills)).fit(made), AgreementModel(classes, len(skills)).fit(grouped(made))):
        assert model.accuracy() == pytest.approx(np.array(skills), abs=0.05)


def test_a_row_that_people_answered_is_certain_of_it() -> None:
    rows = np.array([[0, 1, 0, 2, 0, 0, 1], [0, 1, -1, -1, 0, 0, 1]] * 40)
    made, _ = make_table(rows)
    model = Difficulty(3, 3).fit(made)
    before = Difficulty(3, 3).fit(made.where(made.gold_N < 0))
    answers_1V = np.array([[0, 0, 1]])
    shares = [one.by_answer(one.joint_NH(answers_1V))[0, 2] / one.joint_NH(answers_1V).sum() for one in (model, before)]
    assert shares[0] > 3 * shares[1]


@pytest.mark.parametrize("size", [2, 10, 200])
def test_ways_of_agreeing_are_all_there_are(size: int) -> None:
    """Of all partitions of the voters, whatever their number of groups, the probabilities sum to one."""
    voters = 3
    model = AgreementModel(size, voters)
    partitions = {tuple(regroup_codes(np.array([[a, b, c]]))[0][0]) for a in range(3) for b in range(3) for c in range(3)}
    possible = np.array([row for row in partitions if max(row) < model.size])
    assert model.joint_NH(possible).sum() == pytest.approx(1)
    assert model.joint_NH(np.array([[-1, -1, 0]])).sum() == pytest.approx(1)
    assert model.joint_NH(np.array([[-1, -1, -1]])).sum() == pytest.approx(1)


@pytest.mark.parametrize("labelled", [True, False])
def test_what_may_be_said_next_sums_to_what_is_so_far(labelled: bool) -> None:
    made = world(300, 5, (*SKILLS, 0.8))
    hidden = made.answers_NV.copy()
    hidden[:, 2] = -1
    hidden[::2, 1] = -1
    hidden[::3, 0] = -2
    if not labelled:
        hidden[:, -1] = -1
    groups = regroup_codes(hidden)[0]
    for model, answers_NV in ((AgreementModel(5, 5), groups), (AgreementModel(60, 5), groups), (Difficulty(5, 5), hidden)):
        joint_NH = model.joint_NH(answers_NV)
        outcome_NS = model.outcomes(joint_NH, 2, answers_NV)
        assert outcome_NS.min() >= 0
        assert outcome_NS.sum(axis=1) == pytest.approx(joint_NH.sum(axis=1), rel=1e-6)
        # Each is the probability of the row that has the answer.
        for row in range(0, len(answers_NV), 29):
            for symbol in np.flatnonzero(outcome_NS[row] > 1e-12):
                after_1V = answers_NV[[row]].copy()
                after_1V[0, 2] = symbol
                if not isinstance(model, Difficulty):
                    after_1V = regroup_codes(after_1V)[0]
                assert model.joint_NH(after_1V).sum() == pytest.approx(outcome_NS[row, symbol], rel=1e-5)


GROUPS = arrays.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(-2, 4))


@settings(max_examples=60)
@given(GROUPS, st.permutations(range(5)))
def test_groups_are_numbered_by_who_agrees_and_by_nothing_else(answers_NV: Ints, names: list[int]) -> None:
    gold_N = answers_NV[:, 0].copy()
    new_NV, new_gold_N = regroup_codes(answers_NV, gold_N)
    assert new_gold_N is not None
    again = regroup_codes(new_NV, new_gold_N)
    assert np.array_equal(again[0], new_NV)
    assert np.array_equal(again[1], new_gold_N)
    other = np.array([*names, -2, -1])
    renamed = regroup_codes(other[answers_NV], other[gold_N])
    assert np.array_equal(renamed[0], new_NV)
    assert np.array_equal(renamed[1], new_gold_N)
    assert np.array_equal(new_NV < 0, answers_NV < 0)
    assert np.array_equal(new_NV[answers_NV < 0], answers_NV[answers_NV < 0])
    for old, new in zip(answers_NV, new_NV, strict=True):
        assert len(set(new[new >= 0])) == new.max(initial=-1) + 1
        assert all((a == b) == (c == d) for a, c in zip(old, new, strict=True) for b, d in zip(old, new, strict=True))
        if new[-1] >= 0:
            assert new[-1] == 0


def test_evidence_is_the_same_in_any_order() -> None:
    terms = terms_of(3, 2)
    samples: list[tuple[int, dict[str, Any]]] = [
        (0, {"label": "c1", "answers": {"a": "c1", "b": None}, "gold": "c2", "everybody": True, "fold": 3}),
        (1, {"label": None, "answers": {"a": "c0"}}),
        (1, {"label": "strange", "answers": {"b": "c2", "a": "strange"}, "fold": 9}),
        (0, {"label": "c1", "answers": {"a": "c1", "b": None}, "gold": "c2", "everybody": True, "fold": 3}),
    ]
    tables = []
    for order in (samples, samples[::-1]):
        evidence = Evidence(terms)
        for wave, sample in order:
            evidence.add(wave, **sample)
        tables.append(evidence.table())
    for name in ("answers_NV", "gold_N", "wave_N", "everybody_N", "fold_N", "times_N"):
        assert np.array_equal(getattr(tables[0], name), getattr(tables[1], name))
    assert tables[0].answers_NV.tolist() == [[1, -2, 1], [-2, 2, -1], [0, -1, -1]]
    assert tables[0].gold_N.tolist() == [2, -1, -1]
    assert tables[0].fold_N.tolist() == [3, -1, -1]
    assert tables[0].times_N.tolist() == [2, 1, 1]


def test_answers_outside_many_classes_are_unreadable_and_free_ones_never_are() -> None:
    wide, free = Evidence(terms_of(40, 2)), Evidence(terms_of(0, 2))
    for evidence in (wide, free):
        evidence.add(0, label="strange", answers={"a": "c7", "b": "strange"})
    assert wide.table().answers_NV.tolist() == [[0, -2, -1]]
    assert free.table().answers_NV.tolist() == [[1, 0, 0]]
