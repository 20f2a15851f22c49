"""Samples drawn for people: a part by chance, a part by doubt, each with its probability of being drawn."""

import random
from collections import Counter
from collections.abc import Iterator
from math import fsum, sqrt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import gone

from cotforge.consensus import decide
from cotforge.consensus.drawn import even_part, hash_place, is_evenly_drawn, sampling_weights
from cotforge.gold import Gold
from cotforge.gold.drawing import SUREST, Doubt, Drawing, draw_samples, proportional_shares
from cotforge.gold.pick import APART
from cotforge.order import sample_rank
from cotforge.records import Picture, Sample

SURE = Doubt("a", 0.99, 0.98)
UNSURE = Doubt("a", 0.55, 0.4)
AGAINST = Doubt("b", 0.93, 0.05, contradicts=True)


def of(id: str, picture: str = "") -> Sample:
    return Sample(id, (Picture(picture or id, "image/png", 1, 1, 1, gone),), "What?", ("a", "b"), "a")


def population(world: int, size: int = 500) -> list[tuple[Sample, Doubt]]:
    """Of twenty samples three are unsure and one stands against its label; another draw of chance for each `world`."""
    kinds = [UNSURE] * 3 + [AGAINST] + [SURE] * 16
    return [(of(f"{world}-{number}"), kinds[number % 20]) for number in range(size)]


def people(drawing: Drawing, right: str = "a") -> Gold:
    return Gold(dict.fromkeys(drawing.ids, right), frozenset(), dict(drawing.drawn))


def test_half_is_drawn_by_chance_and_half_where_the_vote_is_in_doubt() -> None:
    everyone = population(1, 2_000)
    drawing = draw_samples(everyone, Gold(), 200)
    chance = sorted((sample.id for sample, _ in everyone), key=lambda id: sample_rank(id, APART))[:100]
    assert (len(drawing.ids), drawing.by_chance, drawing.met, drawing.before) == (200, 100, 2_000, 0)
    assert set(chance) <= set(drawing.ids)
    doubts = {sample.id: doubt for sample, doubt in everyone}
    others = Counter(doubts[id] for id in drawing.ids if id not in chance)
    assert others[UNSURE] + others[AGAINST] > 75
    assert others[AGAINST] > 20  # by chance there would be 5
    assert set(drawing.drawn) == set(drawing.ids)
    assert all(100 / 2_000 <= share < 1 for share in drawing.drawn.values())
    assert drawing.even == len(even_part(drawing.ids, drawing.drawn)), "what will count is known before anybody answers"


def test_the_order_of_the_source_decides_nothing() -> None:
    everyone = population(2)
    drawing = draw_samples(everyone, Gold(), 100)
    random.Random(1).shuffle(everyone)
    again = draw_samples(everyone, Gold(), 100)
    assert again.ids == drawing.ids
    assert again.drawn == pytest.approx(drawing.drawn)


def test_the_first_ones_on_the_page_are_a_fair_part_of_all() -> None:
    drawing = draw_samples(population(3, 2_000), Gold(), 200)
    chance = set(sorted(drawing.ids, key=lambda id: sample_rank(id, APART))[: drawing.by_chance])
    assert 35 <= sum(id in chance for id in drawing.ids[:100]) <= 65


@pytest.mark.parametrize("before", [0, 60])
def test_samples_are_drawn_as_often_as_their_probability_says(before: int) -> None:
    worlds, met, wanted = 60, Counter[Doubt](), Counter[Doubt]()
    for world in range(worlds):
        everyone, gold = population(world), Gold()
        if before:
            gold = people(draw_samples(everyone, gold, before))
        drawing = draw_samples(everyone, gold, 100)
        kinds = {sample.id: doubt for sample, doubt in everyone}
        for id, share in drawing.drawn.items():
            met[kinds[id]] += 1
            wanted[kinds[id]] = share  # type: ignore[assignment]
    for doubt, each in ((SURE, 400), (UNSURE, 75), (AGAINST, 25)):
        expected = wanted[doubt] * each * worlds
        assert abs(met[doubt] - expected) < 4 * sqrt(expected) + 0.03 * expected, (doubt, met[doubt], expected)


def test_whoever_was_checked_is_not_drawn_again_and_is_told_its_new_probability() -> None:
    everyone = population(4)
    chance = Gold({f"4-{number}": "a" for number in range(0, 500, 10)})
    drawing = draw_samples(everyone, chance, 100)
    assert not set(drawing.ids) & set(chance.answers)
    assert drawing.before == 50
    assert set(drawing.drawn) == {*drawing.ids, *chance.answers}
    assert drawing.by_chance == 50
    assert min(drawing.drawn.values()) == pytest.approx((50 + 50) / 500, rel=0.2)
    again = draw_samples(everyone, people(drawing), 100)
    assert all(again.drawn[id] >= drawing.drawn[id] for id in drawing.ids)


def test_without_any_doubt_all_are_drawn_by_chance() -> None:
    drawing = draw_samples([(of(str(number)), Doubt()) for number in range(300)], Gold(), 100)
    assert (len(drawing.ids), drawing.by_chance) == (100, 100)
    assert list(drawing.drawn.values()) == pytest.approx([1 / 3] * 100)


def test_where_all_are_drawn_no_probability_is_told() -> None:
    drawing = draw_samples(population(5, 80), Gold(), 100)
    assert len(drawing.ids) == 80
    assert not drawing.drawn


def test_one_picture_is_drawn_once_whatever_its_ids() -> None:
    everyone = [(of(f"{number}", f"picture {number // 2}"), AGAINST) for number in range(400)]
    drawing = draw_samples(everyone, Gold(), 120)
    assert len({int(id) // 2 for id in drawing.ids}) == 120
    checked = draw_samples(everyone, Gold(dict.fromkeys(drawing.ids, "a")), 50)
    assert not {int(id) // 2 for id in checked.ids} & {int(id) // 2 for id in drawing.ids}


@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), max_size=60), st.one_of(st.just(0.0), st.floats(1e-3, 80)))
def test_probabilities_are_in_proportion_to_sizes_and_none_is_certain(sizes: list[float], total: float) -> None:
    shares = proportional_shares(sizes, total)
    assert len(shares) == len(sizes)
    assert all(0 <= share <= SUREST and (share == 0) == (size == 0 or total == 0) for share, size in zip(shares, sizes, strict=True))
    assert fsum(shares) == pytest.approx(min(total, SUREST * sum(size > 0 for size in sizes)), abs=1e-9)
    below = [(share, size) for share, size in zip(shares, sizes, strict=True) if 0 < share < SUREST]
    assert all(share / size == pytest.approx(below[0][0] / below[0][1]) for share, size in below)


# what is made of the probabilities


def test_the_weighted_share_is_that_of_those_nobody_checked_and_the_plain_one_is_not() -> None:
    plain, weighted, truth = list[float](), list[float](), list[float]()
    for world in range(60):
        everyone = population(world)
        drawing = draw_samples(everyone, Gold(), 100)
        right = {sample.id: random.Random(sample.id).random() < doubt.posterior for sample, doubt in everyone}
        found = sampling_weights(drawing.ids, drawing.drawn)
        plain.append(sum(right[id] for id in drawing.ids) / len(drawing.ids))
        weighted.append(fsum(found[id] for id in drawing.ids if right[id]) / fsum(found.values()))
        unchecked = [ok for id, ok in right.items() if id not in found]
        truth.append(sum(unchecked) / len(unchecked))
    mean = fsum(truth) / len(truth)
    error = sqrt(fsum((one - mean) ** 2 for one in weighted)) / len(weighted)
    assert abs(fsum(weighted) / len(weighted) - mean) < 3 * error
    assert fsum(plain) / len(plain) < mean - 0.05


def test_the_even_part_is_as_if_drawn_by_chance_of_those_nobody_checked() -> None:
    met, unchecked = Counter[Doubt](), Counter[Doubt]()
    for world in range(60):
        everyone = population(world)
        drawing = draw_samples(everyone, Gold(), 100)
        kinds = {sample.id: doubt for sample, doubt in everyone}
        unchecked.update(doubt for id, doubt in kinds.items() if id not in drawing.drawn)
        found = sampling_weights(drawing.ids, drawing.drawn)
        met.update(kinds[id] for id in drawing.ids if is_evenly_drawn(found[id], max(found.values()), hash_place(id)))
    whole = met.total()
    assert 60 * 40 < whole < 60 * 75
    for doubt in (SURE, UNSURE, AGAINST):
        share = unchecked[doubt] / unchecked.total()
        assert abs(met[doubt] / whole - share) < 4 * sqrt(share * (1 - share) / whole)


@given(st.dictionaries(st.text(max_size=4), st.floats(1e-6, 1), max_size=30), st.sets(st.text(max_size=4), max_size=10))
def test_weights_are_one_in_the_mean_and_grow_as_the_probability_falls(drawn: dict[str, float], others: set[str]) -> None:
    found = sampling_weights([*drawn, *(others - drawn.keys())], drawn)
    total = fsum(found.values())
    assert total == pytest.approx(len(found)) or total == 0
    assert all(found[one] <= found[other] for one in drawn for other in drawn if drawn[one] >= drawn[other])
    assert all(found[other] >= found[one] for one in drawn for other in others - drawn.keys())


def test_without_probabilities_all_weigh_the_same_and_all_are_in_the_even_part() -> None:
    ids = [str(number) for number in range(50)]
    assert set(sampling_weights(ids, {}).values()) == {1.0}
    assert list(sampling_weights(ids, dict.fromkeys(ids, 0.3)).values()) == pytest.approx([1.0] * 50)
    assert all(is_evenly_drawn(1.0, 1.0, hash_place(id)) for id in ids)


def test_samples_chosen_by_no_chance_stand_for_none() -> None:
    found = sampling_weights(["chosen", "drawn", "drawn before"], {"chosen": 1.0, "drawn": 0.1})
    assert found == {"chosen": 0.0, "drawn": pytest.approx(1.5), "drawn before": pytest.approx(1.5)}
    assert not is_evenly_drawn(found["chosen"], 1.5, hash_place("chosen"))
    assert set(sampling_weights(["a", "b"], {"a": 1.0, "b": 1.0}).values()) == {0.0}


def test_over_many_runs_a_claim_is_as_high_as_the_truth_and_its_bound_holds() -> None:
    weighted, plain, held = list[float](), list[float](), 0
    for world in range(40):
        answers, labels, truth = run(world)
        doubts = [(of(id), doubt) for id, doubt in doubts_of(answers, labels)]
        drawing = draw_samples(doubts, Gold(), 150)
        rows = [(id, f"t{place}", answer) for id, said in answers.items() for place, answer in enumerate(said)]
        frame = pl.DataFrame(rows, schema=["id", "teacher", "answer"], orient="row")
        gold = {id: truth[id] for id in drawing.ids}
        told = {"classes": list("abcd"), "labels": labels, "gold": gold, "rule": "majority"}
        decided = decide(frame, **told, drawn=drawing.drawn)  # type: ignore[arg-type]
        unchecked = decided.frame.filter(pl.col("accepted") & ~pl.col("id").is_in(drawing.ids)).select("id", "answer").rows()
        right = sum(truth[id] == answer for id, answer in unchecked) / len(unchecked)
        claim, unweighted = decided.claim, decide(frame, **told).claim  # type: ignore[arg-type]
        assert claim.precision is not None
        assert claim.low is not None
        assert unweighted.precision is not None
        weighted.append(claim.precision - right)
        plain.append(unweighted.precision - right)
        held += claim.low <= right
    bias = fsum(weighted) / len(weighted)
    error = sqrt(fsum((one - bias) ** 2 for one in weighted)) / len(weighted)
    assert abs(bias) < 3 * error + 0.003
    assert fsum(plain) / len(plain) < -0.02  # as if they had been drawn by chance
    assert held >= 36


def run(world: int, size: int = 800) -> tuple[dict[str, list[str]], dict[str, str], dict[str, str]]:
    """(answers, labels, truth) by id: two teachers are right about easy samples, and guess at one of eight."""
    drawn = random.Random(world)
    answers, labels, truth = dict[str, list[str]](), dict[str, str](), dict[str, str]()
    for number in range(size):
        id, true, hard = f"{world}-{number}", drawn.choice("abcd"), drawn.random() < 0.125
        lure = drawn.choice("abcd")
        answers[id] = [lure if hard and drawn.random() < 0.7 else true if drawn.random() < 0.97 else drawn.choice("abcd") for _ in range(2)]
        labels[id], truth[id] = true if drawn.random() < 0.9 else drawn.choice("abcd"), true
    return answers, labels, truth


def doubts_of(answers: dict[str, list[str]], labels: dict[str, str]) -> Iterator[tuple[str, Doubt]]:
    """As a vote may have them: unsure where teachers differ, and less sure of what contradicts the label."""
    for id, said in answers.items():
        if said[0] != said[1]:
            yield id, Doubt(said[0], 0.5, 0.4, contradicts=said[0] != labels[id])
        else:
            agrees = said[0] == labels[id]
            yield id, Doubt(said[0], 0.99 if agrees else 0.9, 0.99 if agrees else 0.1, contradicts=not agrees)
