"""Which samples, and which of their usable traces, become Lessons."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotforge.consensus.decider import spread_shares
from cotforge.records import Ballot, Trace, Verdict
from cotforge.selection import ClassCap, DifficultyRange, Select, is_within_cap, shingle_overlap, teachers_pass_rate
from tests.project import LABELS, files, ran, said, summary, table
from tests.test_curate import again, build, fates, whole


def trace(words: int, call: str = "k", teacher: str = "a") -> Trace:
    return Trace(call, teacher, "m", 0, " ".join(["word"] * words), "awe")


def text(call: str, words: str, teacher: str = "a") -> Trace:
    return Trace(call, teacher, "m", 0, words, "awe")


def calls(traces: list[Trace]) -> list[str]:
    return [one.call for one in traces]


# which texts of a sample


def test_the_trace_of_median_length_is_chosen_then_the_lowest_key() -> None:
    traces = [trace(10, "d"), trace(2, "b"), trace(5, "c"), trace(90, "a")]
    assert calls(Select().choose(traces[:3])) == ["c"]
    assert calls(Select().choose(traces)) == ["c"]
    assert calls(Select().choose([trace(5, "z"), trace(5, "y"), trace(1, "a"), trace(9, "b")])) == ["y"]
    assert calls(Select(per_sample=3).choose(traces)) == ["c", "d", "b"]
    assert Select().choose([]) == []
    with pytest.raises(ValidationError):
        Select(per_sample=0)


def test_the_longest_or_the_shortest_texts_are_taken_where_that_is_wanted() -> None:
    traces = [trace(10, "d"), trace(2, "b"), trace(90, "z"), trace(90, "a")]
    assert calls(Select(length="longest", per_sample=3).choose(traces)) == ["a", "z", "d"]
    assert calls(Select(length="shortest", per_sample=2).choose(traces)) == ["b", "d"]


def test_a_second_lesson_is_the_text_that_shares_least_with_the_first() -> None:
    first = "the sky is wide and very bright over the quiet lake"
    traces = [
        text("k1", first),
        text("k2", first + " today"),
        text("k3", "a dog runs along the beach in the morning sun"),
        text("k4", first),
    ]
    assert calls(Select(per_sample=2, length="shortest", diverse=True).choose(traces)) == ["k3", "k1"]  # ten words against eleven
    assert calls(Select(per_sample=2, length="longest", diverse=True).choose(traces)) == ["k2", "k3"]
    assert calls(Select(per_sample=2, length="longest").choose(traces)) == ["k2", "k1"]
    with pytest.raises(ValidationError, match="has no effect with per_sample: 1"):
        Select(diverse=True)


def test_the_overlap_of_texts_is_that_of_their_phrases() -> None:
    assert shingle_overlap("It is wide and bright", "it IS wide and bright") == 1
    assert shingle_overlap("it is wide and bright", "it is wide and dark") == 0.5
    assert shingle_overlap("it is wide", "a dog runs") == 0
    assert shingle_overlap("", "") == shingle_overlap("wide", "wide") == 1
    assert shingle_overlap("wide", "") == 0


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abc")), max_size=8),
    st.sampled_from(["middle", "longest", "shortest"]),
    st.sampled_from(["any", "balanced"]),
    st.booleans(),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_the_choice_does_not_depend_on_the_order_of_the_traces(
    given: list[tuple[int, str]], length: Any, teachers: Any, diverse: bool, wanted: int, rng: Any
) -> None:
    select = Select(per_sample=wanted, length=length, teachers=teachers, diverse=diverse)
    traces = [trace(words, f"key{place}", teacher) for place, (words, teacher) in enumerate(given)]
    chosen = select.choose(traces, "s1")
    assert len({one.call for one in chosen}) == min(wanted, len(traces))
    assert chosen == select.choose(rng.sample(traces, len(traces)), "s1")
    if teachers == "balanced":
        counts = Counter(one.teacher for one in chosen)
        there = Counter(one.teacher for one in traces)
        assert all(counts[name] >= min(there[name], max(counts.values()) - 1) for name in there), "nobody is passed over"


def test_balanced_teachers_give_equally_many_lessons_whatever_their_lengths() -> None:
    three = [trace(5, "x", "short"), trace(50, "y", "medium"), trace(500, "z", "long")]
    for_all = Counter(Select(teachers="balanced").choose(three, f"s{number}")[0].teacher for number in range(3000))
    assert min(for_all.values()) > 900
    assert Counter(Select().choose(three, f"s{number}")[0].teacher for number in range(9)) == {"medium": 9}
    own = [*three[:2], trace(7, "w", "short")]  # a teacher with two texts is not drawn more often
    assert 450 < sum(Select(teachers="balanced").choose(own, f"s{number}")[0].teacher == "short" for number in range(1000)) < 550


# which samples


@given(
    st.dictionaries(st.text(min_size=1, max_size=6), st.sampled_from("abc"), max_size=40),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_a_cap_takes_the_same_samples_in_any_order_and_a_larger_source_keeps_most_of_them(
    answers: dict[str, str], most: int, rng: Any
) -> None:
    def taken(ids: list[str]) -> set[str]:
        cap = ClassCap(most)
        for id in ids:
            cap.add(answers[id], id)
        return {id for id in ids if is_within_cap(answers[id], id, cap.bounds())}

    ids = list(answers)
    found = taken(ids)
    there, kept = Counter(answers.values()), Counter(answers[id] for id in found)
    assert kept == {answer: min(count, most) for answer, count in there.items()}
    assert taken(rng.sample(ids, len(ids))) == found
    half = ids[: len(ids) // 2]
    assert found.intersection(half) <= taken(half), "more samples push some out, and bring no old one in"


def test_lessons_are_capped_per_accepted_answer_and_who_is_left_out_is_counted_and_listed(tmp_path: Path) -> None:
    answers = "awe awe awe awe fear fear sadness awe"
    run = build(tmp_path, {"one": whole(answers), "two": whole(answers)}, consensus={"label": "ignore"})
    before = files(run / "dataset")
    found = again(tmp_path, "select.per_class=2")
    rows = table(run, "data")
    assert Counter(row["answer"] for row in rows) == {"awe": 2, "fear": 2, "sadness": 1}
    assert (found["accepted"], found["rejected"]) == (5, {"select:per_class": 3})
    left_out = {f"row-{number}" for number in range(8)} - {row["id"] for row in rows}
    losses = [(row["id"], row["stage"], row["reason"], row["detail"]) for row in table(run, "losses")]
    assert losses == [
        (id, "select", "per_class", f"rows.jsonl:{int(id[4:]) + 1}: select.per_class takes other samples with this answer")
        for id in sorted(left_out)
    ]
    assert all(set(fates(run, id).values()) == {"surplus"} for id in left_out)
    told = ran("curate", run, "--set", "select.per_class=2", cwd=tmp_path).stdout
    assert "3 left out by select.per_class, which takes other samples of their class (select:per_class)" in told
    assert again(tmp_path)["accepted"] == 8
    assert files(run / "dataset") == before


# difficulty


def test_the_teachers_pass_rate_is_the_share_of_their_votes_for_the_accepted_answer() -> None:
    ballots = (Ballot("a", "awe"), Ballot("b", "awe"), Ballot("c", "fear"), Ballot("d", "awe"))
    assert teachers_pass_rate(Verdict("awe", 0.75, True, ballots=ballots)) == 0.75
    assert teachers_pass_rate(Verdict("awe", 0.75, False, "below_target", ballots)) is None
    assert teachers_pass_rate(Verdict("awe", 1.0, True)) is None
    band = DifficultyRange.model_validate({"from": "teachers", "max": 0.75})
    assert band.takes(Verdict("awe", 0.75, True, ballots=ballots), student_rate=1.0)
    assert not band.takes(Verdict("awe", 1.0, True, ballots=ballots[:2]), student_rate=0.0)


def test_samples_on_which_all_teachers_agree_are_left_out_without_any_student(tmp_path: Path) -> None:
    three = {"one": whole("awe awe fear"), "two": whole("awe fear fear"), "six": whole("awe awe awe")}
    run = build(tmp_path, three, consensus={"label": "ignore"}, select={"difficulty": {"from": "teachers", "max": 0.9}})
    assert {row["id"] for row in table(run, "data")} == {"row-1", "row-2"}
    found = summary(run)
    assert found["rejected"] == {"select:difficulty": 1}
    assert "unrated" not in found
    assert "from: teachers" in (run / "pipeline.yaml").read_text()


# soft labels


@pytest.mark.parametrize(
    ("shares", "whole_set"),
    [
        ({"awe": 0.7, "fear": 0.1}, {"amusement": 0.1, "awe": 0.7, "fear": 0.1, "sadness": 0.1}),
        ({"awe": 0.75, "fear": 0.25}, {"awe": 0.75, "fear": 0.25}),
        ({}, {}),
    ],
)
def test_what_is_missing_to_one_lies_on_the_options_that_nobody_named(shares: dict[str, float], whole_set: dict[str, float]) -> None:
    spread = dict(spread_shares(shares, LABELS))
    assert spread == pytest.approx(whole_set)
    assert spread_shares(shares, ()) == ()


def test_lessons_have_a_soft_label_where_it_is_asked_for_and_today_s_columns_elsewhere(tmp_path: Path) -> None:
    right = [LABELS[number % 4] for number in range(24)]
    three = {
        name: whole(" ".join("awe" if number % every == 0 else answer for number, answer in enumerate(right)))
        for name, every in (("one", 99), ("two", 5), ("six", 3))
    }
    run = build(tmp_path, three)
    plain = files(run / "dataset")
    for rule, label in (("majority", "vote"), ("weighted", "vote"), ("dawid_skene", "ignore"), ("sequential", "vote")):
        again(tmp_path, f"consensus.rule={rule}", f"consensus.label={label}", "consensus.soft_labels=true")
        rows = load_dataset(str(run / "dataset"), split="train", cache_dir=str(tmp_path / rule)).to_list()
        assert len(rows) > 10
        for row in rows:
            soft = {each["answer"]: each["probability"] for each in row["soft_label"]}
            assert list(soft) == [label for label in LABELS if label in soft], "in the file's order"
            assert sum(soft.values()) == pytest.approx(1)
            assert soft[row["answer"]] == pytest.approx(row["confidence"], abs=1e-9)
            assert soft[row["answer"]] == max(soft.values())
    card = (run / "dataset" / "README.md").read_text()
    assert "name: soft_label" in card
    again(tmp_path, "consensus.rule=label_match", "consensus.soft_labels=true")
    assert {row["soft_label"] for row in table(run, "data")} == {None}
    again(tmp_path)
    assert files(run / "dataset") == plain


def test_an_answer_that_people_checked_has_all_the_probability(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("id,answer\nrow-0,fear\n")
    replies = {"one": {"row-0": said("fear")}, "two": {"row-0": said("awe")}}
    run = build(tmp_path, replies, gold="gold.csv", consensus={"soft_labels": True})
    (row,) = table(run, "data")
    assert row["soft_label"] == [{"answer": "fear", "probability": 1.0}]


def test_a_free_answer_has_no_soft_label(tmp_path: Path) -> None:
    answers = {"row-0": "<think>Counting them all.</think><answer>12</answer>"}
    task = {"kind": "answer", "question": "How many?", "verifier": "exact"}
    run = build(tmp_path, {"one": answers, "two": answers}, task=task, consensus={"label": "ignore", "soft_labels": True})
    (row,) = table(run, "data")
    assert row["soft_label"] is None
