"""What `decide` gives for a table of answers, whatever the table looks like, and what it says of one that cannot be used."""

from typing import Any

import polars as pl
import pytest

pytest.importorskip("scipy", reason="benchmarks need the extra 'dev'")

from benchmarks.consensus.worlds import Inputs
from cotforge.consensus import RULES, AnswersError, Heard, Setting, decide, rule_named, what_if
from cotforge.consensus.sequential import Terms, Voter
from cotforge.records import Sample
from tests.voting import COLUMNS, given, precision, same, sound, sure_of, vote

PLAIN = [rule.name for rule in RULES if not rule.in_turn]


@pytest.fixture(scope="module")
def world() -> Inputs:
    return given(600, classes=3)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("gold", [0, 60])
def test_every_id_has_one_row_in_the_order_in_which_it_was_first_met(world: Inputs, labels: bool, gold: int) -> None:
    decided = vote(world, labels=labels, gold=sure_of(world, gold), prices=world.prices)
    sound(decided, world.frame, world.labels if labels else None)
    assert dict(decided.frame.schema) == COLUMNS
    assert dict(decided.teachers.schema) == {"teacher": pl.String, "calls": pl.Int64, "accuracy": pl.Float64, "twin_of": pl.String}
    asked = dict(decided.teachers.select("teacher", "calls").rows())
    assert decided.cost == pytest.approx(sum(calls * world.prices[name] for name, calls in asked.items()))
    assert (0.6 if labels else 0.05) < decided.frame["accepted"].mean() < 1
    assert decided.teachers["accuracy"].is_between(0.4, 0.95).all()


def test_a_frame_of_pandas_and_ids_that_are_numbers_decide_the_same(world: Inputs) -> None:
    pandas = pytest.importorskip("pandas")
    plain = vote(world)
    same(plain, decide(pandas.DataFrame(world.frame.to_dict(as_series=False)), classes=world.classes, labels=world.labels))
    number = {id: int(id[1:]) for id in world.truth}
    numbered = world.frame.with_columns(id=pl.col("id").replace_strict(number))
    labels = {number[id]: label for id, label in world.labels.items()}
    gold = {number[id]: true for id, true in sure_of(world, 30).items()}
    decided = decide(numbered, classes=world.classes, labels=labels, gold=gold)
    sound(decided, numbered, labels)
    assert decided.frame["id"].dtype == pl.Int64
    assert decided.claim.calibrated
    assert decided.frame.filter(pl.col("id").is_in(list(gold)))["accepted"].sum() > 20


def test_teachers_that_said_nothing_readable_or_nothing_at_all_are_worked_around(world: Inputs) -> None:
    gaps = world.frame.with_columns(answer=pl.when(pl.int_range(pl.len()) % 7 != 0).then("answer")).gather_every(2)
    labels = {id: None if place % 3 else label for place, (id, label) in enumerate(world.labels.items())}
    decided = decide(gaps, classes=world.classes, labels=labels)
    sound(decided, gaps, labels)
    assert decided.frame["accepted"].any()


def test_answers_outside_the_classes_are_as_if_unreadable(world: Inputs) -> None:
    strange = pl.when(pl.int_range(pl.len()) % 5 == 0)
    other = world.frame.with_columns(answer=strange.then(pl.lit("nonsense")).otherwise("answer"))
    unread = world.frame.with_columns(answer=strange.then(None).otherwise("answer"))
    outside = {id: "nonsense" if place % 4 == 0 else label for place, (id, label) in enumerate(world.labels.items())}
    none = {id: None if label == "nonsense" else label for id, label in outside.items()}
    decided = [
        decide(frame, classes=world.classes, labels=labels).frame.drop("against_label")
        for frame, labels in ((other, outside), (unread, none))
    ]
    assert decided[0].equals(decided[1])
    assert "nonsense" not in decided[0]["answer"].to_list()


def test_only_the_first_answer_of_a_teacher_is_a_vote_where_it_is_asked_once() -> None:
    twice = given(500, classes=3, samples=2)
    firsts = twice.frame.unique(["id", "teacher"], keep="first", maintain_order=True)
    for classes in (twice.classes, None):
        options: dict[str, Any] = {"classes": classes, "labels": twice.labels}
        same(decide(twice.frame, **options), decide(firsts, **options))
    later = pl.concat([firsts, firsts.with_columns(answer=pl.lit("never met"))])
    same(decide(later, labels=twice.labels), decide(firsts, labels=twice.labels))


def test_all_answers_of_a_teacher_are_asked_for_where_everybody_is() -> None:
    twice = given(200, classes=3, samples=2)
    decided = vote(twice, rule="majority", prices=twice.prices)
    assert decided.frame["calls"].to_list() == [6] * 200
    assert decided.frame["asked"].to_list() == [["t1", "t2", "t3"]] * 200
    assert decided.teachers["calls"].to_list() == [400] * 3
    assert decided.cost == 400 * (1 + 2 + 3)


def test_classes_are_found_where_labels_gold_and_the_warm_up_show_few(world: Inputs) -> None:
    same(vote(world), vote(world, classes=None))
    same(vote(world, gold=sure_of(world, 30), labels=False), vote(world, gold=sure_of(world, 30), labels=False, classes=None))


def test_labels_and_gold_of_ids_that_are_not_there_say_nothing(world: Inputs) -> None:
    gold, more = sure_of(world, 40), {"nobody": "c0", "nothing": "c1"}
    same(vote(world, gold=gold), decide(world.frame, classes=world.classes, labels=world.labels | more, gold=gold | more))
    same(vote(world, classes=None), decide(world.frame, labels=world.labels | {"nobody": "c9"}, gold={"nobody": "c8"}))


@pytest.mark.parametrize(("labels", "target"), [(True, 0.9), (False, 0.6)])
def test_a_single_teacher_is_believed_alone(labels: bool, target: float) -> None:
    alone = given(600, classes=3, accuracies=[0.9])
    decided = vote(alone, labels=labels, target=target)
    sound(decided, alone.frame, alone.labels if labels else None)
    assert precision(decided, alone.truth) >= target
    assert decided.frame["accepted"].mean() > 0.5


def test_two_voters_must_say_what_nobody_checked(world: Inputs) -> None:
    votes: dict[tuple[str, str], str] = {(id, teacher): answer for id, teacher, answer in world.frame.iter_rows()}
    for labels in (True, False):
        for id, answer, _, accepted, _, asked, _ in vote(world, labels=labels).frame.iter_rows():
            says = [votes[id, teacher] == answer for teacher in asked] + [labels and world.labels[id] == answer]
            assert not accepted or sum(says) >= 2


def test_gold_is_believed_where_somebody_says_it_and_never_accepted_otherwise(world: Inputs) -> None:
    gold = sure_of(world, 80)
    wrong = {id: answer if place % 2 else "c0" for place, (id, answer) in enumerate(gold.items())}
    rows = {row["id"]: row for row in vote(world, gold=wrong).frame.to_dicts()}
    said = world.frame.group_by("id").agg("answer")
    for id, answers in said.filter(pl.col("id").is_in(list(wrong))).rows():
        row = rows[id]
        assert row["asked"] == ["t1", "t2", "t3"]
        assert row["accepted"] == (wrong[id] in answers)
        assert not row["accepted"] or (row["answer"], row["confidence"]) == (wrong[id], 1)


def test_teachers_are_asked_in_the_order_that_is_told(world: Inputs) -> None:
    asked = vote(world, objective="cheapest", prices={"t1": 3, "t2": 2, "t3": 1}).frame["asked"].to_list()
    assert ["t1", "t2", "t3"] in asked
    assert [names for names in asked if names[0] == "t3"]


@pytest.mark.parametrize("objective", ["balanced", "cheapest", {"lessons": 200}, {"budget": 2000.0}, {"lessons": 100, "budget": 1e6}])
def test_any_objective_asks_no_more_than_there_is(world: Inputs, objective: Any) -> None:
    decided = vote(world, objective=objective, prices=world.prices)
    sound(decided, world.frame, world.labels)
    assert decided.frame["calls"].max() <= 3


def test_a_teacher_that_costs_nothing_is_asked_first(world: Inputs) -> None:
    decided = vote(world, objective="cheapest", prices={"t1": 0, "t2": 0, "t3": 0})
    assert decided.cost == 0
    assert decided.frame["accepted"].mean() > 0.3
    decided = vote(world, objective="cheapest", prices={"t1": 1, "t2": 0, "t3": 1})
    firsts = {asked[0] for asked in decided.frame["asked"].to_list() if asked not in ([], ["t1", "t2", "t3"])}
    assert firsts == {"t2"}
    assert decided.frame["accepted"].mean() > 0.3


@pytest.mark.parametrize("rule", PLAIN)
@pytest.mark.parametrize("labelled", [True, False])
def test_rules_that_ask_everybody_agree_with_a_run_sample_by_sample(rule: str, labelled: bool) -> None:
    world = given(120, classes=12, samples=2, accuracies=(0.5, 0.6, 0.9))
    frame = world.frame.with_columns(answer=pl.when(pl.int_range(pl.len()) % 6 != 0).then("answer"))
    decided = decide(frame, classes=world.classes, labels=world.labels if labelled else None, rule=rule, target=0.8)
    voters, labels = tuple(Voter(name) for name in ("t1", "t2", "t3")), world.labels if labelled else {}
    options = tuple(world.classes or ())
    by = rule_named(rule)
    rows = by.rows(Setting(Terms(voters, options, 0.8, label=labelled), "vote" if labelled else "ignore"))
    heard: dict[str, list[Heard]] = {id: [] for id in world.truth}
    for id, teacher, answer in frame.iter_rows():
        heard[id].append(Heard(teacher, answer))
    samples = {id: Sample(id, (), "", options, labels.get(id)) for id in heard}
    for id, sample in samples.items():
        rows.add(sample, heard[id])
    decider = by.learn(rows)
    for id, answer, confidence, accepted, *_ in decided.frame.iter_rows():
        verdict, lacking = decider.verdict(samples[id], heard[id])
        assert (answer, accepted, lacking) == (verdict.answer if verdict.accepted else None, verdict.accepted, frozenset())
        assert confidence == pytest.approx(verdict.confidence, abs=1e-6)


@pytest.mark.parametrize("rule", PLAIN)
def test_gold_is_believed_and_the_claim_is_what_the_rule_says_without_it(world: Inputs, rule: str) -> None:
    gold = sure_of(world, 150)
    checked, plain = vote(world, rule=rule, gold=gold), vote(world, rule=rule)
    others = ~pl.col("id").is_in(list(gold))
    assert checked.frame.filter(others).equals(plain.frame.filter(others)), "what people found teaches the rule nothing"
    assert not plain.claim.calibrated
    assert plain.claim.low is None
    believed = dict(checked.frame.filter(pl.col("accepted") & ~others).select("id", "answer").rows())
    said = {id: set(answers) for id, answers in world.frame.group_by("id").agg("answer").rows()}
    assert believed == {id: true for id, true in gold.items() if true in said[id]}
    accepted = plain.frame.filter(pl.col("accepted") & ~others)
    right = sum(gold[id] == answer for id, answer in accepted.select("id", "answer").rows())
    assert (checked.claim.calibrated, checked.claim.right, checked.claim.checked) == (True, right, len(accepted))
    assert checked.claim.low is not None
    assert checked.claim.low < right / len(accepted)


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_what_people_cannot_tell_is_not_accepted(world: Inputs, rule: str) -> None:
    untold = dict.fromkeys(list(world.truth)[:10])
    frame = vote(world, rule=rule, gold=sure_of(world, 60) | untold).frame
    assert not frame.filter(pl.col("id").is_in(list(untold)))["accepted"].any()


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_the_label_gates_under_every_rule_but_not_what_people_found(world: Inputs, rule: str) -> None:
    gold = sure_of(world, 150)
    frame = vote(world, rule=rule, gold=gold, label="gate").frame
    against = set(frame.filter("against_label")["id"])
    assert against
    assert against <= set(gold)
    assert frame.filter(~pl.col("id").is_in(list(gold)))["accepted"].any()


GOOD = pl.DataFrame({"id": ["x", "y"], "teacher": ["a", "b"], "answer": ["awe", "joy"]})


@pytest.mark.parametrize(
    ("answers", "options", "fault"),
    [
        (GOOD.drop("answer"), {}, "answers: no column answer; "),
        (GOOD.head(0), {}, "answers: there is no row in it; "),
        ([("x", "a", "awe")], {}, "answers: no column id, teacher, answer; "),
        (GOOD.with_columns(teacher=pl.lit(None)), {}, "answers: 2 rows without teacher; "),
        (GOOD.with_columns(id=pl.lit(None, pl.String)), {}, "answers: 2 rows without id; "),
        (GOOD, {"label": "rules"}, "label: 'rules' is none; vote, gate or ignore"),
        (GOOD, {"rule": "wisest"}, "rule: 'wisest' is none; majority, unanimous, weighted, dawid_skene, sequential"),
        (GOOD, {"target": 1.0}, "target: 1.0; a probability between 0 and 1"),
        (GOOD, {"target": 0.4, "rule": "majority"}, "target: 0.4; a probability between 0.5 and 1"),
        (GOOD, {"classes": ["awe", "awe"]}, "classes: 1 of them; at least two"),
        (GOOD, {"prices": {"a": -1}}, "prices: 'a' costs -1; "),
        (GOOD, {"prices": {"a": float("nan")}}, "prices: 'a' costs nan; "),
        (GOOD, {"prices": {"a": float("inf")}}, "prices: 'a' costs inf; "),
        (GOOD, {"objective": "fastest"}, "objective: 'fastest' is none; "),
        (GOOD, {"objective": {"lesons": 3}}, "objective: ['lesons'] in it; "),
        (GOOD, {"objective": {}}, "objective: nothing in it; "),
        (GOOD, {"classes": ["awe", "joy"], "gold": {"x": "fear"}}, "gold: 'fear' is none of the classes; "),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(answers: Any, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(AnswersError) as caught:
        decide(answers, **options)
    assert isinstance(caught.value, ValueError)
    assert len(caught.value.faults) == 1
    assert str(caught.value).startswith(fault)
    assert "\n" not in str(caught.value)


def test_traces_of_a_run_that_followed_the_vote_are_refused_and_blind_ones_with_their_origin_are_votes() -> None:
    blind = GOOD.with_columns(origin=pl.Series(["solve", "vote"]))
    woven = blind[:1].with_columns(origin=pl.lit("woven"))
    for frame in (lambda table: table, lambda table: table.to_pandas()):
        assert decide(frame(blind), rule="majority").frame.equals(decide(GOOD, rule="majority").frame)
        assert len(what_if(frame(blind), targets=[0.9])) > 1
        for refusing in (decide, what_if):
            fault = r"^answers: 1 of 3 rows followed the vote \(origin woven\) and are no votes; give the others alone: answers.filter"
            with pytest.raises(AnswersError, match=fault):
                refusing(frame(pl.concat([blind, woven])))
        other = frame(GOOD.with_columns(origin=pl.lit("Paris")))
        assert decide(other, rule="majority").frame.height == 2, "a column of the user's own says nothing"


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(AnswersError) as caught:
        decide(GOOD.drop("id"), rule="best", target=2, classes=["a"], prices={"a": -1, "b": -2})
    assert len(caught.value.faults) == 6
