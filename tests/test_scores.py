"""What a model's answers come to: figures worked out by hand, and laws that hold for all."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.scores import UNREAD, AnsweredSample, score_answers

LABELS = ("awe", "fear", "joy")
answered = st.builds(
    AnsweredSample,
    truth=st.sampled_from(LABELS),
    answer=st.none() | st.sampled_from([*LABELS, "other"]),
    well_formed=st.booleans(),
    truncated=st.booleans(),
    words=st.integers(0, 500),
)


def said(*pairs: tuple[str, str | None]) -> list[AnsweredSample]:
    return [AnsweredSample(truth, answer) for truth, answer in pairs]


def test_figures_worked_out_by_hand() -> None:
    found = score_answers(said(("awe", "awe"), ("awe", "awe"), ("awe", "fear"), ("awe", None), ("fear", "fear"), ("fear", "other")), LABELS)
    assert (found["n"], found["accuracy"], found["macro_recall"]) == (6, 0.5, 0.5)
    assert found["recall"] == {"awe": 0.5, "fear": 0.5, "joy": None}
    assert found["support"] == {"awe": 4, "fear": 2, "joy": 0}
    assert found["confusion"] == {"awe": {"awe": 2, "fear": 1, UNREAD: 1}, "fear": {"fear": 1, "other": 1}}


def test_a_rare_class_weighs_as_much_as_a_frequent_one_in_macro_recall() -> None:
    found = score_answers(said(*[("awe", "awe")] * 9, ("fear", "awe")), LABELS)
    assert (found["accuracy"], found["macro_recall"]) == (0.9, 0.5)


def test_lengths_formats_and_cuts_are_means_over_all() -> None:
    each = [AnsweredSample("awe", "awe", well_formed=True, words=10), AnsweredSample("awe", None, truncated=True, words=30, rescued=True)]
    found = score_answers(each, LABELS)
    assert {name: found[name] for name in ("format_rate", "truncated_rate", "unread_rate", "rescued_rate", "reasoning_words")} == {
        "format_rate": 0.5, "truncated_rate": 0.5, "unread_rate": 0.5, "rescued_rate": 0.5, "reasoning_words": 20.0,
    }  # fmt: skip


def test_without_answers_there_are_no_figures() -> None:
    found = score_answers([], LABELS)
    assert (found["n"], found["accuracy"], found["macro_recall"], found["accuracy_interval"]) == (0, None, None, None)


@given(st.lists(answered, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_laws(each: list[AnsweredSample], chance: Random) -> None:
    found = score_answers(each, LABELS)
    assert sum(sum(row.values()) for row in found["confusion"].values()) == found["n"] == sum(found["support"].values())
    for figure in ("accuracy", "macro_recall"):
        below, above = found[f"{figure}_interval"]
        assert 0 <= below <= above <= 1
    weighed = sum((found["recall"][label] or 0) * found["support"][label] for label in LABELS)
    assert weighed == pytest.approx(found["accuracy"] * found["n"])
    shuffled = list(each)
    chance.shuffle(shuffled)
    assert json.dumps(score_answers(shuffled, LABELS)) == json.dumps(found)


@given(st.integers(1, 400), st.floats(0.02, 0.98), st.integers(0, 5))
def test_the_interval_of_accuracy_is_about_that_of_a_share(n: int, share: float, seed: int) -> None:
    right = round(n * share)
    found = score_answers(said(*[("awe", "awe")] * right, *[("awe", "joy")] * (n - right)), LABELS, seed=seed)
    below, above = found["accuracy_interval"]
    middle = right / n
    spread = 1.96 * (middle * (1 - middle) / n) ** 0.5
    assert below - 1e-9 <= middle <= above + 1e-9
    assert above - below == pytest.approx(2 * spread, abs=0.35 * spread + 2 / n)
