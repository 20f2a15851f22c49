"""Whom a policy asks next: nobody does better at random, it finds what it expects, and it keeps to what may be asked."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from cotforge.consensus.sequential import Terms, Voter, Wanted
from cotforge.consensus.sequential.answer_table import ABSTAINED, NONE, Ints, make_table, regroup_codes
from cotforge.consensus.sequential.learning import fit_belief, learn_policy, solve_policy
from cotforge.consensus.sequential.policy import STOP, Policy
from cotforge.consensus.sequential.replay_trace import walk_policy
from tests.voting import drawn, terms_of

SKILLS = (0.6, 0.7, 0.8, 0.65, 0.75, 0.7)
SHORT = (Voter("a", price=4), Voter("a", short=True), Voter("b", price=5), Voter("b", short=True, price=1.5), Voter("c", price=9))


def policy_of(terms: Terms, *, items: int = 1500, gold: int = 0, seed: int = 0, most: int | None = None, skills: Any = SKILLS) -> Policy:
    """What is learned of voters of these skills; the label is right in 9 of 10."""
    classes, voters = max(len(terms.options), 2) if terms.options else 8, len(terms.voters)
    made, _ = drawn(np.random.default_rng(seed), items, classes, (*skills[:voters], 0.9), gold=gold)
    answers_NV, gold_N = made.answers_NV.copy(), made.gold_N
    if not terms.label:
        answers_NV[:, -1] = NONE
    if not terms.by_class:
        answers_NV, regrouped_N = regroup_codes(answers_NV, gold_N)
        assert regrouped_N is not None
        gold_N = regrouped_N
    packed = np.column_stack([made.wave_N, made.everybody_N, made.fold_N, gold_N, answers_NV])
    evidence = make_table(packed, made.times_N)[0]
    return Policy(fit_belief(terms, evidence), most=most) if most else solve_policy(terms, evidence.unfolded())


def value_of(policy: Policy, chosen: Callable[[int], Ints]) -> float:
    """What a policy is worth that takes, in each state, the step of that number; past the last one it drops the sample."""
    value_N = np.zeros(0)
    for level in reversed(policy.levels):
        n = len(level.code_N)
        kept_N = level.accepted_N & (policy.worth > level.extra_N)
        value, chosen_N = np.where(kept_N, policy.worth - level.extra_N, 0.0), chosen(n)
        for number, (column, some, chance, place) in enumerate(level.steps):
            gain = (chance * value_N[place]).sum(axis=1) - policy.cost_K[column]
            taken = chosen_N[some] == number
            value[some[taken]] = gain[taken]
        value_N = np.append(value, 0.0)
    share_N = policy.levels[0].mass_N / policy.levels[0].mass_N.sum()
    return float(share_N @ value_N[:-1])


@pytest.mark.parametrize("objective", ["balanced", "cheapest"])
@pytest.mark.parametrize(("classes", "voters", "label"), [(2, 4, True), (3, 3, True), (3, 3, False), (0, 4, True), (40, 3, False)])
def test_no_random_policy_is_worth_more(objective: Any, classes: int, voters: int, label: bool) -> None:
    policy = policy_of(terms_of(classes, voters, objective=objective, label=label, target=0.8))
    assert policy.value > 0
    random = np.random.default_rng(0)
    best = max(value_of(policy, lambda n: random.integers(0, voters + 1, n)) for _ in range(1000))
    assert best <= policy.value + 1e-9


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize(("classes", "voters"), [(4, 5), (3, 6)])
def test_looking_at_the_likeliest_states_alone_loses_little(classes: int, voters: int, label: bool) -> None:
    terms = terms_of(classes, voters, label=label)
    exact, limited = policy_of(terms, most=10**9), policy_of(terms, most=2000)
    assert limited.value == pytest.approx(exact.value, rel=0.02)
    assert limited.accepts == pytest.approx(exact.accepts, rel=0.03)


def simulated(policy: Policy, count: int, random: np.random.Generator) -> Ints:
    """Rows as the model has them: a hidden state, then what every column says of it."""
    model = policy.belief.model
    hidden_N = random.choice(len(model.prior_H()), count, p=model.prior_H() / model.prior_H().sum())
    chance_VCN = model.emission_VCH()[:, :, hidden_N].cumsum(axis=1)
    drawn_VN = (random.random((model.V, 1, count)) * chance_VCN[:, -1:] > chance_VCN).sum(axis=1)
    answers_NV = drawn_VN.T.astype(np.int64)
    answers_NV[random.random(count) < policy._unlabelled, -1] = NONE
    return answers_NV


@pytest.mark.parametrize(
    "options", [{}, {"label": False, "target": 0.8}, {"objective": "cheapest"}, {"who": SHORT, "objective": "cheapest"}]
)
@pytest.mark.parametrize("classes", [3, 5])
def test_it_accepts_and_costs_what_it_expects(options: dict[str, Any], classes: int) -> None:
    policy = policy_of(terms_of(classes, 4, **options))
    count = 20_000
    answers_NV = simulated(policy, count, np.random.default_rng(1))
    walked = walk_policy(policy, answers_NV)
    lead = policy.belief.lead(walked.seen_NV, policy.belief.posterior(walked.seen_NV))
    assert not walked.lacking_NK.any()
    share = lead.accepted_N.mean()
    assert abs(share - policy.accepts) < 4.5 * (policy.accepts * (1 - policy.accepts) / count) ** 0.5 + 1e-9
    cost_N = walked.asked_NK @ policy.cost_K
    cost_N += np.where(lead.accepted_N, policy._missing_trace(walked.seen_NV, lead.symbol_N, lead.traced_N), 0)
    assert abs(cost_N.mean() - policy.costs) < 4.5 * cost_N.std() / count**0.5 + 1e-9


@pytest.mark.parametrize("unlabelled", [0.0, 0.5])
def test_free_answers_accept_as_often_as_expected(unlabelled: float) -> None:
    terms = terms_of(0, 3)
    made, _ = drawn(np.random.default_rng(0), 3000, 13, (0.7, 0.8, 0.85, 0.9))
    answers_NV = np.repeat(made.answers_NV, made.times_N.astype(int), axis=0)
    answers_NV[np.random.default_rng(1).random(len(answers_NV)) < unlabelled, -1] = NONE
    answers_NV = regroup_codes(answers_NV)[0]
    packed = np.column_stack([np.zeros((len(answers_NV), 2), int), np.full((len(answers_NV), 2), -1), answers_NV])
    policy = learn_policy(terms, make_table(packed)[0], 0)
    seen_NV = regroup_codes(walk_policy(policy, answers_NV).seen_NV)[0]
    lead = policy.belief.lead(seen_NV, policy.belief.posterior(seen_NV))
    assert lead.accepted_N.mean() == pytest.approx(policy.accepts, abs=0.02)
    assert (seen_NV[:, :-1] >= 0).sum(axis=1).mean() == pytest.approx(policy.costs, rel=0.03)


def said(row_V: Ints, terms: Terms) -> dict[str, str | None]:
    """A row as words; the label under no name."""
    names = [voter.name for voter in terms.voters]
    return {name: None if symbol < 0 else f"c{symbol}" for name, symbol in zip(names, row_V.tolist(), strict=False)}


@pytest.mark.parametrize(
    "options",
    [{}, {"max_calls": 2}, {"classes": 0}, {"label": False, "target": 0.7}, {"who": SHORT, "objective": "cheapest"}, {"gold": 100}],
)
def test_asking_one_by_one_is_walking_through_a_table(options: dict[str, Any]) -> None:
    classes, gold = options.pop("classes", 3), options.pop("gold", 0)
    terms = terms_of(classes, **{"voters": 4, **options})
    policy = policy_of(terms, gold=gold)
    random = np.random.default_rng(2)
    k = len(terms.voters)
    answers_NV = random.integers(-1, 3, (60, k + 1))
    answers_NV[:, :k][answers_NV[:, :k] == -1] = ABSTAINED
    if not terms.label:
        answers_NV[:, -1] = NONE
    names = [voter.name for voter in terms.voters]
    walked = walk_policy(policy, answers_NV)
    seen_NV = walked.seen_NV if terms.by_class else regroup_codes(walked.seen_NV)[0]
    lead = policy.belief.lead(seen_NV, policy.belief.posterior(seen_NV))
    for row, row_V in enumerate(answers_NV):
        whole, label = said(row_V, terms), None if row_V[-1] < 0 else f"c{row_V[-1]}"
        heard: dict[str, str | None] = {}
        while (name := policy.next(label, heard)) is not None:
            assert name not in heard
            heard[name] = whole[name]
        turns = {names[column]: turn for column, turn in enumerate(walked.turn_NK[row].tolist()) if turn}
        assert list(heard) == sorted(turns, key=turns.__getitem__)
        assert len(heard) <= (terms.max_calls or k)
        accepted = policy.accepted(label, heard)
        assert (accepted is not None) == lead.accepted_N[row]
        assert accepted is None or accepted in heard.values()


@pytest.mark.parametrize("classes", [3, 0])
def test_nobody_is_asked_twice_nor_who_cannot_be_asked(classes: int) -> None:
    terms = terms_of(classes, 4)
    policy = policy_of(terms)
    for label, without in product((None, "c1"), ((), ("a",), ("b", "c"), ("a", "b", "c", "d"))):
        heard: dict[str, str | None] = {}
        while (name := policy.next(label, heard, without=without)) is not None:
            assert name not in heard
            assert name not in without
            heard[name] = None if len(heard) == 1 else f"c{len(heard) % 3}"
        assert heard or len(without) == 4


def test_answers_that_are_not_there_are_made_up_for_by_others() -> None:
    policy = policy_of(terms_of(3, 3))
    answers_NV = np.array([[2, 0, 1, 0], [NONE, 0, 1, 0], [0, NONE, NONE, 1], [NONE, NONE, NONE, 1]])
    walked = walk_policy(policy, answers_NV)
    assert not walked.asked_NK[answers_NV[:, :-1] == NONE].any()
    assert not walked.lacking_NK[0].any()
    assert walked.lacking_NK[3].sum() == 1
    assert not (walked.lacking_NK & walked.asked_NK).any()
    assert walked.asked_NK.sum(axis=1).tolist()[3] == 0
    everybody = walk_policy(policy, answers_NV, np.ones(4, bool))
    assert np.array_equal(everybody.seen_NV, answers_NV)
    assert np.array_equal(everybody.turn_NK, (answers_NV[:, :-1] != NONE).astype(int))


def test_the_first_call_is_a_trace_and_votes_after_it_are_short() -> None:
    terms = terms_of(3, who=SHORT, objective="cheapest")
    policy = policy_of(terms)
    full = {voter.name: not voter.short for voter in SHORT}
    teacher = {voter.name: voter.teacher for voter in SHORT}
    random = np.random.default_rng(0)
    asked = []
    for label, _ in product((None, "c0", "c1", "c2"), range(40)):
        heard: dict[str, str | None] = {}
        while (name := policy.next(label, heard)) is not None:
            some = any(answer is not None for earlier, answer in heard.items() if full[earlier])
            assert full[name] is not some
            assert teacher[name] not in [teacher[earlier] for earlier in heard]
            heard[name] = None if random.random() < 0.2 else f"c{random.integers(0, 3)}"
        asked.append(len(heard))
    assert max(asked) > 1


@pytest.mark.parametrize("classes", [3, 0])
def test_lessons_wanted_are_reached_and_a_budget_is_kept(classes: int) -> None:
    def policy(**wanted: Any) -> Policy:
        return policy_of(terms_of(classes, 3, objective=Wanted(**wanted), total=1000))

    everything = policy(lessons=10**6)
    assert everything.accepts > 0.7
    for lessons in (100, 400, 0.9 * 1000 * everything.accepts):
        found = policy(lessons=int(lessons))
        assert int(lessons) <= found.accepts * 1000
        assert found.costs <= everything.costs
        both = policy(lessons=int(lessons), budget=1e9)
        assert both.accepts == found.accepts
    last = 0.0
    for budget in (0.0, 300.0, 1200.0, 1e9):
        found = policy(budget=budget)
        assert found.costs * 1000 <= budget
        assert found.accepts >= last
        last = found.accepts
    assert last == pytest.approx(everything.accepts)
    assert policy(lessons=10**6, budget=1200.0).costs * 1000 <= 1200


def test_what_no_answers_can_reach_asks_nobody() -> None:
    policy = policy_of(terms_of(3, 2, label=False, target=0.999999), skills=(0.5, 0.5))
    assert policy.next(None, {}) is None
    assert (policy.accepts, policy.costs) == (0, 0)


def test_a_policy_is_the_same_however_often_it_is_solved() -> None:
    one, other = (policy_of(terms_of(3, 3), gold=60) for _ in range(2))
    assert (one.worth, one.value, one.accepts, one.costs) == (other.worth, other.value, other.accepts, other.costs)
    for first, second in zip(one.levels, other.levels, strict=True):
        assert np.array_equal(first.code_N, second.code_N)
    assert policy_of(terms_of(3, 3)).choose(np.array([[NONE] * 4]), np.zeros((1, 3), bool)).tolist() == [STOP]
