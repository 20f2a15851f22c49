"""Small worlds to vote in, and what a vote over a table must always be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from benchmarks.consensus.worlds import Inputs, Recipe, inputs
from cotforge.consensus import Decisions, decide
from cotforge.consensus.sequential import Terms, Voter
from cotforge.consensus.sequential.answer_table import AnswerTable, Floats, Ints, make_table

COLUMNS = {
    "id": pl.String,
    "answer": pl.String,
    "confidence": pl.Float64,
    "accepted": pl.Boolean,
    "calls": pl.Int64,
    "asked": pl.List(pl.String),
    "against_label": pl.Boolean,
}


def given(
    items: int = 1000,
    *,
    classes: int = 4,
    accuracies: Sequence[float] = (0.6, 0.7, 0.8),
    kind: str = "COR",
    seed: int = 0,
    free: bool = False,
    samples: int = 1,
) -> Inputs:
    """A world in words; prices grow with the teachers."""
    prices = tuple(1.0 + place for place in range(len(accuracies)))
    recipe = Recipe(kind, items, classes, tuple(accuracies), prices, samples)
    return inputs(recipe.world(np.random.default_rng(seed)), samples=samples, free=free)


def sure_of(world: Inputs, count: int, seed: int = 1) -> dict[str, str]:
    """Gold of so many items."""
    return world.gold(count, np.random.default_rng(seed))


def precision(decided: Decisions, truth: Mapping[Any, str], *, but: Mapping[Any, str] | None = None) -> float:
    """Share of the accepted answers that are true, of those nobody checked."""
    rows = [(truth[id] == answer) for id, answer in decided.frame.filter("accepted").select("id", "answer").rows() if id not in (but or {})]
    return sum(rows) / len(rows)


def same(one: Decisions, other: Decisions, *, within: float = 0.0) -> None:
    """Both decide the same, cost the same, claim the same."""
    assert one.frame.drop("confidence").equals(other.frame.drop("confidence"))
    assert np.abs((one.frame["confidence"] - other.frame["confidence"]).to_numpy()).max() <= within
    assert one.cost == other.cost
    assert one.teachers.drop("accuracy").equals(other.teachers.drop("accuracy"))
    if not within:
        assert (one.claim, one.teachers.to_dicts()) == (other.claim, other.teachers.to_dicts())


def sound(decided: Decisions, answers: pl.DataFrame, labels: Mapping[Any, str | None] | None = None) -> None:
    """What holds of every sequential vote: who was asked, what it cost, and that an asked teacher said what is accepted."""
    firsts = answers.unique(["id", "teacher"], keep="first", maintain_order=True)
    said = {(id, teacher): answer for id, teacher, answer in firsts.select("id", "teacher", "answer").iter_rows()}
    frame = decided.frame
    assert frame["id"].to_list() == answers["id"].unique(maintain_order=True).to_list()
    assert {name: kind for name, kind in frame.schema.items() if name != "id"} == {k: v for k, v in COLUMNS.items() if k != "id"}
    assert frame.select("confidence", "accepted", "calls", "asked", "against_label").null_count().row(0) == (0,) * 5
    assert frame["confidence"].is_between(0, 1 + 1e-12).all()
    for id, answer, _, accepted, calls, asked, against in frame.iter_rows():
        assert (answer is not None) == accepted
        assert calls == len(asked) == len(set(asked))
        assert all((id, teacher) in said for teacher in asked)
        assert not accepted or any(said[id, teacher] == answer for teacher in asked)
        label = (labels or {}).get(id)
        assert against == (accepted and label is not None and label != answer)
    per_teacher = frame["asked"].explode(empty_as_null=False).value_counts().rows()
    assert {name: calls for name, calls in decided.teachers.select("teacher", "calls").rows() if calls} == dict(per_teacher)
    assert decided.teachers["teacher"].to_list() == sorted(set(answers["teacher"].to_list()))


def vote(world: Inputs, *, labels: bool = True, **options: Any) -> Decisions:
    """`decide` in a world, with its labels, and with the classes where it has any."""
    kept = {"classes": world.classes, "labels": world.labels if labels else None, **options}
    return decide(world.frame, **kept)


def terms_of(classes: int = 3, voters: int = 3, **options: Any) -> Terms:
    """Voters a, b, c ... at 1, 2, 3 ... about classes c0, c1 ...; free answers where there are none."""
    who = options.pop("who", tuple(Voter("abcdefghi"[place], price=1.0 + place) for place in range(voters)))
    return Terms(who, tuple(f"c{place}" for place in range(classes)), **options)


def drawn(
    random: np.random.Generator, items: int, classes: int, accuracies: Sequence[float], *, gold: int = 0, spread: Floats | None = None
) -> tuple[AnswerTable, Ints]:
    """Columns that err evenly and apart, the label last, everybody asked: (table, what is true of each of its rows)."""
    true_N = random.choice(classes, items, p=spread)
    wrong_NV = (true_N[:, None] + random.integers(1, classes, (items, len(accuracies)))) % classes
    answers_NV = np.where(random.random(wrong_NV.shape) < np.array(accuracies), true_N[:, None], wrong_NV)
    gold_N = np.where(np.arange(items) < gold, true_N, -1)
    fold_N = np.where(gold_N >= 0, np.arange(items), -1)
    rows = np.column_stack([np.zeros(items, int), np.ones(items, int), fold_N, gold_N, answers_NV]).astype(np.int64)
    made, place_N = make_table(rows)
    first = np.unique(place_N, return_index=True)[1]
    return made, true_N[first]
