"""The worlds that consensus is measured on are what they say they are."""

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

from benchmarks.consensus import item_response, mechanisms
from benchmarks.consensus.claims import checked
from benchmarks.consensus.worlds import ACCURACIES, KINDS, Recipe, World, inputs

ITEMS = 4000


def world(recipe: Recipe, seed: int = 0) -> World:
    return recipe.world(np.random.default_rng(seed))


def within(share: float, expected: float, trials: int) -> bool:
    """Whether a share is one that chance explains: 4.5 standard errors."""
    return abs(share - expected) < 4.5 * np.sqrt(expected * (1 - expected) / trials)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_world_and_another_seed_another(kind: str) -> None:
    first, again, other = (world(Recipe(kind, 500), seed) for seed in (1, 1, 2))
    for name in ("truth_N", "label_N", "answer_NKS"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


@pytest.mark.parametrize("kind", KINDS)
def test_teachers_are_as_accurate_and_labels_as_wrong_as_was_asked_for(kind: str) -> None:
    made = world(Recipe(kind, ITEMS, samples=1))
    for accuracy, right in zip(ACCURACIES, (made.answer_NKS[:, :, 0] == made.truth_N[:, None]).mean(0), strict=True):
        assert within(right, accuracy, ITEMS)
    assert within((made.label_N != made.truth_N).mean(), 0.3 if kind == "COR30" else 0.1, ITEMS)


def test_wrong_teachers_agree_more_often_where_errors_correlate() -> None:
    agreed = {kind: agreement_when_wrong(world(Recipe(kind, ITEMS, samples=1))) for kind in ("IND", "COR")}
    assert agreed["IND"] < 0.3
    assert agreed["COR"] > 0.5


def agreement_when_wrong(made: World) -> float:
    """How often two teachers say the same where both are wrong, over all pairs."""
    wrong = [(answer, answer != made.truth_N) for answer in made.answer_NKS[:, :, 0].T]
    pairs = [(one == other, not_one & not_other) for (one, not_one), (other, not_other) in combinations(wrong, 2)]
    return float(sum((same & both).sum() for same, both in pairs) / sum(both.sum() for _, both in pairs))


@pytest.mark.parametrize(("classes", "accuracies"), [(2, (0.7,)), (200, (0.55, 0.7, 0.85))])
def test_any_number_of_classes_and_teachers(classes: int, accuracies: tuple[float, ...]) -> None:
    made = world(Recipe("COR+L", 600, classes, accuracies, accuracies, samples=2, noise=0.2))
    assert made.answer_NKS.shape == (600, len(accuracies), 2)
    assert 0 <= made.answer_NKS.min() <= made.answer_NKS.max() == classes - 1
    assert within((made.label_N != made.truth_N).mean(), 0.2, 600)
    assert made.by_skill[0] == len(accuracies) - 1


def test_a_world_in_words_says_the_same() -> None:
    made = world(Recipe("COR", 30, samples=3))
    given = inputs(made, samples=2)
    assert given.frame.columns == ["id", "teacher", "answer"]
    assert given.frame.height == 30 * 5 * 2
    assert given.frame["id"].unique(maintain_order=True).to_list() == list(given.labels) == list(given.truth)
    second = given.frame.filter(id="i7", teacher="t4")["answer"].to_list()
    assert second == [f"c{c}" for c in made.answer_NKS[7, 3, :2]]
    assert given.truth["i7"] == f"c{made.truth_N[7]}"
    assert given.prices == {"t1": 1.0, "t2": 1.2, "t3": 2.0, "t4": 4.0, "t5": 6.0}
    assert given.classes == [f"c{c}" for c in range(8)]


def test_free_answers_are_strings_of_their_item() -> None:
    given = inputs(world(Recipe("COR", 30, samples=1)), free=True)
    assert given.classes is None
    assert all(answer.startswith(f"{name}-c") for name, answer in [*given.frame.select("id", "answer").rows(), *given.labels.items()])


def test_gold_is_the_truth_about_so_many_items() -> None:
    given = inputs(world(Recipe("COR", 50, samples=1)))
    gold, again, other = (given.gold(12, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert gold == again != other
    assert len(gold) == 12
    assert gold.items() <= given.truth.items()


def test_a_recipe_that_cannot_be_followed_says_so() -> None:
    with pytest.raises(ValueError, match="kind is one of IND, COR"):
        world(Recipe("BAD"))
    with pytest.raises(ValueError, match="every teacher has a price"):
        world(Recipe(accuracies=(0.5,)))


STYLES = [item_response.WORLDS, mechanisms.WORLDS]
MAKERS = {name: maker for worlds in STYLES for name, maker in worlds.items()}


def made_by(name: str, items: int = ITEMS, seed: int = 0) -> World:
    return MAKERS[name](items, np.random.default_rng(seed))


def label_errors(made: World) -> float:
    """Share of the labels that are wrong, of items in a class."""
    labelled = (made.label_N >= 0) & (made.truth_N >= 0)
    return float((made.label_N != made.truth_N)[labelled].mean())


def accuracies(made: World) -> list[float]:
    return (made.answer_NKS[:, :, 0] == made.truth_N[:, None]).mean(0).tolist()


@pytest.mark.parametrize("name", MAKERS)
def test_each_world_follows_from_its_seed_and_can_be_said_in_words(name: str) -> None:
    first, again, other = made_by(name, 300, 1), made_by(name, 300, 1), made_by(name, 300, 2)
    assert np.array_equal(first.answer_NKS, again.answer_NKS)
    assert np.array_equal(first.truth_N, again.truth_N)
    assert np.array_equal(first.label_N, again.label_N)
    assert not np.array_equal(first.answer_NKS, other.answer_NKS)
    assert max(first.truth_N.max(), first.label_N.max(), first.answer_NKS.max()) < first.classes
    assert min(first.truth_N.min(), first.label_N.min(), first.answer_NKS.min()) >= -1
    given = inputs(first)
    assert given.frame.height == first.answer_NKS.size
    assert given.frame["answer"].null_count() == (first.answer_NKS < 0).sum()
    assert len(given.labels) == (first.label_N >= 0).sum()
    assert len(given.truth) == (first.truth_N >= 0).sum()


@pytest.mark.parametrize("name", MAKERS)
def test_some_teacher_of_each_world_is_of_use(name: str) -> None:
    made = made_by(name)
    assert max(accuracies(made)) > 1.5 / made.classes
    assert max(accuracies(made)) < 1


def test_worlds_are_told_in_their_first_line() -> None:
    assert len(item_response.WORLDS) == 17
    assert not item_response.WORLDS.keys() & mechanisms.WORLDS.keys()
    assert all(maker.__doc__ for maker in MAKERS.values())


def test_an_open_set_has_items_of_no_class_that_everybody_names_all_the_same() -> None:
    made = made_by("open set")
    assert within((made.truth_N < 0).mean(), 0.12, ITEMS)
    assert made.label_N.min() == made.answer_NKS.min() == 0


def test_labels_of_a_relative_share_its_errors() -> None:
    repeated = {}
    for name in ("relatives labels", "plain"):
        made = made_by(name)
        best = made.answer_NKS[:, -1, 0]
        repeated[name] = (made.label_N == best)[best != made.truth_N].mean()
    assert repeated["relatives labels"] > 0.6
    assert repeated["plain"] < 0.2


def test_a_blind_spot_deceives_all_alike_and_no_label() -> None:
    made = made_by("blind spot")
    answers = made.answer_NKS[:, :, 0]
    alike = (answers == answers[:, :1]).all(1) & (answers[:, 0] != made.truth_N)
    assert 0.03 < alike.mean() < 0.12
    assert within((made.label_N != made.truth_N)[alike].mean(), 0.1, int(alike.sum()))


def test_an_adversary_renames_one_class_alone() -> None:
    made = made_by("adversary")
    wrong = made.label_N != made.truth_N
    renamed = made.truth_N == 2
    assert 0.4 < wrong[renamed].mean() < 0.5
    assert wrong[~renamed].mean() < 0.02


def test_folders_bear_one_name_for_all_their_pictures() -> None:
    made = made_by("folders")
    assert 0.04 < label_errors(made) < 0.22
    assert len({*zip(made.truth_N.tolist(), made.label_N.tolist(), strict=True)}) < 40


def test_people_cannot_tell_what_belongs_to_no_class_and_check_the_same_items_first() -> None:
    made = made_by("open set", 600)
    given = inputs(made)
    few, many = (checked(made, given, count, seed=3) for count in (40, 200))
    assert (len(few), len(many)) == (40, 200)
    assert few.items() <= many.items()
    assert all(answer == given.truth.get(id) for id, answer in many.items())
    assert 5 < list(many.values()).count(None) < 60
