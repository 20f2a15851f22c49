"""What may be said of the precision of accepted answers: never without people's answers, and then near the truth."""

from statistics import mean

import pytest

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

import numpy as np
import polars as pl
from scipy.stats import beta

from benchmarks.consensus.worlds import Inputs
from cotforge.consensus import decide
from cotforge.consensus.claim import FEW, SHRINK_AGAINST, Claim, lower_bound, shrunk_precision
from tests.voting import given, precision, sure_of, vote


@pytest.mark.parametrize("of", [1, 2, 7, 59, 300, 1000, 20_000])
@pytest.mark.parametrize("sure", [0.5, 0.95, 0.999])
def test_the_lower_bound_is_that_of_clopper_and_pearson(of: int, sure: float) -> None:
    for right in {0, 1, of // 3, of // 2, of - of // 50, of - 1, of}:
        expected = beta.ppf(1 - sure, right, of - right + 1) if right else 0.0
        assert lower_bound(right, of, sure=sure) == pytest.approx(expected, abs=1e-9)


def test_nothing_checked_bears_out_nothing() -> None:
    assert lower_bound(0, 0) == 0


@pytest.mark.parametrize(("count", "calibrated"), [(0, False), (FEW - 1, False), (FEW, True)])
@pytest.mark.parametrize("free", [False, True])
def test_a_claim_is_calibrated_by_enough_answers_of_people(count: int, calibrated: bool, free: bool) -> None:
    world = given(500, classes=3, free=free)
    claim = vote(world, gold=sure_of(world, count)).claim
    assert claim.calibrated == calibrated
    assert (claim.low is not None) == (claim.precision is not None) == calibrated
    assert claim.right <= claim.checked <= claim.gold == count


@pytest.mark.parametrize(("kind", "classes", "seed"), [("COR", 4, 0), ("COR+L", 5, 1), ("COR30", 3, 2)])
def test_what_is_claimed_is_what_is_true(kind: str, classes: int, seed: int) -> None:
    world = given(4000, classes=classes, accuracies=(0.6, 0.7, 0.75, 0.8), kind=kind, seed=seed)
    gold = sure_of(world, 300)
    decided = vote(world, gold=gold)
    truth = precision(decided, world.truth, but=gold)
    assert decided.claim.precision == pytest.approx(truth, abs=0.03)
    assert decided.claim.low is not None
    assert decided.claim.low < truth
    accepted = [row["confidence"] for row in decided.frame.filter("accepted").rows(named=True) if row["id"] not in gold]
    claim = decided.claim
    assert claim.expected == pytest.approx(mean(accepted))
    assert claim.precision == pytest.approx(shrunk_precision(claim.right / claim.checked, claim.checked, mean(accepted)))
    assert claim.low == lower_bound(claim.right, claim.checked)
    assert claim.with_label is not None
    assert claim.count_with.checked + claim.count_against.checked == claim.checked
    assert (claim.against_label is None) == (claim.count_against.checked < FEW)
    if claim.against_label is not None:
        of = claim.count_against
        sure = [row["confidence"] for row in decided.frame.filter("against_label").rows(named=True) if row["id"] not in gold]
        expected = shrunk_precision(of.right / of.checked, of.checked, mean(sure), shrink=SHRINK_AGAINST)
        assert claim.against_label == pytest.approx(max(expected, claim.against_label.low))
    assert sum(count.checked for count in claim.counts.values()) == claim.checked


def unsure(world: Inputs, gold: dict[str, str], every: int) -> dict[str, str | None]:
    """Gold in which people cannot tell some of the samples."""
    return {id: None if place % every == 0 else true for place, (id, true) in enumerate(gold.items())}


def test_what_people_cannot_tell_counts_as_wrong_in_the_claim_and_in_the_bound() -> None:
    world = given(2000, classes=4, accuracies=(0.7, 0.8, 0.85))
    gold = sure_of(world, 300)
    sure, less = vote(world, gold=gold, target=0.8).claim, vote(world, gold=unsure(world, gold, 15), target=0.8).claim
    assert (sure.ambiguous, less.ambiguous, less.gold) == (0, 20, 300)
    assert less.ambiguous_share == pytest.approx(20 / 300)
    assert None not in (sure.precision, less.precision, sure.low, less.low)
    assert less.precision < sure.precision - 0.03
    assert less.low < sure.low - 0.03
    assert less.expected < sure.expected


@pytest.mark.parametrize("rule", ["majority", "dawid_skene", "sequential"])
def test_a_sample_that_people_cannot_tell_is_not_accepted_under_any_rule(rule: str) -> None:
    world = given(600, classes=3)
    gold = unsure(world, sure_of(world, 100), 10)
    decided = vote(world, gold=gold, rule=rule, target=0.7)
    untold = [id for id, answer in gold.items() if answer is None]
    rows = decided.frame.filter(decided.frame["id"].is_in(untold))
    assert not rows["accepted"].any()
    assert rows["answer"].null_count() == len(untold) == decided.claim.ambiguous


@pytest.mark.parametrize("gold", [0, 60])
def test_one_teacher_overrules_a_label_only_where_people_checked_enough_such_answers(gold: int) -> None:
    world = given(1500, classes=4, accuracies=(0.7, 0.8, 0.9))
    decided = vote(world, gold=sure_of(world, gold))
    said = {(id, teacher): answer for id, teacher, answer in world.frame.iter_rows()}
    repaired = decided.frame.filter("against_label").rows(named=True)
    unchecked = [row for row in repaired if row["id"] not in sure_of(world, gold)]
    assert unchecked
    assert decided.claim.against_label is None
    assert all(sum(said[row["id"], teacher] == row["answer"] for teacher in row["asked"]) >= 2 for row in unchecked)


def test_with_many_checked_answers_against_the_label_one_teacher_may_overrule_it() -> None:
    world = given(1500, classes=4, accuracies=(0.7, 0.8, 0.95), kind="IND")
    wrong = {id: f"c{(int(true[1:]) + 1) % 4}" if place % 3 == 0 else true for place, (id, true) in enumerate(world.truth.items())}
    gold = sure_of(world, 300)
    decided = decide(world.frame, classes=world.classes, labels=wrong, gold=gold)
    said = {(id, teacher): answer for id, teacher, answer in world.frame.iter_rows()}
    repaired = [row for row in decided.frame.filter("against_label").rows(named=True) if row["id"] not in gold]
    assert decided.claim.against_label is not None
    assert decided.claim.against_label.checked >= FEW
    right = [row["answer"] == world.truth[row["id"]] for row in repaired]
    assert decided.claim.against_label == pytest.approx(mean(right), abs=0.1)
    assert decided.claim.against_label.low < mean(right)
    assert any(sum(said[row["id"], teacher] == row["answer"] for teacher in row["asked"]) == 1 for row in repaired)


def test_a_claim_without_accepted_answers_is_none() -> None:
    world = given(200, classes=3, accuracies=(0.4, 0.4))
    claim = vote(world, labels=False, target=0.9999).claim
    assert (claim.precision, claim.low, claim.with_label, claim.against_label, claim.checked) == (None, None, None, None, 0)


def of_no_class(world: Inputs, share: float) -> tuple[pl.DataFrame, dict[str, str | None], dict[str, str | None]]:
    """(answers, labels, truth) where so many samples belong to no class: all fall for the same look-alike half of the time."""
    random = np.random.default_rng(3)
    open_ids = {id for id in world.truth if random.random() < share}
    looks = {id: f"c{random.integers(4)}" for id in open_ids}

    def says(id: str, answer: str | None) -> str | None:
        if id not in open_ids:
            return answer
        return looks[id] if random.random() < 0.5 else f"c{random.integers(4)}"

    rows = [(id, teacher, says(id, answer)) for id, teacher, answer in world.frame.iter_rows()]
    frame = pl.DataFrame(rows, schema=world.frame.schema, orient="row")
    labels = {id: says(id, label) for id, label in world.labels.items()}
    return frame, labels, {id: None if id in open_ids else true for id, true in world.truth.items()}


def test_where_samples_belong_to_no_class_the_claim_holds_and_fewer_of_them_are_accepted() -> None:
    world = given(4000, classes=4, accuracies=(0.7, 0.8, 0.85), kind="IND")
    frame, labels, truth = of_no_class(world, 0.15)
    draws = [list(sure_of(world, 300, seed=seed)) for seed in range(1, 9)]

    def accepted(gold: dict[str, str | None]) -> tuple[float, float, Claim]:
        """(precision, share of what belongs to no class) of accepted answers that nobody checked, and the claim."""
        decided = decide(frame, classes=world.classes, labels=labels, gold=gold)
        rows = [(truth[id], answer) for id, answer in decided.frame.filter("accepted").select("id", "answer").rows() if id not in gold]
        return mean(true == answer for true, answer in rows), mean(true is None for true, _ in rows), decided.claim

    found = [accepted({id: truth[id] for id in checked}) for checked in draws]
    assert all(
        claim.ambiguous == sum(truth[id] is None for id in checked) > 20 for (_, _, claim), checked in zip(found, draws, strict=True)
    )
    assert sum(claim.low > precision for precision, _, claim in found) <= 1, "a bound of 95 % fails one draw in twenty"
    assert mean(claim.precision - precision for precision, _, claim in found) == pytest.approx(0, abs=0.02)
    open_ = mean(share for _, share, _ in found)
    blind_precision, blind_open, blind = accepted({id: true for id in draws[0] if (true := truth[id]) is not None})
    assert blind.precision > blind_precision + 0.04, "without the samples that people cannot tell it claims too much"
    assert open_ < blind_open
