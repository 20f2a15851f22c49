"""`label_match` and `cascade`: who is asked, what is accepted, and that a build, `decide` and `what_if` say the same."""

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cotforge.consensus import Consensus, decide, what_if
from cotforge.consensus.claim import lower_bound
from cotforge.consensus.simpler import RuleFigures, SimplerTrial
from cotforge.consensus.until_label import LabelPolicy
from tests.crowd import ACCURACIES, Crowd
from tests.project import files, ran, summary, table
from tests.test_whatif import CLASSES, PRICES, one, some, world

RUN = Path("runs/feelings")
NAMES = ("ann", "bob", "cyd")


# the policy


@settings(max_examples=100)
@given(
    st.permutations(NAMES),
    st.sampled_from([None, "awe", "joy"]),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([None, "awe", "joy", "fear"])),
)
def test_teachers_are_asked_in_the_order_until_one_says_the_label(order: list[str], label: str | None, said: dict[str, str | None]) -> None:
    policy, answers = LabelPolicy(tuple(order)), dict[str, str | None]()
    while (name := policy.next(label, answers)) is not None:
        assert name == order[len(answers)]
        assert label is not None
        assert label not in answers.values()
        answers[name] = said.get(name)
    found = label is not None and label in answers.values()
    assert policy.accepted(label, answers) == (label if found else None)
    assert found or len(answers) == (0 if label is None else len(order))


def test_one_who_cannot_be_asked_is_left_out() -> None:
    policy = LabelPolicy(NAMES)
    assert policy.next("awe", {}, without={"ann"}) == "bob"
    assert policy.next("awe", {"ann": "joy"}, without={"bob"}) == "cyd"
    assert policy.next("awe", {}, without=set(NAMES)) is None


# over a table


@pytest.mark.parametrize("rule", ["label_match", "cascade"])
def test_a_decision_is_the_row_of_what_if(rule: str) -> None:
    answers, labels, truth = world()
    gold = some(truth, 100)
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels, "prices": PRICES, "gold": gold}
    decided, row = decide(answers, rule=rule, **told), one(what_if(answers, targets=[0.9], **told), rule=rule)
    accepted = decided.frame.filter("accepted")
    assert (row["accepted"], row["calls"], row["cost"]) == (len(accepted), decided.frame["calls"].sum(), decided.cost)
    assert (row["precision"], row["low"], row["checked"]) == (decided.claim.precision, decided.claim.low, decided.claim.checked)
    plain = accepted.filter(~pl.col("id").is_in(list(gold)))
    assert all(answer == labels[id] for id, answer in plain.select("id", "answer").rows())
    order = ["dear"] if rule == "label_match" else ["cheap", "middle", "dear"]
    assert all(asked == order[: len(asked)] for asked in decided.frame["asked"].to_list())


def test_an_order_that_is_told_is_kept() -> None:
    answers, labels, _ = world(60)
    told: dict[str, Any] = {"classes": CLASSES, "labels": labels}
    assert set(decide(answers, rule="label_match", order=["middle"], **told).frame["asked"].explode()) == {"middle"}
    asked = decide(answers, rule="cascade", order=["dear", "cheap"], **told).frame["asked"].to_list()
    assert Counter(map(tuple, asked)).keys() == {("dear",), ("dear", "cheap")}


def test_without_a_label_nobody_is_asked() -> None:
    answers, labels, _ = world(60)
    some_labels = {id: label if int(id[1:]) % 2 else None for id, label in labels.items()}
    decided = decide(answers, classes=CLASSES, labels=some_labels, rule="cascade")
    calls = dict(decided.frame.select("id", "calls").rows())
    assert {id for id, count in calls.items() if not count} == {id for id, label in some_labels.items() if label is None}


# from end to end


def build(crowd: Crowd, **sections: Any) -> dict[str, Any]:
    with crowd.servers() as servers:
        crowd.pipeline(servers, **sections)
        ended = ran("build", "pipeline.yaml", cwd=crowd.folder)
    assert ended.returncode == 0, ended.stderr
    return summary(crowd.folder / RUN)


@pytest.mark.parametrize(
    ("consensus", "order"),
    [
        ({"rule": "label_match"}, ["ann"]),
        ({"rule": "label_match", "order": ["cyd"]}, ["cyd"]),
        ({"rule": "cascade"}, list(ACCURACIES)),
        ({"rule": "cascade", "order": ["dee", "ann"]}, ["dee", "ann"]),
        ({"rule": "cascade", "max_calls": 2}, ["ann", "bob"]),
    ],
)
def test_a_build_asks_in_turn_until_one_says_the_label(tmp_path: Path, consensus: dict[str, Any], order: list[str]) -> None:
    crowd = Crowd.of(tmp_path / "it", 60, unlabelled=0.1)
    told = build(crowd, consensus=consensus)
    labels = {row["id"]: row.get("label") for row in map(yaml.safe_load, (crowd.folder / "rows.jsonl").read_text().splitlines())}
    for id, label in labels.items():
        asked = [name for name in ACCURACIES if crowd.asked[name, id, False]]
        wanted = []
        for name in order if label else []:
            wanted.append(name)
            if crowd.answer(name, id) == label and told["teachers"][name]["failed"] == 0:
                break
        assert set(asked) <= set(order)
        assert set(asked) == set(wanted) or any(told["teachers"][name]["failed"] for name in order)
    assert set(crowd.asked.values()) == {1}
    assert told["label_conflicts"] == 0
    assert {row["answer"] for row in table(crowd.folder / RUN, "data")} <= set(labels.values())
    assert told["rejected"].keys() <= {"vote:label_missing", "vote:label_gate", "vote:no_ballots", "vote:no_replies"}
    before = files(crowd.folder / RUN / "dataset")
    ended = ran("build", "pipeline.yaml", cwd=crowd.folder)
    assert ended.returncode == 0
    assert summary(crowd.folder / RUN)["calls"] == 0, "a second build asks nothing"
    assert ran("curate", RUN, cwd=crowd.folder).returncode == 0
    assert files(crowd.folder / RUN / "dataset") == before


def test_what_people_checked_is_counted_once_however_often_it_is_built(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 60)
    crowd.gold(sorted(crowd.truth)[:40])
    claims = []
    with crowd.servers() as servers:
        crowd.pipeline(servers, consensus={"rule": "cascade"}, gold="gold.csv")
        for words in (["build", "pipeline.yaml"], ["build", "pipeline.yaml"], ["curate", RUN]):
            assert ran(*words, cwd=crowd.folder).returncode == 0
            claims.append(summary(crowd.folder / RUN)["claim"])
    assert 20 <= claims[0]["checked"] <= claims[0]["gold"] == 40
    assert claims[1:] == claims[:1] * 2


def test_an_order_names_teachers_of_the_file_and_each_once(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 5)
    for order, fault in (
        (["ann", "eve"], "consensus.order: no teacher named 'eve'"),
        (["ann", "ann"], "consensus.order: 'ann' stands twice"),
        ([], "consensus.order"),
    ):
        with crowd.servers() as servers:
            crowd.pipeline(servers, consensus={"rule": "cascade", "order": order})
        ended = ran("check", "pipeline.yaml", cwd=crowd.folder)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert fault in ended.stderr


def test_an_order_has_no_short_votes() -> None:
    with pytest.raises(ValueError, match="order: there is none for short votes"):
        Consensus(rule="sequential", votes="short", order=("ann",))


# the trial of simpler rules


def counted(rows: list[tuple[str | None, dict[str, str | None], str | None]]) -> SimplerTrial:
    """(label, answers, true answer where checked) of each Sample."""
    trial = SimplerTrial(NAMES)
    for label, said, true in rows:
        trial.add(label, said.items(), true=true, checked=true is not None)
    for name, price in zip(NAMES, (3.0, 1.0, 2.0), strict=True):
        trial.spent(name, price)
    return trial


def test_a_trial_finds_what_each_order_would_have_asked_and_accepted() -> None:
    trial = counted(
        [
            ("awe", {"ann": "awe", "bob": "joy", "cyd": "awe"}, "awe"),
            ("awe", {"ann": "joy", "bob": "joy", "cyd": None}, "joy"),
            ("joy", {"ann": "awe", "bob": "joy", "cyd": "awe"}, None),
            (None, {"ann": "awe", "bob": "awe", "cyd": "awe"}, "awe"),
        ]
    )
    assert trial.orders() == [("ann",), ("bob",), ("cyd",), ("bob", "cyd", "ann")]
    assert trial.figures(("ann",)) == RuleFigures(0.25, 3.0, 9.0, 1, 1)
    assert trial.figures(("bob", "cyd", "ann")) == RuleFigures(0.5, 3.0, (1 + 3 + 6) / 2, 1, 1)


def test_a_simpler_rule_is_named_only_where_it_is_in_nothing_worse() -> None:
    rows: list[tuple[str | None, dict[str, str | None], str | None]] = [
        ("awe", {"ann": "awe", "bob": "awe", "cyd": "joy"}, "awe" if place < 60 else None) for place in range(100)
    ]
    trial = counted(rows)
    worse = RuleFigures(0.9, 1.6, 4.0, 57, 60)
    best = trial.best(worse)
    assert best is not None
    assert (best.rule, best.order) == ("label_match", ("bob",))
    assert best.figures.low == lower_bound(60, 60) > worse.low
    assert trial.best(RuleFigures(1.0, 0.9, 4.0, 57, 60)) is None, "as few calls are asked by no other"
    assert trial.best(RuleFigures(0.9, 1.6, 0.5, 57, 60)) is None, "nor are they cheaper"
    assert counted(rows[:1]).best(worse) is None, "one checked Sample is no ground"


def test_a_run_says_that_a_simpler_rule_asks_less_and_what_if_names_it_with_the_line_that_sets_it(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 120, wrong=0.03)
    crowd.gold(sorted(crowd.truth)[:60])
    with crowd.servers({"ann": 0.99, "bob": 0.7, "cyd": 0.6}) as servers:
        crowd.pipeline(servers, consensus={"rule": "unanimous"}, gold="gold.csv")
        built = ran("build", "pipeline.yaml", cwd=crowd.folder)
    assert built.returncode == 0, built.stderr
    (line,) = [line for line in built.stdout.splitlines() if "a simpler rule" in line]
    assert "consensus: {" not in built.stdout, "one place names a rule"
    words = shlex.split(line.partition(": ")[2].partition(" compares")[0])
    told = ran(*words[1:], cwd=crowd.folder)
    assert (words[0], told.returncode) == ("cotforge", 0), told.stderr
    assert "after it" not in told.stdout, "nothing is asked after the vote"
    (setting,) = re.findall(r"recommended: label_match, .*; in the pipeline file: consensus: (.*)", told.stdout)
    assert yaml.safe_load(setting)["order"] == ["ann"]
    accepted = summary(crowd.folder / RUN)["accepted"]
    lacking = ran("curate", RUN, "--set", "teachers.2.samples=2", cwd=crowd.folder)
    assert "calls are not asked yet" in lacking.stdout
    assert "a simpler rule" not in lacking.stdout, "the figures of a rule that lacks replies are not its own"
    curated = ran("curate", RUN, "--set", f"consensus={setting}", cwd=crowd.folder)
    assert curated.returncode == 0, curated.stderr
    assert summary(crowd.folder / RUN)["accepted"] > accepted
    assert "a simpler rule" not in curated.stdout


def test_a_run_without_enough_gold_names_no_other_rule(tmp_path: Path) -> None:
    crowd = Crowd.of(tmp_path / "it", 60, wrong=0.03)
    with crowd.servers({"ann": 0.99, "bob": 0.7, "cyd": 0.6}) as servers:
        crowd.pipeline(servers, consensus={"rule": "unanimous"})
        built = ran("build", "pipeline.yaml", cwd=crowd.folder)
    assert "a simpler rule" not in built.stdout
