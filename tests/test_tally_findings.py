"""Rates of teachers, marks of judges, and what is told of those that tell nothing."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cotforge.findings import Finding
from cotforge.followups.judge_marks import Dimension
from cotforge.records import CuratedSample, Judged, Lesson, Trace
from cotforge.tally.compared_marks import PeopleMarks
from cotforge.tally.finding_rows import check_lines, finding_lines, mark_rows, rate_tables, writer_marks
from cotforge.tally.findings import FindingTally
from tests.outcomes import judged, lesson, trace

RUBRIC = (Dimension(name="evidence"), Dimension(name="clarity"))


def found(number: int, *findings: Finding, replies: Sequence[str] = (), skipped: "tuple[str, ...]" = ()) -> CuratedSample:
    """A Sample with a Lesson by t0, findings, and replies of these judges."""
    checks = tuple(Judged(replace(trace(1_000 + number, judge, None), origin="judge"), "check") for judge in replies)
    made = lesson(number)
    return replace(made, traces=(*made.traces, *checks), findings=findings, skipped=skipped)


def mark(number: int, by: str, value: float, dimension: str = "evidence") -> Finding:
    return Finding("judge", "t0", by, value, dimension, trace(number, "t0").call)


def probe(number: int, value: float, detail: str = "blank", of: Trace | None = None) -> Finding:
    return Finding("probe", "t0", "t0", value, detail, (of or trace(number, "t0")).call)


def tally(outcomes: Sequence[CuratedSample], people: PeopleMarks | None = None) -> FindingTally:
    made = FindingTally(RUBRIC, people)
    assert list(made.watch(outcomes)) == list(outcomes)
    return made


def test_without_follow_ups_nothing_is_told() -> None:
    made = tally([lesson(1)])
    assert (made.summary(), made.warnings()) == ({}, [])


def test_a_rate_per_teacher_stands_beside_what_guessing_would_give() -> None:
    other = judged(trace(9, "t0", "fear"), "wrong")
    more = replace(lesson(9), traces=(other,))
    made = tally([found(1, probe(1, 1), probe(1, 0, "swap")), found(2, probe(2, 0)), found(3, probe(3, 1)), more])
    blank = made.summary()["probe"]["t0"]["blank"]
    assert (blank["yes"], blank["of"], blank["share"]) == (2, 3, pytest.approx(2 / 3))
    assert blank["interval"][0] < 2 / 3 < blank["interval"][1]
    assert blank["by_guessing"] == pytest.approx(0.75), "of its four answers three are the probed one"
    assert made.summary()["probe"]["t0"]["swap"]["share"] == 0


def test_the_commonest_words_of_woven_lessons_are_told() -> None:
    made = [lesson(number) for number in range(4)]
    texts = ["so it must be a dog", "so it must be a cat", "I look again", "so it must be plain"]
    for place, text in enumerate(texts):
        judged_ = replace(
            made[place].lessons[0].judged, trace=replace(trace(place, "t0"), reasoning=text, origin="woven" if place < 3 else "solve")
        )
        made[place] = replace(made[place], lessons=(replace(made[place].lessons[0], judged=judged_),))
    found_ = tally(made).summary()
    assert found_["commonest_phrase"] == {"texts": 3, "phrase": "so it must be a", "in": 2, "share": pytest.approx(2 / 3)}
    (line,) = finding_lines(found_)
    assert line.endswith("\u201cso it must be a\u201d, are in 66.7% of 3 woven texts")


def test_verify_and_hint_have_rates_too_and_skipped_is_counted() -> None:
    verify = [Finding("verify", "t0", "t1", value, "no_picture") for value in (1, 1, 0, 1)]
    made = tally([found(1, *verify, Finding("hint", "t0", "t0", 1.0)), found(2, skipped=("weave:one_trace",))]).summary()
    assert made["verify"]["t0"]["no_picture"]["share"] == 0.75
    assert made["hint"]["t0"]["all"]["yes"] == 1
    assert made["skipped"] == {"weave:one_trace": 1}
    assert "barred" not in made["hint"]["t0"]["all"]


def test_the_console_has_a_line_for_each_kind_of_check_and_names_who_is_barred() -> None:
    verify = [Finding("verify", "t0", "t1", value, "picture") for value in (1, 1, 0, 1)]
    hints = [Finding("hint", "t0", "t0", float(number > 2)) for number in range(12)]
    counted = tally([found(1, *verify, *hints, probe(1, 1)), found(2, probe(2, 0), mark(2, "t1", 4), mark(2, "t2", 4))])
    assert list(check_lines(counted.summary(barred={"t0"}))) == [
        "texts checked by readers: 3 of 4 confirmed with the picture (75.0%)",
        "probe: 1 of 2 answers survive a blank picture (50.0%; 100.0% by guessing)",
        "judge: mean marks, and how far judges agree: evidence 4.00 (alpha -), clarity - (alpha -)",
        "rescue: t0 is barred from explaining labels, as it argued for 9 of 12 wrong hints",
    ]
    line = "Wrong labels to explain, t0: argued for 9 of 12 wrong hints"
    assert list(finding_lines(counted.summary(barred={"t0"}))) == [f"{line}; barred from explaining labels"]
    assert list(finding_lines(counted.summary())) == [line]
    assert list(check_lines({})) == []


def test_rows_about_writers_and_about_readers_stand_in_tables_of_their_own() -> None:
    findings = [Finding("seen", "t0", "t1", 1.0, detail) for detail in ("thing", "decoy")]
    tables = rate_tables(tally([found(1, probe(1, 1), *findings)]).summary())
    assert [(role, [(row.teacher, row.asked) for row in rows]) for _, role, rows in tables] == [
        ("writer", [
            ("t0", "gives the same answer for a blank picture"), ("t0", "things that its texts name and another teacher sees"),
        ]),
        ("reader", [("t1", "sees things that nobody named")]),
    ]  # fmt: skip
    assert rate_tables({}) == []


def test_judges_agree_dimension_by_dimension() -> None:
    outcomes = [
        found(number, *(mark(number, by, value) for by, value in zip(("t1", "t2"), marks, strict=True)), replies=("t1", "t2"))
        for number, marks in enumerate([(1, 2), (4, 4), (5, 5), (2, 1)])
    ]
    told = tally(outcomes).summary()["judge"]
    evidence = told["dimensions"]["evidence"]
    assert (evidence["marks"], evidence["mean"], evidence["traces_with_two_judges"]) == (8, 3.0, 4)
    assert 0.5 < evidence["alpha_interval"] < 1
    assert told["dimensions"]["clarity"] == {
        "marks": 0, "mean": None, "traces_with_two_judges": 0, "alpha_ordinal": None, "alpha_interval": None, "people": None,
    }  # fmt: skip
    assert told["judges"]["t1"] == {"replies": 4, "unread": 0, "missing_marks": 4, "marks": 4, "flat": None}
    assert told["writers"] == {"t0": {"evidence": 3.0}}
    json.dumps(told, allow_nan=False)


def test_a_mark_that_could_not_be_read_is_missing_and_no_zero() -> None:
    made = tally([found(1, mark(1, "t1", 4), replies=("t1",)), found(2, replies=("t1",))]).summary()["judge"]
    assert made["dimensions"]["evidence"]["mean"] == 4
    assert made["judges"]["t1"] == {"replies": 2, "unread": 1, "missing_marks": 3, "marks": 1, "flat": None}


def test_a_judge_that_gives_everything_the_same_is_told() -> None:
    def given(many: int, last: float) -> FindingTally:
        marks = [10.0] * (many - 1) + [last]
        return tally([found(n, mark(n, "t1", value), mark(n, "t1", 10.0, "clarity"), replies=("t1",)) for n, value in enumerate(marks)])

    flat = given(20, 10.0)
    assert flat.summary()["judge"]["judges"]["t1"]["flat"] == 10
    assert [line.partition(":")[0] for line in flat.warnings()] == ["judge 't1' gave 10 for everything, 40 times"]
    assert flat.summary()["judge"]["dimensions"]["evidence"]["mean"] == 10, "its marks count"
    assert given(19, 10.0).warnings() == given(20, 9.0).warnings() == []


def test_a_judge_that_mostly_refuses_is_told() -> None:
    made = tally([found(number, *([mark(number, "t1", number % 5)] if number % 3 == 0 else []), replies=("t1",)) for number in range(30)])
    assert made.warnings() == ["judge 't1': 20 of 30 replies hold no mark; look at some, or name other judges"]


def test_a_teacher_that_sees_what_nobody_named_is_told() -> None:
    decoys = [Finding("seen", "t0", "t1", float(number < 7), "decoy") for number in range(10)]
    made = tally([found(1, *decoys, Finding("seen", "t0", "t1", 1.0, "thing"))])
    assert made.summary()["seen"] == {
        "t0": {"thing": made.summary()["seen"]["t0"]["thing"]},
        "t1": {"decoy": {"yes": 7, "of": 10, "share": 0.7, "interval": pytest.approx([0.397, 0.892], abs=0.001)}},
    }
    assert [line[:50] for line in made.warnings()] == ["teacher 't1' sees 7 of 10 things that nobody named"]


def test_judges_are_compared_with_people() -> None:
    outcomes = [found(number, mark(number, "t1", value), mark(number, "t2", value)) for number, value in enumerate([5, 3, 1, 4])]
    people = PeopleMarks(
        by_call={trace(0, "t0").call: {"evidence": 4}, trace(1, "t0").call: {"evidence": 3, "clarity": 2}},
        by_id={"s2": {"evidence": 2}, "s9": {"evidence": 1}},
    )
    summary = tally(outcomes, people).summary()
    told = summary["judge"]["dimensions"]
    assert told["evidence"]["people"]["traces"] == 3
    assert told["evidence"]["people"]["mean_absolute_difference"] == pytest.approx(2 / 3)
    assert told["evidence"]["people"]["mean_difference"] == pytest.approx(0)
    assert 0 < told["evidence"]["people"]["alpha_interval"] < 1
    assert told["clarity"]["people"] is None
    shown, other = mark_rows(summary)
    by_people = told["evidence"]["people"]
    assert (shown.people, shown.above, shown.alpha_people) == (3, by_people["mean_difference"], by_people["alpha_interval"])
    assert shown.alpha_interval == told["evidence"]["alpha_interval"]
    assert (other.people, other.above) == (0, None)
    assert writer_marks(summary) == [("t0", [3.25, None])]


def test_marks_by_sample_are_for_its_first_lesson_alone() -> None:
    made = lesson(1)
    assert isinstance(made.lessons[0], Lesson)
    people = PeopleMarks(by_id={"s1": {"evidence": 2}})
    assert people.of(made, made.lessons[0].judged.trace.call) == {"evidence": 2}
    assert people.of(made, trace(1, "t1").call) == {}
    assert people.of(replace(made, lessons=()), trace(1, "t0").call) == {}
    both = PeopleMarks(by_call={trace(1, "t0").call: {"clarity": 5, "evidence": 1}}, by_id={"s1": {"evidence": 2, "checking": 3}})
    assert both.of(made, made.lessons[0].judged.trace.call) == {"evidence": 1, "checking": 3, "clarity": 5}


def test_marks_of_people_that_are_compared_with_nothing_are_told_in_one_line() -> None:
    untaught = replace(found(3), lessons=())
    outcomes = [found(1, mark(1, "t1", 4)), found(2), untaught]
    ids = {name: {"evidence": 2.0} for name in ("s1", "s2", "s3", "s7", "s8", "s9")}
    people = PeopleMarks(by_call={"deed": {"evidence": 1.0}}, by_id=ids, empty=("s4", "s5"), repeated=("s1",))
    assert tally(outcomes, people).warnings() == [
        "judge.gold: not compared with the judges: 4 ids or calls that no sample of this run has ('deed', 's7', 's8', ...); "
        "1 sample without a lesson ('s3'); 1 text that lacks a judge's mark ('s2'); 2 rows without a mark ('s4', 's5'); "
        "1 row that repeats another one, which counts once ('s1')"
    ]
    assert tally(outcomes, PeopleMarks(by_id={"s1": {"evidence": 2.0}})).warnings() == []


def test_memory_does_not_grow_with_free_answers() -> None:
    made = FindingTally(RUBRIC)
    for number in range(3_000):
        made.add(replace(lesson(1), traces=(judged(trace(number, "t0", f"answer {number}"), "surplus"),), findings=()))
    assert len(made._answers["t0"]) == 1_000
