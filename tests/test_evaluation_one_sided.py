"""What accuracy hides: one answer to everything, a class that is never given, and the commonest label, which is right without looking."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.scores import AnsweredSample, score_answers
from cotforge.train.evaluation.one_sided import commonest_label, never_answered, one_sided

LABELS = ("red", "green", "blue")


def figures(truths: list[str], answers: list[str | None], labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    found = score_answers([AnsweredSample(truth, answer) for truth, answer in zip(truths, answers, strict=True)], labels)
    return found | {"never_answered": never_answered(found, labels)}


def lines(truths: list[str], answers: list[str | None], labels: tuple[str, ...] = LABELS) -> list[str]:
    return list(one_sided(figures(truths, answers, labels)))


TRUTHS = ["red"] * 6 + ["green"] * 3 + ["blue"]


def test_one_answer_to_everything_is_told_with_what_it_comes_to() -> None:
    assert lines(TRUTHS, ["green"] * 10) == ["it answers 'green' in all 10 answers; always 'red' is right for 0.600 of the samples"]
    assert lines(TRUTHS, ["red"] * 7 + [None] * 3)[0].startswith("it answers 'red' in all 7 answers that can be read (of 10)")
    many = [*TRUTHS] * 10
    assert lines(many, ["red"] * 97 + ["green"] * 2 + ["blue"])[0].startswith("it answers 'red' in 97 of 100 answers")


def test_a_class_that_is_never_given_is_told_where_it_is_right_for_some() -> None:
    answers: list[str | None] = ["red", "green"] * 5
    assert lines(TRUTHS, answers) == ["it never answers 'blue' (right for 1) of the 10 samples"]
    assert lines(["red", "green"] * 5, answers) == []
    classes = tuple(f"class {number}" for number in range(12))
    told = lines([*classes], [*classes[:2]] * 6, classes)
    named = ", ".join(f"'class {number}' (right for 1)" for number in range(2, 7))
    assert told == [f"it never answers {named} and 5 more of the 12 samples"]


def test_answers_that_cannot_be_read_are_told_and_of_no_class() -> None:
    assert lines(TRUTHS, [None] * 10) == ["none of its 10 answers can be read"]


def test_where_all_samples_have_one_label_or_all_is_well_nothing_is_told() -> None:
    assert lines(["red"] * 5, ["red"] * 5) == []
    assert commonest_label(figures(["red"] * 5, ["red"] * 5)) is None
    assert lines(TRUTHS, [*TRUTHS]) == []


def test_figures_of_an_earlier_version_are_read_too() -> None:
    found = figures(TRUTHS, ["red", "green"] * 5)
    del found["never_answered"]
    assert list(one_sided(found)) == []
    assert commonest_label(found) is not None
    assert commonest_label({"n": 4, "accuracy": 0.5}) is None


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, None])), min_size=1, max_size=60))
def test_always_the_commonest_label_is_as_good_as_any_one_answer_and_no_such_student_beats_it(pairs: list[tuple[str, str | None]]) -> None:
    truths = [truth for truth, _ in pairs]
    always = commonest_label(figures(truths, [answer for _, answer in pairs]))
    if always is None:
        assert len(set(truths)) == 1
        return
    for label in LABELS:
        found = figures(truths, [label] * len(truths))
        assert found["accuracy"] <= always.share + 1e-12
        assert not always.is_beaten_by(found)
    mine = figures(truths, [always.label] * len(truths))
    assert always.figures(len(truths))["accuracy"] == pytest.approx(mine["accuracy"])
    assert always.figures(len(truths))["macro_recall"] == pytest.approx(mine["macro_recall"])


def test_a_student_that_looks_beats_it() -> None:
    draw = random.Random(0)
    truths = draw.choices(LABELS, k=300)
    always = commonest_label(found := figures(truths, [truth if draw.random() < 0.9 else "red" for truth in truths]))
    assert always is not None
    assert always.is_beaten_by(found)
