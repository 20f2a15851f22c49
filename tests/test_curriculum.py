"""Curricula without a student: what is refused, orders, and samplers that go by what came of earlier rows and end up where they were."""

import json
import math
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotforge.errors import PipelineError
from cotforge.plan import Curriculum, Grpo, Plan, Sft
from cotforge.train.curriculum.feedback import of_prompts
from cotforge.train.curriculum.orders import EasyFirst, InPasses, Passes, Shuffled, cut_parts
from cotforge.train.curriculum.samplers import Bandit, Review, RowSampler
from cotforge.train.curriculum.stage_order import RowFacts, StageSize, cluster_rows, sampler_of
from cotforge.tree import pydantic_faults

SIZES = st.integers(1, 9)
COUNTS = st.integers(1, 60)
REWARDS = [{"measure": "well_formed"}]


def stage(kind: str, by: str, how: str, **keys: Any) -> Sft | Grpo:
    own = {key: keys.pop(key) for key in ("buckets", "explore", "every", "share") if key in keys}
    fields = {"name": "one", "kind": kind, "curriculum": {"by": by, "how": how, **own}, **keys}
    return Sft.model_validate(fields) if kind == "sft" else Grpo.model_validate({"rewards": REWARDS, **fields})


def fault(**fields: Any) -> str:
    """The line about a plan whose one stage has these keys."""
    values = {"student": {"model": "some/model"}, "stages": [{"name": "one", **fields}]}
    with pytest.raises(ValidationError) as found:
        Plan.model_validate(values)
    (line,) = pydantic_faults(found.value, Plan, values)
    return line


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"kind": "sft", "curriculum": {"by": "reward_variance", "how": "bandit"}},
            "a stage of kind sft has none of it while it learns; take",
        ),
        (
            {"kind": "sft", "curriculum": {"by": "pass_rate", "how": "bandit"}},
            "a stage of kind sft has none of it while it learns; take loss",
        ),
        (
            {"kind": "sft", "curriculum": {"by": "loss", "how": "easy_first"}},
            "no loss is known before a row was learned from; take pass_rate",
        ),
        (
            {"kind": "sft", "curriculum": {"by": "length", "how": "review"}},
            "a length does not change while the student learns; take loss or",
        ),
        ({"kind": "grpo", "curriculum": {"by": "loss", "how": "bandit"}}, "a stage of kind grpo has none of it while it learns; take"),
        ({"kind": "grpo", "curriculum": {"by": "reward_variance", "how": "easy_first"}}, "no reward is known before a prompt was answered"),
        ({"kind": "grpo", "data": "source", "curriculum": {"by": "length", "how": "easy_first"}}, "data: source has none; take pass_rate"),
        ({"kind": "grpo", "resample": 2, "curriculum": {"by": "pass_rate", "how": "bandit"}}, "resample: draws other prompts by chance"),
        (
            {"kind": "sft", "curriculum": {"by": "loss", "how": "review", "explore": 0.2}},
            "explore: belongs to how: bandit, and how is review",
        ),
        ({"kind": "sft", "curriculum": {"by": "loss", "how": "bandit", "every": 3}}, "every: belongs to how: review, and how is bandit"),
        (
            {"kind": "sft", "trl": {"train_sampling_strategy": "sequential"}, "curriculum": {"by": "loss", "how": "review"}},
            "trl.train_sampling_strategy: chooses an order of the rows, as curriculum does",
        ),
        ({"kind": "dpo", "curriculum": {"by": "loss", "how": "review"}}, "curriculum is for kinds 'sft' and 'grpo'; kind 'dpo' has none"),
    ],
)
def test_what_makes_no_sense_is_refused_by_a_line(fields: dict[str, Any], line: str) -> None:
    told = fault(**({"rewards": REWARDS} if fields["kind"] == "grpo" else {}), **fields)
    assert line in told
    assert told.startswith("stages[0]")


def test_a_stage_without_a_curriculum_has_the_key_it_had_and_the_plan_s_line_names_one() -> None:
    plain, paced = Sft.model_validate({"name": "one", "kind": "sft"}), stage("sft", "loss", "bandit")
    assert "curriculum" not in plain.key_fields()
    assert paced.key_fields() != stage("sft", "loss", "bandit", explore=0.5).key_fields()
    assert paced.words()[-1] == "bandit by loss"
    assert [each.needs_pass_rates for each in (paced, stage("sft", "pass_rate", "review"), stage("grpo", "pass_rate", "review"))] == [
        False, True, False,
    ]  # fmt: skip


# orders


@given(COUNTS, SIZES, st.integers(0, 3), st.integers(1, 5), st.integers(1, 80), st.booleans(), st.data())
def test_easy_first_has_every_row_once_in_each_pass_and_the_first_one_from_easy_to_hard(
    count: int, size: int, seed: int, buckets: int, reach: int, grouped: bool, data: st.DataObject
) -> None:
    hardness = data.draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=count, max_size=count))
    lengths = [1 + row * 7 % 50 for row in range(count)] if grouped else None
    order = EasyFirst(Shuffled(range(count), seed=seed, size=size, lengths=lengths), hardness, buckets=buckets, reach=reach)
    for number in (0, 1, 2):
        assert sorted(order.of_pass(number)) == list(range(count))
        assert order.of_pass(number) == order.of_pass(number)
    first = order.of_pass(0)[: min(reach, count)]
    parts = cut_parts(sorted(first, key=lambda row: hardness[row]), buckets, size=size)
    found, at = [], 0
    for part in parts:
        found.append([hardness[row] for row in first[at : at + len(part)]])
        at += len(part)
    assert all(max(one) <= min(other) for one, other in pairwise(found))
    sampler = InPasses(order)
    sampler.set_epoch(1)
    assert list(sampler) == order.of_pass(1)


@given(COUNTS, st.lists(SIZES, max_size=8), st.integers(0, 8))
def test_rows_are_drawn_pass_after_pass_and_from_where_another_one_stood(count: int, draws: list[int], at: int) -> None:
    one, other = (Passes(Shuffled(range(count), seed=1)) for _ in range(2))
    found = [one.draw(draw) for draw in draws[:at]]
    other.restore(json.loads(json.dumps(one.state())))
    rest = [one.draw(draw) for draw in draws[at:]]
    assert rest == [other.draw(draw) for draw in draws[at:]]
    drawn = Counter(row for part in found + rest for row in part)
    assert not drawn or max(drawn.values()) - min(drawn[row] for row in range(count)) <= 1


# samplers


def samplers() -> dict[str, RowSampler]:
    lengths = [1 + row * 13 % 40 for row in range(40)]
    rates = [row % 5 / 4 if row % 7 else None for row in range(40)]
    facts, size = RowFacts(rates, lengths, alike=True), StageSize(4, 200)
    made = {
        name: sampler_of(each, facts, size, lambda line: None)
        for name, each in {
            "progress": stage("sft", "loss", "bandit", explore=0.3),
            "level": stage("grpo", "reward_variance", "bandit"),
            "review": stage("sft", "loss", "review", every=3, share=0.5),
            "known": stage("sft", "pass_rate", "review", every=2),
            "order": stage("grpo", "length", "easy_first"),
        }.items()
    }
    return {name: sampler for name, sampler in made.items() if sampler is not None}


def came_of(row: int, step: int) -> float:
    """Something that is not the same for all rows, and now and then not known."""
    return math.nan if (row + step) % 11 == 0 else math.sin(row * 1.7 + step) + 1.1


@pytest.mark.parametrize("name", samplers())
@pytest.mark.parametrize("killed", [0, 1, 7, 20])
def test_a_sampler_that_goes_on_from_a_saved_state_draws_the_rows_of_an_undisturbed_one(name: str, killed: int) -> None:
    whole, halves, again = (samplers()[name] for _ in range(3))
    counts = [4] * 25 + [3, 4, 4]  # an epoch may end with a smaller step
    expected = []
    for step, count in enumerate(counts):
        expected.append(whole.draw(count))
        whole.see([came_of(row, step) for row in expected[-1]])
    found = []
    sampler = halves
    for step, count in enumerate(counts):
        if step == killed:
            again.restore(json.loads(json.dumps(sampler.state())))
            sampler = again
        found.append(sampler.draw(count))
        sampler.see([came_of(row, step) for row in found[-1]])
    assert found == expected
    assert [len(rows) for rows in found] == counts
    assert sampler.state() == whole.state()
    assert sampler.metrics() == whole.metrics()


@pytest.mark.parametrize("progress", [False, True])
def test_the_bandit_learns_most_from_the_cluster_where_most_happens(progress: bool) -> None:
    clusters = [Shuffled(range(start, start + 10), seed=start) for start in (0, 10, 20)]
    bandit = Bandit(clusters, progress=progress, explore=0.1, seed=3)
    drawn: Counter[int] = Counter()
    for _ in range(200):
        rows = bandit.draw(2)
        (cluster,) = {row // 10 for row in rows}
        drawn[cluster] += 1
        falling = 2.0 - 0.02 * drawn[1]  # the loss of one cluster falls, those of the others stay
        bandit.see([{0: 0.5, 1: falling if progress else 0.9, 2: 0.1}[cluster]] * 2)
    assert drawn[1] > 160
    assert min(drawn.values()) >= 3  # the others are looked at now and then
    assert bandit.metrics()["curriculum/arm"] in (0.0, 1.0, 2.0)


def test_an_arm_of_which_nothing_is_known_keeps_its_value() -> None:
    bandit = Bandit([Shuffled(range(4), seed=0)], progress=False, explore=0.0, seed=0)
    for values in ([0.5, 0.7], [math.nan, math.nan], [math.nan, 0.6]):
        bandit.draw(2)
        bandit.see(values)
    assert bandit.metrics() == {"curriculum/arm": 0.0, "curriculum/value": pytest.approx(0.6)}


@given(COUNTS, st.integers(1, 5), st.integers(1, 4), st.floats(0.01, 1), st.integers(1, 40))
def test_a_review_brings_back_once_the_hardest_rows_of_the_steps_before_it(
    count: int, size: int, every: int, share: float, steps: int
) -> None:
    review = Review(Shuffled(range(count), seed=2, size=size), every=every, share=share)
    new: list[int] = []
    window: list[int] = []
    waiting: list[int] = []
    for _ in range(steps):
        rows = review.draw(size)
        again, fresh = rows[: len(waiting[:size])], rows[len(waiting[:size]) :]
        assert set(again) <= set(waiting)
        for row in again:
            waiting.remove(row)
        new += fresh
        window += fresh
        review.see([float(row) for row in rows])
        state = review.state()
        if not state["window"] and window:
            hardest = sorted(window, reverse=True)[: round(share * len(window))]
            assert sorted(state["waiting"], reverse=True) == hardest
            waiting, window = list(state["waiting"]), []
    seen = Counter(new)
    assert not seen or max(seen.values()) - min(seen[row] for row in range(count)) <= 1


def test_rows_are_clustered_by_pass_rate_and_length_and_no_cluster_is_smaller_than_a_step() -> None:
    rates = [row // 10 / 9 for row in range(100)]
    lengths = [row % 10 for row in range(100)]
    found = cluster_rows(RowFacts(rates, lengths), 4, 8)
    assert found is not None
    assert sorted(row for part in found for row in part) == list(range(100))
    assert [len(part) for part in found] == [12, 13] * 4
    quantiles = [[rates[row] for row in short + long] for short, long in zip(found[::2], found[1::2], strict=True)]
    assert all(min(easier) >= max(harder) for easier, harder in pairwise(quantiles))
    for short, long in zip(found[::2], found[1::2], strict=True):
        assert max(lengths[row] for row in short) <= min(lengths[row] for row in long)
    few = cluster_rows(RowFacts(rates, lengths), 50, 8)
    assert few is not None
    assert min(map(len, few)) >= 8
    assert len(few) == 12
    by_length = cluster_rows(RowFacts([None] * 100, lengths), 4, 8)
    assert by_length is not None
    assert [len(part) for part in by_length] == [25] * 4
    assert cluster_rows(RowFacts([None] * 100), 4, 8) is None


def test_what_a_curriculum_goes_by_has_to_be_known_of_some_rows() -> None:
    told: list[str] = []
    nothing, some = RowFacts([None] * 8), RowFacts([0.5, None, 1.0, 0.0] * 2)
    for asked, line in (
        (stage("grpo", "pass_rate", "easy_first"), "difficulty.parquet has none of its 8 rows"),
        (stage("grpo", "reward_variance", "bandit"), "nothing tells its rows apart"),
    ):
        with pytest.raises(PipelineError, match=line):
            sampler_of(asked, nothing, StageSize(2, 8), told.append)
    assert told == []
    sampler = sampler_of(stage("grpo", "pass_rate", "easy_first", buckets=4), some, StageSize(2, 8), told.append)
    assert sampler is not None
    assert {row % 4 for row in sampler.draw(2)} == {2}  # the rows that are always right come first
    assert told == ["curriculum: 2 of 8 rows have no pass rate, and are taken for as hard as the median one"]


def test_prompts_are_compared_by_their_wrong_answers_or_the_variance_of_their_rewards() -> None:
    columns = {"answer": ["a", "b", None, "c"], "truth": ["a", "a", "c", "c"]}
    assert of_prompts("pass_rate", columns, [], [], group=2) == [0.5, 0.5]
    rewards = [[1.0, 0.0, math.nan, math.nan], [1.0, 1.0, math.nan, 0.5]]
    assert of_prompts("reward_variance", columns, rewards, [0.5, 0.5], group=2) == [pytest.approx(0.0625), 0.0]
    assert math.isnan(of_prompts("reward_variance", columns, [[math.nan] * 4], [1.0], group=2)[0])


def test_a_curriculum_says_what_it_does() -> None:
    assert str(Curriculum.model_validate({"by": "pass_rate", "how": "easy_first"})) == "easy first by pass rate"
