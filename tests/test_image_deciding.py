"""Pictures vote in `decide`: they save calls where people's answers show that they help, and else nothing is other than without them."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given as drawn_by
from hypothesis import settings
from hypothesis import strategies as st

from benchmarks.consensus.worlds import Inputs
from cotforge.consensus import AnswersError, Decisions
from cotforge.consensus.image.admitted import PICTURE
from tests.voting import given, precision, same, sound, sure_of, vote

ITEMS = 500


def features_of(world: Inputs, *, apart: float = 3.0, seed: int = 0) -> dict[Any, np.ndarray]:
    """A point around the middle of the true class for each id; at 0 all classes have the same middle."""
    random = np.random.default_rng(seed)
    middle = np.eye(len(world.classes or ()))
    places = {name: place for place, name in enumerate(world.classes or ())}
    return {id: apart * middle[places[true]] + random.normal(size=len(middle)) for id, true in world.truth.items()}


def calls_per_accepted(decided: Decisions) -> float:
    return int(decided.frame["calls"].sum()) / int(decided.frame["accepted"].sum())


def plain(decided: Decisions) -> Decisions:
    """Without what tells of pictures."""
    return Decisions(decided.frame, decided.claim, decided.teachers.filter(pl.col("teacher") != PICTURE), decided.cost, decided.lacking)


def test_pictures_that_tell_the_class_bring_more_answers_for_fewer_calls_each_and_are_told_of() -> None:
    world = given(ITEMS)
    gold = sure_of(world, 80)
    without, heard = vote(world, gold=gold), vote(world, gold=gold, features=features_of(world))
    assert heard.admission is not None
    assert heard.admission.admitted
    assert heard.admission.gain > 2 * heard.admission.error > 0  # type: ignore[operator]
    assert calls_per_accepted(heard) < calls_per_accepted(without)
    assert precision(heard, world.truth, but=gold) > precision(without, world.truth, but=gold) - 0.01
    assert heard.frame["accepted"].sum() > 1.05 * without.frame["accepted"].sum()
    sound(plain(heard), world.frame, world.labels)
    row = heard.teachers.filter(pl.col("teacher") == PICTURE).to_dicts()[0]
    assert row["calls"] == 0
    assert 0.8 < row["accuracy"] < 1
    assert heard.admission.words.startswith("votes: on 80 checked samples")


@pytest.mark.parametrize("why", ["noise", "no gold", "little gold", "no features"])
def test_pictures_that_are_not_heard_leave_everything_as_it_is(why: str) -> None:
    world = given(ITEMS)
    gold = {} if why == "no gold" else sure_of(world, 10 if why == "little gold" else 80)
    features = {} if why == "no features" else features_of(world, apart=0.0 if why == "noise" else 3.0)
    without, refused = vote(world, gold=gold), vote(world, gold=gold, features=features)
    assert refused.admission is not None
    assert not refused.admission.admitted
    assert refused.admission.accuracy is None
    same(without, plain(refused), within=1e-9)
    assert "has no vote" in refused.admission.words


def test_without_features_nothing_is_said_of_pictures() -> None:
    decided = vote(given(200))
    assert decided.admission is None
    assert PICTURE not in decided.teachers["teacher"]


def test_an_accepted_answer_is_said_by_a_teacher_however_sure_the_picture_is() -> None:
    """Pictures that are always right, and teachers that hardly ever are."""
    world = given(ITEMS, accuracies=(0.3, 0.35))
    heard = vote(world, gold=sure_of(world, 100), features=features_of(world, apart=30.0))
    assert heard.admission is not None
    assert heard.admission.admitted
    sound(plain(heard), world.frame, world.labels)
    said = {(id, answer) for id, answer in world.frame.select("id", "answer").rows()}
    assert all(row in said for row in heard.frame.filter("accepted").select("id", "answer").rows())
    assert heard.frame["accepted"].mean() < 0.9  # type: ignore[operator]


def test_the_order_of_rows_decides_nothing() -> None:
    world = given(ITEMS)
    gold, features = sure_of(world, 80), features_of(world)
    mixed = world.frame.sample(fraction=1, shuffle=True, seed=3).sort("teacher", maintain_order=True)
    one, other = vote(world, gold=gold, features=features), vote(world, gold=gold, features=dict(reversed(features.items())))
    same(plain(one), plain(other))
    moved = vote(replace(world, frame=mixed), gold=gold, features=features)
    assert moved.frame.sort("id").drop("confidence").equals(one.frame.sort("id").drop("confidence"))


def test_answers_that_were_not_asked_for_leave_no_trace() -> None:
    world = given(ITEMS)
    gold, features = sure_of(world, 80), features_of(world)
    before = vote(world, gold=gold, features=features)
    asked = {(id, teacher) for id, some in before.frame.select("id", "asked").rows() for teacher in some}
    rows = [
        (id, teacher, answer if (id, teacher) in asked else "c0")
        for id, teacher, answer in world.frame.select("id", "teacher", "answer").rows()
    ]
    after = vote(replace(world, frame=pl.DataFrame(rows, schema=["id", "teacher", "answer"], orient="row")), gold=gold, features=features)
    same(plain(before), plain(after))
    assert before.admission == after.admission


def test_labels_that_do_not_vote_teach_nobody() -> None:
    world = given(ITEMS)
    gold, features = sure_of(world, 80), features_of(world)
    one = vote(world, gold=gold, features=features, label="ignore")
    wrong = dict.fromkeys(world.truth, "c0")
    other = vote(replace(world, labels=wrong), gold=gold, features=features, label="ignore")
    assert one.frame.drop("against_label").equals(other.frame.drop("against_label"))
    assert one.admission == other.admission


@settings(max_examples=8, deadline=None)
@drawn_by(st.integers(0, 99), st.sampled_from([0.0, 1.5, 4.0]))
def test_whatever_the_pictures_say_the_decisions_are_sound(seed: int, apart: float) -> None:
    world = given(200, seed=seed)
    decided = vote(world, gold=sure_of(world, 40, seed), features=features_of(world, apart=apart, seed=seed))
    sound(plain(decided), world.frame, world.labels)
    assert decided.claim.low is None or 0 <= decided.claim.low <= 1


def test_only_a_rule_that_asks_in_turn_with_few_classes_hears_pictures() -> None:
    world = given(100)
    features = features_of(world)
    with pytest.raises(AnswersError, match="rule 'majority' does not hear pictures"):
        vote(world, rule="majority", features=features)
    with pytest.raises(AnswersError, match="2 to 30 classes"):
        vote(world, classes=[*(world.classes or ()), *map(str, range(40))], features=features)
