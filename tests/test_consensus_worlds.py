"""The worlds that consensus is measured on are what they say they are."""

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

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
