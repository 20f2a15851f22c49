"""A claim is made of checked samples that the rule judged as if nobody had checked them, whatever the rule."""

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.consensus.claim import (
    FEW,
    SHRINK,
    SHRINK_AGAINST,
    UNSEEN,
    Claim,
    Expected,
    HeldOut,
    certifiable_bound,
    fewest_checked,
    lower_bound,
    make_claim,
    shrunk_precision,
    upper_bound,
)

ONE = HeldOut(accepted=True, right=True, told=True, agrees=True, answer="cat", confidence=0.9)
WRONG = ONE._replace(right=False)
UNTOLD = WRONG._replace(told=False)
AGAINST = ONE._replace(agrees=False, answer="dog")

SHARES = st.floats(0, 1, allow_nan=False)


@st.composite
def held_out(draw: st.DrawFn) -> HeldOut:
    told = draw(st.booleans())
    return HeldOut(
        accepted=draw(st.booleans()),
        right=told and draw(st.booleans()),
        told=told,
        agrees=draw(st.sampled_from([True, False, None])),
        answer=draw(st.sampled_from(["cat", "dog", None])),
        confidence=draw(SHARES),
        weight=draw(st.sampled_from([0.0, 1.0, 0.25, 7.0])),
        place=draw(st.floats(0, 1, exclude_max=True)),
        times=draw(st.integers(1, 30)),
    )


EXPECTED = st.none() | st.builds(Expected, st.none() | SHARES, st.none() | SHARES, st.none() | SHARES)


@given(st.lists(held_out(), max_size=20), EXPECTED, st.randoms(use_true_random=False))
def test_the_order_of_the_checked_samples_decides_nothing(found, expected, random) -> None:
    mixed = random.sample(found, len(found))
    assert make_claim(mixed, expected) == make_claim(found, expected)


@given(st.lists(held_out(), max_size=20), EXPECTED)
def test_a_sample_met_twice_is_two_samples(found, expected) -> None:
    spelled = [one._replace(times=1) for one in found for _ in range(one.times)]
    assert make_claim(spelled, expected) == make_claim(found, expected)


@given(st.lists(held_out(), max_size=20), EXPECTED)
def test_a_claim_lies_between_what_gold_shows_and_what_the_rule_expects(found, expected) -> None:
    made = make_claim([one._replace(weight=1.0) for one in found], expected)
    assert made.gold >= made.checked >= made.right
    assert made.ambiguous <= made.gold
    assert (made.precision is None) or (made.low is not None)
    if made.precision is not None:
        ends = [made.right / made.checked, *([made.expected] if made.expected is not None else [])]
        short = made.expected is not None and made.right / made.checked < made.expected  # then what is expected may weigh less
        counted = made.checked if short else made.checked + SHRINK
        unseen = counted / (counted + UNSEEN)
        assert min(ends) * unseen - 1e-9 <= made.precision <= max(ends) + 1e-9
        assert made.low <= made.precision + 1e-9
        assert made.low == pytest.approx(lower_bound(made.right, made.checked))


def test_what_the_rule_expects_weighs_as_much_as_so_many_checked_answers() -> None:
    found = [ONE] * 90 + [WRONG] * 10
    assert make_claim(found, Expected(0.93)).precision == pytest.approx((90 + SHRINK * 0.93) / (100 + SHRINK + UNSEEN))
    assert make_claim(found).precision == pytest.approx(0.9)
    assert make_claim(found, Expected(0.99)).low == make_claim(found).low == pytest.approx(lower_bound(90, 100))


def test_what_the_rule_expects_weighs_less_where_gold_contradicts_it() -> None:
    """Teachers that err together: the rule expects 0.95 of what gold shows to be 0.82; with its full weight it would claim 0.91."""
    made = make_claim([ONE] * 31 + [WRONG] * 7, Expected(0.95))
    assert made.precision == pytest.approx(31 / 38, abs=0.02)
    assert shrunk_precision(0.9, 1000, 0.99) == pytest.approx(0.9, abs=0.001)


@given(st.integers(1, 400), st.data(), st.floats(0, 1), st.sampled_from([SHRINK, SHRINK_AGAINST]))
def test_one_more_right_answer_never_lowers_a_claim(size, data, expected, shrink) -> None:
    right = data.draw(st.integers(0, size - 1))
    less, more = (shrunk_precision(count / size, size, expected, shrink=shrink) for count in (right, right + 1))
    assert less <= more + 1e-12


def test_a_claim_is_never_below_its_own_bound() -> None:
    made = make_claim([ONE] * 300, Expected(0.8))
    assert made.precision == made.low == pytest.approx(lower_bound(300, 300))


def test_where_nobody_checked_there_is_no_number() -> None:
    assert make_claim([]) == Claim()
    few = make_claim([ONE] * (FEW - 1))
    assert (few.precision, few.low, few.with_label, few.calibrated) == (None, None, None, False)
    assert (few.checked, few.right, few.gold) == (FEW - 1,) * 3
    assert make_claim([ONE] * FEW).calibrated


def test_an_accepted_answer_to_what_people_could_not_tell_is_a_wrong_one() -> None:
    told, untold = make_claim([ONE] * 88), make_claim([ONE] * 88 + [UNTOLD] * 12)
    assert (told.precision, untold.precision) == (1, pytest.approx(0.88))
    assert (untold.checked, untold.right, untold.ambiguous, untold.ambiguous_share) == (100, 88, 12, pytest.approx(0.12))
    assert untold.low == pytest.approx(lower_bound(88, 100))
    passed_over = make_claim([ONE] * 88 + [UNTOLD._replace(accepted=False)] * 12)
    assert (passed_over.checked, passed_over.ambiguous, passed_over.precision) == (88, 12, 1)


@pytest.mark.parametrize("count", [FEW - 1, FEW])
def test_answers_against_the_label_are_claimed_by_themselves_and_only_with_enough_of_them(count: int) -> None:
    found = [ONE] * 100 + [AGAINST] * (count - 5) + [AGAINST._replace(right=False)] * 5
    made = make_claim(found, Expected(0.99, 0.995))
    assert made.with_label is not None
    assert made.with_label == pytest.approx((100 + SHRINK * 0.995) / (100 + SHRINK + UNSEEN))
    assert (made.count_against.checked, made.count_against.right) == (count, count - 5)
    assert set(made.per_class) == set(made.counts) == {"cat", "dog"}
    if count < FEW:
        assert made.against_label is made.per_class["dog"] is None
    else:
        assert made.against_label is not None
        assert made.against_label == made.per_class["dog"] == pytest.approx((FEW - 5) / (FEW + UNSEEN))
        assert (made.against_label.low, made.against_label.checked) == (pytest.approx(lower_bound(15, 20)), 20)


def test_what_the_rule_expects_of_answers_against_the_label_weighs_as_fewer_checked_answers() -> None:
    found = [ONE] * 100 + [AGAINST] * (FEW - 1) + [AGAINST._replace(right=False)]
    made = make_claim(found, Expected(0.99, 0.995, 0.96))
    assert made.against_label == pytest.approx((FEW - 1 + SHRINK_AGAINST * 0.96) / (FEW + SHRINK_AGAINST + UNSEEN))
    assert made.per_class["dog"] == pytest.approx((FEW - 1) / (FEW + UNSEEN))


def test_the_summary_tells_the_bound_first_and_parts_as_the_contract_names_them() -> None:
    said = json.loads(json.dumps(make_claim([ONE] * 40 + [AGAINST] * 3, Expected(0.9)).summary()))
    assert next(iter(said)) == "low"
    assert {"low", "precision", "calibrated", "checked", "right", "ambiguous", "with_label", "against_label", "per_class"} <= set(said)
    assert set(said["with_label"]) == {"precision", "low", "checked"}
    assert (said["against_label"], said["per_class"]["dog"]) == (None, None)
    assert said["counts"]["against_label"] == {"checked": 3, "right": 3}
    assert json.loads(json.dumps(Claim().summary()))["low"] is None


def test_a_part_of_a_claim_is_a_number_that_travels_with_its_bound() -> None:
    part = make_claim([ONE] * 30 + [WRONG] * 2).with_label
    assert part is not None
    for again in (pickle.loads(pickle.dumps(part)), deepcopy(part)):
        assert (again, again.precision, again.low, again.checked) == (30 / 32, 30 / 32, part.low, 32)


def test_samples_that_were_drawn_more_often_count_for_less() -> None:
    """Half of the gold comes from the tenth that is hard: unweighted, it shows far less than is true."""
    random, lows, shares = np.random.default_rng(0), [], []
    truth = 0.9 * 0.98 + 0.1 * 0.5
    for _ in range(400):
        easy = [ONE._replace(right=bool(right), weight=9.0, place=random.random()) for right in random.random(75) < 0.98]
        hard = [ONE._replace(right=bool(right), weight=1.0, place=random.random()) for right in random.random(75) < 0.5]
        made = make_claim([*easy, *hard])
        shares.append(made.precision)
        lows.append(made.low)
    assert np.mean(shares) == pytest.approx(truth, abs=0.005)
    assert np.mean([low > truth for low in lows]) < 0.08


def test_each_part_has_a_bound_of_samples_that_are_as_if_drawn_by_chance_for_it() -> None:
    places = [number / 100 for number in range(100)]
    many = [ONE._replace(weight=9.0, place=place) for place in places]
    few = [AGAINST._replace(weight=1.0, place=place) for place in places]
    made = make_claim([*many, *few])
    assert made.unequal
    assert (made.checked, made.right, made.low) == (112, 112, lower_bound(112, 112))
    assert made.count_against == (100, 100)  # all of them were drawn alike
    assert made.against_label is not None
    assert made.against_label.low == lower_bound(100, 100)


def test_samples_that_were_chosen_by_no_chance_say_nothing_of_others() -> None:
    chosen = [WRONG._replace(weight=0.0)] * 40
    made = make_claim([ONE] * 60 + chosen)
    assert (made.precision, made.checked, made.right, made.gold, made.chosen) == (1.0, 60, 60, 100, 40)
    for expected in (None, Expected(0.99)):
        alone = make_claim(chosen, expected)
        assert (alone.precision, alone.low, alone.calibrated, alone.gold) == (None, None, False, 40)


@given(st.integers(1, 2000))
def test_the_most_that_can_be_certified_is_the_bound_of_an_errorless_check(count: int) -> None:
    assert certifiable_bound(count) == pytest.approx(lower_bound(count, count), abs=1e-9)


@given(st.floats(0.5, 0.999))
def test_the_fewest_that_certify_are_the_fewest(precision: float) -> None:
    count = fewest_checked(precision)
    assert certifiable_bound(count) >= precision - 1e-6
    assert count == 1 or certifiable_bound(count - 1) < precision


def test_a_hundred_checked_without_an_error_certify_970() -> None:
    assert certifiable_bound(100) == pytest.approx(0.9705, abs=1e-4)
    assert [fewest_checked(precision) for precision in (0.95, 0.97, 0.99)] == [59, 99, 299]
    assert certifiable_bound(0) == 0


@given(st.integers(1, 300), st.data())
def test_the_upper_bound_lies_above_the_share_and_the_lower_one_below(of: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, of))
    assert lower_bound(right, of) <= right / of <= upper_bound(right, of)
