"""What no vote over a table may depend on: answers nobody asked for, the order of rows, names, a second name for a teacher."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

from benchmarks.consensus.worlds import Inputs
from cotforge.consensus import Decisions, decide
from tests import voting
from tests.voting import same, sound, sure_of

WAYS = {
    "classes": {},
    "found classes": {"classes": None},
    "free": {"free": True},
    "many classes": {"size": 40},
    "gold": {"gold": 60},
    "gold, free": {"gold": 60, "free": True},
    "gold, found classes": {"gold": 60, "classes": None},
    "no labels": {"labels": False, "target": 0.8},
    "gold, no labels": {"labels": False, "gold": 60},
    "cheapest": {"objective": "cheapest"},
    "lessons": {"objective": {"lessons": 300}, "gold": 60},
}


def prepared(way: dict[str, Any], *, items: int = 500, seed: int = 0) -> tuple[Inputs, dict[str, Any]]:
    """A world, and what `decide` is told of it."""
    way = dict(way)
    size, free, gold = way.pop("size", 3), way.pop("free", False), way.pop("gold", 0)
    world = voting.given(items, classes=size, free=free, seed=seed, accuracies=(0.6, 0.7, 0.8, 0.75))
    labels = world.labels if way.pop("labels", True) else None
    return world, {"classes": world.classes, "labels": labels, "gold": sure_of(world, gold), "prices": world.prices, **way}


@pytest.mark.parametrize("way", WAYS)
def test_no_answer_is_read_that_is_not_asked_for(way: str) -> None:
    world, told = prepared(WAYS[way])
    decided = decide(world.frame, **told)
    sound(decided, world.frame, told["labels"])
    asked = {(id, teacher) for id, teachers in decided.frame.select("id", "asked").rows() for teacher in teachers}
    assert len(asked) < 0.9 * world.frame.height
    for seed, strange in ((0, ["c0", "c1", "c2"]), (1, ["c1", "new", None, "another"])):
        random = np.random.default_rng(seed)
        other = [
            answer if (id, teacher) in asked else strange[random.integers(len(strange))] for id, teacher, answer in world.frame.iter_rows()
        ]
        same(decide(world.frame.with_columns(answer=pl.Series(other, dtype=pl.String)), **told), decided)


def test_no_repeat_is_read_either() -> None:
    world, told = prepared({"classes": None, "free": True})
    repeats = world.frame.with_columns(answer=pl.lit("said later"))
    same(decide(pl.concat([world.frame, repeats]), **told), decide(world.frame, **told))


def by_id(decided: Decisions) -> Decisions:
    return Decisions(decided.frame.sort("id"), decided.claim, decided.teachers, decided.cost)


@pytest.mark.parametrize("way", WAYS)
def test_the_order_of_rows_decides_nothing(way: str) -> None:
    world, told = prepared(WAYS[way], items=300)
    decided = by_id(decide(world.frame, **told))
    for seed in (1, 2):
        mixed = world.frame.sample(fraction=1, shuffle=True, seed=seed)
        again = decide(mixed, **told)
        assert again.frame["id"].equals(mixed["id"].unique(maintain_order=True))
        same(by_id(again), decided)


@pytest.mark.parametrize("way", ["classes", "gold", "no labels", "gold, free", "many classes"])
def test_other_names_for_the_classes_are_other_names_for_the_answers(way: str) -> None:
    world, told = prepared(WAYS[way], items=300)
    decided = decide(world.frame, **told)
    random = np.random.default_rng(5)
    names = sorted({*world.frame["answer"].to_list(), *world.labels.values(), *(world.classes or [])})
    new = dict(zip(names, [f"k{place}" for place in random.permutation(len(names))], strict=True))
    renamed = told | {
        "classes": None if told["classes"] is None else [new[name] for name in told["classes"]],
        "labels": None if told["labels"] is None else {id: new[label] for id, label in told["labels"].items()},
        "gold": {id: new[true] for id, true in told["gold"].items()},
    }
    again = decide(world.frame.with_columns(pl.col("answer").replace(new)), **renamed)
    expected = decided.frame.with_columns(pl.col("answer").replace(new))
    same(again, Decisions(expected, decided.claim, decided.teachers, decided.cost), within=1e-6)
    assert again.claim.precision == pytest.approx(decided.claim.precision, abs=1e-6)
    assert (again.claim.checked, again.claim.right) == (decided.claim.checked, decided.claim.right)


@pytest.mark.parametrize("price", [1.0, 3.0])
@pytest.mark.parametrize("way", ["classes", "free", "gold", "gold, free", "gold, no labels", "many classes", "cheapest"])
def test_a_second_name_for_a_teacher_changes_no_decision(way: str, price: float) -> None:
    world, told = prepared(WAYS[way])
    copied = world.frame.filter(teacher="t2").with_columns(teacher=pl.lit("t2b"))
    told["prices"] = dict.fromkeys(world.prices, 1.0)
    decided = decide(world.frame, **told)
    doubled = decide(pl.concat([world.frame, copied]), **told | {"prices": told["prices"] | {"t2b": price}})
    assert doubled.teachers.select("teacher", "twin_of").rows() == [("t1", None), ("t2", None), ("t2b", "t2"), ("t3", None), ("t4", None)]
    assert doubled.frame.select("id", "answer", "accepted").equals(decided.frame.select("id", "answer", "accepted"))
    assert (doubled.frame["confidence"] - decided.frame["confidence"]).abs().max() < 1e-6
    assert doubled.claim.precision == pytest.approx(decided.claim.precision, abs=1e-6)


def test_a_single_teacher_with_two_names_is_still_one() -> None:
    world = voting.given(500, classes=3, accuracies=[0.85])
    decided = decide(world.frame, classes=world.classes, labels=world.labels)
    copied = world.frame.with_columns(teacher=pl.lit("t1b"))
    doubled = decide(pl.concat([world.frame, copied]), classes=world.classes, labels=world.labels)
    assert doubled.teachers["twin_of"].to_list() == [None, "t1"]
    assert doubled.frame.select("id", "answer", "accepted").equals(decided.frame.select("id", "answer", "accepted"))


ANSWERS = st.sampled_from(["awe", "fear", "joy", None])
ROWS = st.dictionaries(st.tuples(st.integers(0, 30), st.sampled_from("abc")), ANSWERS, min_size=1, max_size=80)


@settings(max_examples=25)
@given(
    ROWS,
    st.dictionaries(st.integers(0, 30), ANSWERS, max_size=30),
    st.dictionaries(st.integers(0, 30), st.sampled_from(["awe", "fear", "joy"]), max_size=30),
    st.sampled_from([("awe", "fear", "joy"), None, ("awe", "fear", "joy", *(f"k{place}" for place in range(40)))]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_small_table_is_decided_soundly_and_whatever_its_order(
    cells: dict[tuple[int, str], str | None],
    labels: dict[int, str | None],
    gold: dict[int, str],
    classes: tuple[str, ...] | None,
    labelled: bool,
    random: Any,
) -> None:
    rows = [(id, teacher, answer) for (id, teacher), answer in cells.items()]
    schema = {"id": pl.Int64, "teacher": pl.String, "answer": pl.String}
    told: dict[str, Any] = {"classes": classes, "labels": labels if labelled else None, "gold": gold}
    frame = pl.DataFrame(rows, schema, orient="row")
    decided = decide(frame, **told)
    sound(decided, frame, told["labels"])
    mixed = pl.DataFrame(random.sample(rows, len(rows)), schema, orient="row")
    same(by_id(decide(mixed, **told)), by_id(decided))
