"""A teacher's own probability as evidence: bins by rank, learned emissions, the same live and replayed, and nothing where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

from cotforge.consensus import AnswersError, Decisions, decide, what_if
from cotforge.consensus.sequential.agreement import AgreementModel
from cotforge.consensus.sequential.answer_table import Evidence, regroup_codes, symbols_of, with_bins
from cotforge.consensus.sequential.bins import ENOUGH, assign_bins, bin_cuts, with_cuts
from cotforge.consensus.sequential.difficulty import Difficulty
from cotforge.consensus.sequential.learning import as_symbols, solve_policy
from cotforge.consensus.sequential.replay_trace import walk_policy
from cotforge.consensus.sequential.terms import Terms, Voter
from tests.voting import same

CLASSES = ("ab", "cd", "ef", "gh")
SKILLS = {"one": 0.85, "two": 0.7, "three": 0.6}


def world(
    items: int = 600, *, seed: int = 0, tells: float = 0.25, known: float = 1.0
) -> tuple[pl.DataFrame, dict[str, str], dict[str, str]]:
    """(answers with probabilities, noisy labels, the truth): right answers are surer by `tells`, and a share `known` of them tell it."""
    random = np.random.default_rng(seed)
    rows, labels, truth = [], dict[str, str](), dict[str, str]()
    for number in range(items):
        id, true = f"i{number}", CLASSES[int(random.integers(4))]
        truth[id] = true
        labels[id] = _wrong(random, true) if random.random() < 0.1 else true
        for name, skill in SKILLS.items():
            right = random.random() < skill
            sure = float(np.clip(0.6 + tells * right + 0.1 * random.normal(), 0, 1))
            rows.append((id, name, true if right else _wrong(random, true), sure if random.random() < known else None))
    return pl.DataFrame(rows, schema=["id", "teacher", "answer", "probability"], orient="row"), labels, truth


def _wrong(random: np.random.Generator, true: str) -> str:
    return [other for other in CLASSES if other != true][int(random.integers(3))]


def vote(frame: pl.DataFrame, labels: Mapping[str, str], *, free: bool = False, **told: Any) -> Decisions:
    return decide(frame, classes=None if free else CLASSES, labels=labels, **told)


def errors_at(decided: Decisions, truth: Mapping[str, str], *, coverage: float, but: Sequence[str] = ()) -> float:
    """Share of errors among the surest."""
    frame = decided.frame.filter(~pl.col("id").is_in(list(but)))
    surest = frame.sort(pl.col("accepted"), "confidence", descending=True).head(round(coverage * len(frame)))
    return sum(truth[id] != answer for id, answer in surest.select("id", "answer").iter_rows()) / len(surest)


def evidence(items: int = 200, *, options: tuple[str, ...] = CLASSES, seed: int = 0) -> tuple[Terms, Evidence]:
    frame, labels, truth = world(items, seed=seed, known=0.9)
    terms = Terms(tuple(map(Voter, SKILLS)), options)
    found = Evidence(terms)
    for id, rows in frame.group_by("id", maintain_order=True):
        said = dict(rows.select("teacher", "answer").iter_rows())
        sure = {name: sure for name, sure in rows.select("teacher", "probability").iter_rows() if sure is not None}
        label = labels[str(id[0])]
        found.add(
            0, label=label, answers=said, probabilities=sure, gold=truth[str(id[0])] if len(said) and seed % 2 else None, everybody=True
        )
    return terms, found


# bins


def test_three_bins_hold_a_third_each() -> None:
    found = bin_cuts(np.arange(100) / 100)
    voter = Voter("one", cuts=found)
    counts = np.bincount([voter.bin(number / 100) for number in range(100)], minlength=4)
    assert (voter.bins, counts.tolist(), voter.bin(None)) == (4, [0, 33, 33, 34], 0)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], ()),
        ([0.9] * 500, ()),
        (list(np.linspace(0, 1, ENOUGH - 1)), ()),
        ([np.nan] * 500 + [0.1, 0.9], ()),
        ([0.2] * 10 + [1.0] * 90, (1.0,)),
        ([0.2] * 40 + [0.5] * 20 + [1.0] * 40, (1.0,)),
        ([0.2] * 40 + [0.5] * 40 + [1.0] * 20, (0.5,)),
        ([0.2] * 30 + [0.5] * 30 + [1.0] * 40, (0.5, 1.0)),
    ],
)
def test_too_few_or_all_alike_are_not_parted_and_equal_ones_stay_together(probabilities: list[float], expected: tuple[float, ...]) -> None:
    assert bin_cuts(np.array(probabilities)) == expected


@given(st.lists(st.floats(0, 1), min_size=ENOUGH, max_size=150), st.randoms())
def test_cuts_follow_from_ranks_whatever_the_order_and_the_scale(probabilities: list[float], random: Any) -> None:
    found = bin_cuts(np.array(probabilities))
    mixed = random.sample(probabilities, len(probabilities))
    assert bin_cuts(np.array(mixed)) == found
    scaled = Voter("one", cuts=bin_cuts(np.array(probabilities) * 0.5))
    voter = Voter("one", cuts=found)
    assert [voter.bin(one) for one in probabilities] == [scaled.bin(one * 0.5) for one in probabilities]


@given(st.lists(st.floats(0, 1) | st.none(), min_size=1, max_size=50))
def test_bins_of_an_array_are_those_of_a_voter(probabilities: list[float | None]) -> None:
    terms = Terms((Voter("one", cuts=(0.25, 0.75)), Voter("two")), CLASSES)
    known = np.array([np.nan if one is None else one for one in probabilities])
    found = assign_bins(np.column_stack([known, known]), terms)
    assert found[:, 0].tolist() == [terms.voters[0].bin(one) for one in probabilities]
    assert not found[:, 1].any()


def test_cuts_are_given_to_as_many_voters_as_can_be_told_apart() -> None:
    terms = Terms(tuple(Voter(f"v{number}") for number in range(11)), tuple(f"c{number}" for number in range(30)))
    assert terms.codable
    parted = with_cuts(terms, np.random.default_rng(0).random((200, 11)))
    assert parted.codable
    assert 0 < sum(bool(voter.cuts) for voter in parted.voters) < 11


def test_a_vote_that_is_to_do_without_has_no_cuts() -> None:
    terms, found = evidence()
    assert not found.parted(replace(terms, confidence=False)).binned


# what is learned


@pytest.mark.parametrize("options", [CLASSES, ()])
def test_what_a_voter_may_say_and_how_surely_adds_up_in_each_state(options: tuple[str, ...]) -> None:
    terms, found = evidence(options=options)
    terms = found.parted(terms)
    policy = solve_policy(terms, found.table(terms))
    assert terms.binned
    assert sum(len(level.steps) for level in policy.levels) >= 3
    for level in policy.levels:
        for _, _, chances, _ in level.steps:
            assert np.allclose(chances.sum(axis=1), 1, atol=1e-5)
            assert chances.min() >= 0


@pytest.mark.parametrize("options", [CLASSES, ()])
def test_a_sure_answer_weighs_more_than_an_unsure_one_and_one_of_unknown_confidence_lies_between(options: tuple[str, ...]) -> None:
    terms, found = evidence(600, options=options)
    terms = found.parted(terms)
    belief = solve_policy(terms, found.table(terms)).belief
    symbols_NV = np.array([[0, -1, -1, -1]] * 4)
    bins_NV = np.array([[bin, 0, 0, 0] for bin in range(4)])
    unknown, low, middle, high = belief.posterior(with_bins(symbols_NV, bins_NV, terms))[:, 0]
    assert low < middle < high
    assert low < unknown < high


@pytest.mark.parametrize("options", [CLASSES, ()])
def test_learning_gains_with_bins_too(options: tuple[str, ...]) -> None:
    terms, found = evidence(400, options=options)
    terms = found.parted(terms)
    made = found.table(terms)
    each = [*(voter.bins for voter in terms.voters), 1]
    model = Difficulty(4, 4, bins=each) if options else AgreementModel(terms.size, 4, bins=each)

    def likelihood() -> float:
        return float(made.times_N @ np.log(model.joint_NH(made.answers_NV).sum(axis=1)))

    before = likelihood()
    assert likelihood() == before
    model.fit(made, rounds=3)
    after = likelihood()
    model.fit(made)
    assert before < after < likelihood()


@given(seed=st.integers(0, 50))
def test_regrouping_keeps_bins_and_who_agrees_with_whom(seed: int) -> None:
    random = np.random.default_rng(seed)
    terms = Terms(tuple(Voter(f"v{number}", cuts=(0.3, 0.6)) for number in range(3)), ())
    symbols_NV = random.integers(-2, 4, (40, 4))
    bins_NV = np.column_stack([random.integers(0, 4, (40, 3)), np.zeros(40, int)])
    codes_NV = with_bins(symbols_NV, bins_NV, terms)
    new_NV, _ = regroup_codes(codes_NV, None, terms)
    assert (symbols_of(new_NV, terms) == regroup_codes(symbols_NV)[0]).all()
    assert (np.where(symbols_NV >= 0, new_NV // terms.symbols, 0) == np.where(symbols_NV >= 0, bins_NV, 0)).all()
    assert (as_symbols(new_NV, np.full(40, -1), terms)[0] == new_NV).all()


def test_a_policy_asks_on_after_an_unsure_answer_and_not_after_a_sure_one() -> None:
    terms, found = evidence(600, seed=1)
    terms = found.parted(terms)
    policy = solve_policy(terms, found.table(terms))
    sure, unsure = ({"one": value} for value in (0.99, 0.3))
    assert policy.next(None, {"one": "ab"}, sure) is None
    assert policy.accepted(None, {"one": "ab"}, sure) == "ab"
    assert policy.next(None, {"one": "ab"}, unsure) is not None
    assert policy.accepted(None, {"one": "ab"}, unsure) is None


def test_walking_and_asking_one_by_one_are_the_same() -> None:
    terms, found = evidence(300)
    terms = found.parted(terms)
    policy = solve_policy(terms, found.table(terms))
    frame, labels, _ = world(300, known=0.9)
    made = _coded(frame, labels, terms)
    walked = walk_policy(policy, made)
    for row, (_, rows) in enumerate(frame.group_by("id", maintain_order=True)):
        said = dict(rows.select("teacher", "answer").iter_rows())
        sure = {name: sure for name, sure in rows.select("teacher", "probability").iter_rows() if sure is not None}
        heard: dict[str, str | None] = {}
        label = labels[str(rows["id"][0])]
        while (name := policy.next(label, heard, {one: sure[one] for one in heard if one in sure})) is not None:
            heard[name] = said[name]
        turns = walked.turn_NK[row]
        assert [terms.voters[column].name for column in np.argsort(turns, kind="stable") if turns[column]] == list(heard)


def _coded(frame: pl.DataFrame, labels: Mapping[str, str], terms: Terms) -> Any:
    wide = frame.pivot("teacher", index="id", values=["answer", "probability"], maintain_order=True)
    places = {option: place for place, option in enumerate(sorted(terms.options))}
    symbols_NK = np.column_stack([wide[f"answer_{voter.name}"].replace_strict(places).to_numpy() for voter in terms.voters])
    sure_NK = np.column_stack([wide[f"probability_{voter.name}"].fill_null(np.nan).to_numpy() for voter in terms.voters])
    label_N = np.array([places[labels[id]] for id in wide["id"]])
    return np.column_stack([with_bins(symbols_NK, assign_bins(sure_NK, terms), terms), label_N])


# without probabilities nothing changes


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("column", ["null", "constant", "few"])
def test_probabilities_that_tell_nothing_leave_every_decision_as_it_is(free: bool, column: str) -> None:
    frame, labels, truth = world()
    gold = {id: truth[id] for id in list(truth)[:40]}
    plain = vote(frame.drop("probability"), labels, gold=gold, free=free)
    told = {"null": pl.lit(None, pl.Float64), "constant": pl.lit(0.7), "few": pl.when(pl.int_range(pl.len()) < 40).then("probability")}
    same(plain, vote(frame.with_columns(probability=told[column]), labels, gold=gold, free=free))


def test_no_other_rule_looks_at_them() -> None:
    frame, labels, _ = world(200)
    for rule in ("majority", "weighted", "dawid_skene"):
        same(vote(frame.drop("probability"), labels, rule=rule), vote(frame, labels, rule=rule))


def test_codes_of_voters_without_cuts_are_symbols_and_the_tables_are_the_same() -> None:
    terms, found = evidence()
    made, plain = found.table(), found.table(terms)
    assert made.answers_NV.max() < terms.symbols
    assert (made.packed() == plain.packed()).all()
    models = [Difficulty(4, 4), Difficulty(4, 4, bins=[1] * 4)]
    shares = [model.fit(made).by_answer(model.joint_NH(made.answers_NV)).tobytes() for model in models]
    assert shares[0] == shares[1]


# that it helps


@pytest.mark.parametrize("free", [False, True])
def test_where_they_tell_something_there_are_fewer_errors_at_equal_coverage_or_fewer_calls(free: bool) -> None:
    before, after, calls, accepted = 0.0, 0.0, [0, 0], [0, 0]
    for seed in range(3):
        frame, labels, truth = world(1200, seed=seed)
        gold = {id: truth[id] for id in list(truth)[:100]}
        for place, given_frame in enumerate((frame.drop("probability"), frame)):
            decided = vote(given_frame, labels, gold=gold, free=free, seed=seed)
            error = errors_at(decided, truth, coverage=0.9, but=list(gold))
            before, after = (before + error, after) if place == 0 else (before, after + error)
            calls[place] += int(decided.frame["calls"].sum())
            accepted[place] += int(decided.frame["accepted"].sum())
    assert after < 0.8 * before
    assert calls[1] / accepted[1] <= calls[0] / accepted[0]


def test_noise_in_the_place_of_probabilities_does_little_harm() -> None:
    frame, labels, truth = world(1200, tells=0.0)
    gold = {id: truth[id] for id in list(truth)[:100]}
    plain, told = vote(frame.drop("probability"), labels, gold=gold), vote(frame, labels, gold=gold)
    assert errors_at(told, truth, coverage=0.8, but=list(gold)) <= errors_at(plain, truth, coverage=0.8, but=list(gold)) + 0.01
    assert told.frame["accepted"].mean() > plain.frame["accepted"].mean() - 0.03  # type: ignore[operator]


# a table of a stranger


def test_a_weight_is_read_by_its_ranks_as_a_probability_is() -> None:
    frame, labels, _ = world()
    weighed = frame.with_columns(weight=pl.col("probability") * 100 - 7).drop("probability")
    same(vote(frame, labels), vote(weighed, labels))


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("inf")])
def test_what_cannot_be_a_probability_is_told_in_one_line(wrong: float) -> None:
    frame, labels, _ = world(100)
    spoilt = frame.with_columns(probability=pl.when(pl.int_range(pl.len()) == 7).then(wrong).otherwise("probability"))
    with pytest.raises(AnswersError, match=r"answers: probability is .*; a number from 0 to 1, or null where it is not known"):
        vote(spoilt, labels)


def test_words_are_no_probabilities_and_numbers_in_text_are() -> None:
    frame, labels, _ = world()
    with pytest.raises(AnswersError, match="answers: probability is 'high'"):
        vote(frame.with_columns(probability=pl.lit("high")), labels)
    same(vote(frame, labels), vote(frame.with_columns(pl.col("probability").cast(pl.String)), labels))


def test_pandas_and_nan_are_read_too() -> None:
    pandas = pytest.importorskip("pandas")
    frame, labels, _ = world(known=0.8)
    same(vote(frame, labels), decide(pandas.DataFrame(frame.to_dict(as_series=False)), classes=CLASSES, labels=labels))


def test_only_answers_that_were_asked_for_are_looked_at() -> None:
    frame, labels, _ = world(800)
    decided = vote(frame, labels)
    asked = decided.frame.select("id", teacher="asked").explode("teacher", empty_as_null=False).with_columns(heard=True)
    spoilt = frame.join(asked, on=["id", "teacher"], how="left", maintain_order="left").with_columns(
        probability=pl.when("heard").then("probability").otherwise(0.5)
    )
    same(decided, vote(spoilt.drop("heard"), labels))


def test_what_if_uses_them_under_sequential() -> None:
    frame, labels, _ = world(400)
    rows = [what_if(given_frame, classes=CLASSES, labels=labels, targets=[0.9]) for given_frame in (frame.drop("probability"), frame)]
    kept = [one.filter(pl.col("rule") == "majority") for one in rows]
    assert kept[0].equals(kept[1])
    in_turn = [one.filter((pl.col("rule") == "sequential") & (pl.col("order") == "policy")).row(0) for one in rows]
    assert in_turn[0] != in_turn[1]
