"""Of two completions of one sample a pair is made where one is better by the margin and about as long; else the reason is counted."""

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.errors import PipelineError
from cotforge.plan.kinds.dpo import Rollouts
from cotforge.train.rollouts.completion_files import FIRST, LARGEST, file_spans
from cotforge.train.rollouts.pairs import PairCount, Pairs, RatedCompletion, pairs_of
from cotforge.train.rollouts.sampling import seed_of

ANY = st.builds(
    RatedCompletion,
    text=st.sampled_from(["", " \n", "red", "It is red.", "blue", "It is blue.", "white"]),
    reward=st.sampled_from([None, 0.0, 0.2, 0.3, 0.5, 0.8, 1.0]),
    tokens=st.integers(0, 40),
    ended=st.booleans(),
)
MADE = st.builds(
    Rollouts,
    margin=st.sampled_from([0.1, 0.5, 1.0]),
    length_ratio=st.sampled_from([None, 1.0, 1.5, 4.0]),
    pairs_per_sample=st.integers(1, 6),
)


def ratio(one: RatedCompletion, other: RatedCompletion) -> float:
    lengths = sorted((max(1, one.tokens), max(1, other.tokens)))
    return lengths[1] / lengths[0]


def candidates(completions: list[RatedCompletion], made: Rollouts) -> dict[tuple[str, str], float]:
    """Every pair of texts that may be made, and the least ratio of its lengths."""
    found: dict[tuple[str, str], float] = {}
    for one in completions:
        for other in completions:
            if not (one.ended and other.ended and one.text.strip() and other.text.strip()) or one.reward is None or other.reward is None:
                continue
            near = ratio(one, other) <= (made.length_ratio or inf) * (1 + 1e-9)
            if one.reward - other.reward >= made.margin - 1e-9 and one.text != other.text and near:
                texts = one.text, other.text
                found[texts] = min(found.get(texts, inf), ratio(one, other))
    return found


@given(st.lists(ANY, max_size=8), MADE)
def test_the_better_of_two_is_chosen_by_the_margin_within_the_ratio_and_every_pair_is_found(
    completions: list[RatedCompletion], made: Rollouts
) -> None:
    found = pairs_of(completions, made)
    chosen = [(completions[one].text, completions[other].text) for one, other in found.places]
    wanted = candidates(completions, made)
    assert {*chosen} <= wanted.keys()
    assert len({*chosen}) == len(chosen) == min(made.pairs_per_sample, len(wanted))
    assert (found.reason is None) == bool(wanted)
    if chosen:
        first = [completions[place] for place in found.places[0]]
        assert ratio(*first) == pytest.approx(min(wanted.values()))  # of the most similar lengths
    assert pairs_of(completions, made) == found


@given(st.lists(ANY, max_size=6), MADE)
def test_what_was_cut_off_or_says_nothing_changes_no_pair(completions: list[RatedCompletion], made: Rollouts) -> None:
    useless = [
        RatedCompletion("It is green.", 1.0, 5, ended=False),
        RatedCompletion(" ", 0.0, 5, ended=True),
        RatedCompletion("blue", None, 0, ended=True),
    ]
    assert pairs_of([*completions, *useless], made) == pairs_of(completions, made)


def test_each_completion_is_in_a_pair_before_one_is_in_two() -> None:
    said = [RatedCompletion(f"right {n}", 1.0, 10 + n, ended=True) for n in range(3)] + [RatedCompletion("wrong", 0.0, 10, ended=True)]
    said.append(RatedCompletion("wrong too", 0.0, 30, ended=True))
    found = pairs_of(said, Rollouts(pairs_per_sample=2, length_ratio=None))
    assert found.places == ((0, 3), (2, 4))


WORDS = "rollouts: 8 completions of 4 samples, mean reward 0.625, 1 cut off, 1 without a text; 1 pairs of 1 samples; without a pair: "


def test_what_the_completions_came_to_is_told_and_without_a_pair_it_is_one_line_with_what_to_do() -> None:
    def said(reward: float | None, tokens: int = 8, *, ended: bool = True) -> RatedCompletion:
        return RatedCompletion("" if reward is None else f"{reward} in {tokens}", reward, tokens, ended=ended)

    count, made = PairCount(), Rollouts(per_sample=2)
    samples = [[said(1), said(0)], [said(1), said(1, 9)], [said(1), said(None, ended=False)], [said(0, ended=False), said(1)]]
    for completions in samples:
        count.add(completions, pairs_of(completions, made))
    assert count.line(made) == WORDS.replace("0.625", "0.714") + "1 all right, 2 fewer than two whole completions"
    count.demand_pairs(made, where="stage 'prefer'")
    none = PairCount()
    none.add([said(1), said(0, 30)], pairs_of([said(1), said(0, 30)], made))
    none.add([said(0), said(0)], Pairs((), "all_wrong"))
    none.add([said(0), said(0)], Pairs((), "all_wrong"))
    with pytest.raises(PipelineError) as caught:
        none.demand_pairs(made, where="stage 'prefer'")
    assert caught.value.faults == (
        "stage 'prefer': rollouts: 6 completions of 3 samples, mean reward 0.167; 0 pairs of 0 samples; without a pair: 2 all wrong, "
        "1 no two lengths within a ratio of 2; raise rollouts.per_sample, or have the student learn more before this stage",
    )


@given(st.integers(0, 3000), st.integers(2, 3000))
def test_files_hold_every_sample_once_and_grow_twofold_to_a_bound(samples: int, per_sample: int) -> None:
    found = list(file_spans(samples, per_sample))
    assert [place for span in found for place in span] == list(range(samples))
    sizes = [len(span) for span in found]
    assert all(size == 1 or size * per_sample <= LARGEST for size in sizes)
    assert all(later <= 2 * size for size, later in pairwise(sizes))
    assert sizes[:1] <= [FIRST]


def test_a_seed_follows_from_the_stage_s_the_sample_and_its_number() -> None:
    seeds = {seed_of(seed, sample, number) for seed in range(3) for sample in ("a", "b", "1\na") for number in range(11)}
    assert len(seeds) == 99
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(0, "a", 0) == seed_of(0, "a", 0)
