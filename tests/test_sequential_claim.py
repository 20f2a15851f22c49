"""What may be said of the precision of accepted answers: never without people's answers, and then near the truth."""

from statistics import mean

import pytest

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

from scipy.stats import beta

from cotforge.consensus.claim import FEW, lower_bound
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
    assert (claim.low is not None) == calibrated
    assert claim.right <= claim.checked <= count
    assert claim.precision is not None


@pytest.mark.parametrize(("kind", "classes", "seed"), [("COR", 4, 0), ("COR+L", 5, 1), ("COR30", 3, 2)])
def test_what_is_claimed_is_what_is_true(kind: str, classes: int, seed: int) -> None:
    world = given(4000, classes=classes, accuracies=(0.6, 0.7, 0.75, 0.8), kind=kind, seed=seed)
    gold = sure_of(world, 300)
    decided = vote(world, gold=gold)
    truth = precision(decided, world.truth, but=gold)
    assert decided.claim.precision == pytest.approx(truth, abs=0.03)
    assert decided.claim.low is not None
    assert decided.claim.low < truth
    accepted = [row for row in decided.frame.filter("accepted").rows(named=True) if row["id"] not in gold]
    assert decided.claim.precision == pytest.approx(mean(row["confidence"] for row in accepted))
    for against, claimed in ((False, decided.claim.with_label), (True, decided.claim.against_label)):
        part = [row["confidence"] for row in accepted if row["against_label"] is against]
        assert claimed == (pytest.approx(mean(part)) if part else None)


def test_a_claim_without_accepted_answers_is_none() -> None:
    world = given(200, classes=3, accuracies=(0.4, 0.4))
    claim = vote(world, labels=False, target=0.9999).claim
    assert (claim.precision, claim.low, claim.with_label, claim.against_label, claim.checked) == (None, None, None, None, 0)
