"""Whatever the teachers, the label, the gold and the size: a sound vote, no warning, and no bad word believed."""

from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

from cotforge.consensus import decide
from tests.voting import given, precision, sound, sure_of, vote


@pytest.mark.parametrize("gold", [0, 300])
def test_a_class_whose_labels_are_all_wrong_is_not_believed(gold: int) -> None:
    world = given(3000, classes=4, accuracies=(0.7, 0.75, 0.85))
    labels = {id: "c1" if world.truth[id] == "c0" else label for id, label in world.labels.items()}
    decided = decide(world.frame, classes=world.classes, labels=labels, gold=sure_of(world, gold))
    sound(decided, world.frame, labels)
    assert precision(decided, world.truth) > (0.9 if gold else 0.85)  # the target, where people tell how wrong labels are
    # Without people's answers a label is believed too much to be overruled everywhere.
    if gold:
        mended = [id for id, answer in decided.frame.select("id", "answer").rows() if answer == "c0" and labels[id] == "c1"]
        assert len(mended) > 50
        assert sum(world.truth[id] == "c0" for id in mended) > 0.8 * len(mended)


def test_a_few_wrong_gold_answers_do_little_harm() -> None:
    world = given(3000, classes=4, accuracies=(0.65, 0.75, 0.8), kind="IND")
    gold = sure_of(world, 300)
    wrong = {id: f"c{(int(true[1:]) + 1) % 4}" if place % 50 == 0 else true for place, (id, true) in enumerate(gold.items())}
    right, off = (vote(world, gold=told) for told in (gold, wrong))
    for decided in (right, off):
        assert precision(decided, world.truth, but=gold) > 0.9
    assert off.frame["accepted"].mean() > right.frame["accepted"].mean() - 0.15
    assert off.claim.low is not None
    assert off.claim.low < precision(off, world.truth, but=gold)


@pytest.mark.parametrize("says", ["c0", None])
def test_a_teacher_that_tells_nothing_is_asked_no_more(says: str | None) -> None:
    world = given(4000, classes=4, accuracies=(0.6, 0.7, 0.8))
    stuck = world.frame.filter(teacher="t1").with_columns(teacher=pl.lit("stuck"), answer=pl.lit(says, pl.String))
    frame = pl.concat([stuck, world.frame])
    for options in ({"gold": sure_of(world, 100)}, {"labels": None}, {}):
        told: dict[str, Any] = {"classes": world.classes, "labels": world.labels, **options}
        decided = decide(frame, **told)
        sound(decided, frame, told["labels"])
        rest = decided.frame.filter(pl.col("calls") < 4)
        asked = rest["asked"].list.contains("stuck").sum()
        assert asked == 0, options
        assert rest.height > 3000


def test_the_accuracy_of_a_teacher_that_never_said_anything_is_unknown() -> None:
    world = given(300, classes=3)
    silent = world.frame.with_columns(answer=pl.when(pl.col("teacher") != "t2").then("answer"))
    accuracy = dict(decide(silent, classes=world.classes, labels=world.labels).teachers.select("teacher", "accuracy").rows())
    assert accuracy["t2"] is None
    assert accuracy["t1"] is not None


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("gold", [0, 30])
def test_where_everybody_abstains_nothing_is_accepted(free: bool, gold: int) -> None:
    world = given(300, classes=3, free=free)
    silent = world.frame.with_columns(answer=pl.lit(None, pl.String))
    for labels in (world.labels, None):
        decided = decide(silent, classes=world.classes, labels=labels, gold=sure_of(world, gold))
        sound(decided, silent, labels)
        assert not decided.frame["accepted"].any()
        assert decided.claim.precision is None
        assert decided.teachers["accuracy"].null_count() == 3


@pytest.mark.parametrize(("classes", "free"), [(30, False), (31, False), (100, False), (8, True)])
@pytest.mark.parametrize("gold", [0, 100])
def test_many_classes_and_free_answers_are_decided_as_well(classes: int, free: bool, gold: int) -> None:
    world = given(1000, classes=classes, free=free, accuracies=(0.7, 0.8, 0.85))
    told = sure_of(world, gold)
    for labels in {True, classes == 30}:
        decided = vote(world, gold=told, labels=labels)
        sound(decided, world.frame, world.labels if labels else None)
        assert decided.frame["accepted"].mean() > 0.4
        assert precision(decided, world.truth, but=told) > (0.93 if labels else 0.83)


@pytest.mark.parametrize("items", [1, 2, 3, 20])
@pytest.mark.parametrize("free", [False, True])
def test_a_handful_of_samples_is_enough_to_run(items: int, free: bool) -> None:
    world = given(items, classes=3, free=free, accuracies=(0.7, 0.8))
    for gold in {0, 1, items}:
        for labels in (True, False):
            told = sure_of(world, gold)
            decided = vote(world, gold=told, labels=labels)
            sound(decided, world.frame, world.labels if labels else None)
            assert decided.frame["asked"].to_list() == [["t1", "t2"]] * items
            assert decided.claim.calibrated == (gold >= 20)


def test_all_samples_may_be_gold() -> None:
    world = given(200, classes=3)
    decided = vote(world, gold=world.truth)
    sound(decided, world.frame, world.labels)
    assert precision(decided, world.truth) == 1
    assert decided.claim.precision is None
    assert decided.claim.low is not None


@pytest.mark.parametrize(("classes", "free"), [(3, False), (8, True)])
def test_nine_teachers_are_no_more_than_are_needed(classes: int, free: bool) -> None:
    world = given(400, classes=classes, free=free, accuracies=np.linspace(0.55, 0.85, 9).tolist())
    decided = vote(world)
    sound(decided, world.frame, world.labels)
    assert precision(decided, world.truth) > 0.9
    assert decided.frame["calls"].mean() < 5


def test_a_teacher_with_few_answers_and_one_with_others_ids_are_used_as_they_can_be() -> None:
    world = given(800, classes=3)
    lonely = pl.DataFrame({"id": ["i0", "only here"], "teacher": ["rare", "rare"], "answer": ["c1", "c2"]})
    frame = pl.concat([world.frame, lonely])
    decided = vote(world)
    more = decide(frame, classes=world.classes, labels=world.labels)
    sound(more, frame, world.labels)
    assert more.frame.row(-1)[0] == "only here"
    assert abs(more.frame["accepted"].mean() - decided.frame["accepted"].mean()) < 0.05


def test_more_teachers_than_can_be_told_apart_are_refused() -> None:
    frame = pl.DataFrame([("x", f"t{place}", "awe") for place in range(40)], ["id", "teacher", "answer"], orient="row")
    for classes in (["awe", "joy"], None, [f"c{place}" for place in range(29)]):
        with pytest.raises(ValueError, match=r"^answers: 40 teachers; "):
            decide(frame, classes=classes)
    assert decide(frame, classes=["awe", "joy"], rule="dawid_skene").frame["accepted"].all()
