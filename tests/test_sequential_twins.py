"""Teachers that are one model behind two names count once; good teachers are not taken for one another."""

import numpy as np
import polars as pl
import pytest

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

from cotforge.consensus import decide
from cotforge.consensus.sequential import Terms, Voter, Waves
from cotforge.consensus.sequential.twins import find_twins
from tests.voting import drawn, given, terms_of


def copied(column: int, *, slips: float = 0.0, items: int = 2000, seed: int = 0) -> dict[int, int]:
    """The twins found where the last of four voters repeats another one, with so many slips."""
    random = np.random.default_rng(seed)
    made, _ = drawn(random, items, 4, (0.6, 0.7, 0.8, 0.5, 0.9))
    answers_NV = made.answers_NV.copy()
    keeps_N = random.random(len(made)) >= slips
    answers_NV[keeps_N, 3] = answers_NV[keeps_N, column]
    return find_twins(made.with_answers(answers_NV), terms_of(4, 4))


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_copy_is_found_and_the_cheaper_one_stays(column: int) -> None:
    assert copied(column) == {3: column}
    assert copied(column, slips=0.02) == {3: column}
    assert copied(column, slips=0.6) == {}


def test_of_two_copies_at_one_price_the_first_by_name_stays() -> None:
    world = given(400, classes=3)
    copy = world.frame.filter(teacher="t2").with_columns(teacher=pl.lit("a copy"))
    frame = pl.concat([world.frame, copy])
    found = decide(frame, classes=world.classes, labels=world.labels).teachers
    assert dict(found.select("teacher", "twin_of").rows()) == {"a copy": None, "t1": None, "t2": "a copy", "t3": None}
    found = decide(frame, classes=world.classes, labels=world.labels, prices={"a copy": 2}).teachers
    assert dict(found.select("teacher", "twin_of").rows()) == {"a copy": "t2", "t1": None, "t2": None, "t3": None}


def test_a_twin_is_asked_no_more_once_it_is_known() -> None:
    world = given(3000, classes=3, accuracies=(0.7, 0.7, 0.6))
    copy = world.frame.filter(teacher="t3").with_columns(teacher=pl.lit("t3b"))
    decided = decide(pl.concat([world.frame, copy]), classes=world.classes, labels=world.labels)
    asked = {id: teachers for id, teachers in decided.frame.select("id", "asked").iter_rows() if "t3b" in teachers}
    assert asked.keys() == {id for id in decided.frame["id"] if Waves(3000).wave(id) == 0}
    assert all(len(teachers) == 4 for teachers in asked.values())


@pytest.mark.parametrize(
    "accuracies", [(0.95, 0.95, 0.9), (0.95, 0.95, 0.7, 0.8, 0.9), (0.95, 0.95, 0.4, 0.9), (0.97, 0.97, 0.5, 0.5, 0.9)]
)
def test_two_good_teachers_are_not_taken_for_one(accuracies: tuple[float, ...]) -> None:
    for seed in range(3):
        made, _ = drawn(np.random.default_rng(seed), 2000, 4, accuracies)
        assert find_twins(made, terms_of(4, len(accuracies) - 1)) == {}


def test_two_good_teachers_are_not_one_where_all_others_are_bad_and_people_say_who_is_right() -> None:
    for seed in range(3):
        made, _ = drawn(np.random.default_rng(seed), 2000, 4, (0.95, 0.95, 0.4, 0.5), gold=400)
        assert find_twins(made, terms_of(4, 3)) == {}


def test_a_trace_and_a_short_vote_are_no_twins() -> None:
    made, _ = drawn(np.random.default_rng(0), 2000, 4, (0.7, 0.7, 0.8, 0.9))
    answers_NV = made.answers_NV.copy()
    answers_NV[:, 1] = answers_NV[:, 0]
    terms = Terms((Voter("a"), Voter("a", short=True), Voter("b")), ("c0", "c1", "c2", "c3"))
    assert find_twins(made.with_answers(answers_NV), terms) == {}


def test_few_answers_tell_nothing() -> None:
    assert copied(1, items=40) == {}
