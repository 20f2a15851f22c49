"""The funnel: steps in samples, each loss at its step, and nothing that does not add up."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from outcomes import filtered, lesson, undecided, unheard

from cotforge.records import NOT_ASKED, CuratedSample, Fault, Outcome, OutcomeKind, Reply
from cotforge.report.figures import funnel_figure
from cotforge.tally import Tally
from cotforge.tally.counts import FollowUpTally
from cotforge.tally.funnel import funnel_steps, given_lessons
from tests.test_tally import rescued


def unasked(number: int) -> CuratedSample:
    """A sample that nobody was asked about."""
    lacking = ("t0", Reply("f" * 64, outcome=Outcome(OutcomeKind.PASSING, NOT_ASKED)))
    return replace(undecided(number), traces=(), failed=(lacking,), rejected="vote:no_replies")


def failed(number: int) -> CuratedSample:
    """One whose calls all failed."""
    return replace(unheard(number), traces=(), rejected="vote:no_replies")


def dropped(reason: str, *, of: CuratedSample) -> CuratedSample:
    return replace(of, lessons=(), rejected=reason)


def twice(number: int) -> CuratedSample:
    """A sample with two lessons."""
    one = lesson(number)
    return replace(one, lessons=one.lessons * 2)


MADE = (
    lesson, undecided, filtered, unheard, unasked, failed, rescued, twice,
    lambda number: dropped("filter:duplicate", of=lesson(number)),
    lambda number: dropped("select:per_class", of=lesson(number)),
    lambda number: dropped("select:per_class", of=rescued(number)),
)  # fmt: skip


def counted(*outcomes: CuratedSample, **told: object) -> Tally:
    tally = Tally(**told)  # type: ignore[arg-type]
    for outcome in outcomes:
        tally.add(outcome)
    return tally


@given(st.lists(st.sampled_from(MADE)), st.lists(st.sampled_from(["source:image_missing", "dedup:near"])), st.integers(0, 3))
def test_each_step_has_what_the_one_before_has_without_its_losses_and_the_last_are_the_samples_with_lessons(kinds, faults, held):
    tally = counted(*(kind(number) for number, kind in enumerate(kinds)), held_out=held)
    for word in faults:
        stage, _, reason = word.partition(":")
        tally.fault(Fault(reason, stage=stage))
    steps = funnel_steps(tally)
    for before, step in pairwise(steps):
        change = step.gained - tally.rescued * (step.key == "agreed") - sum(count for _, count in step.lost)
        assert step.left == before.left + change
    left = {step.key: step.left for step in steps}
    assert (left["rows"], left["samples"], left["asked"], left["select"]) == (tally.rows(), tally.samples, tally.asked, tally.accepted)
    assert sum(count for step in steps for _, count in step.lost) == tally.rows() - tally.accepted


def test_every_loss_stands_at_its_own_step():
    tally = counted(*(kind(number) for number, kind in enumerate(MADE)), follow_ups={"rescue": FollowUpTally()})
    assert [(step.key, step.left, step.lost) for step in funnel_steps(tally)] == [
        ("rows", 11, ()),
        ("samples", 11, ()),
        ("asked", 10, (("vote:no_replies", 1),)),
        ("agreed", 5, (("vote:no_ballots", 1), ("vote:no_majority", 1), ("vote:no_replies", 1))),
        ("rescued", 7, ()),
        ("filters", 6, (("filter:reasoning_words", 1),)),
        ("dedup", 5, (("filter:duplicate", 1),)),
        ("select", 3, (("select:per_class", 2),)),
    ]


def test_steps_that_a_run_does_not_have_are_left_out():
    keys = ["rows", "samples", "asked", "agreed", "filters", "select"]
    assert [step.key for step in funnel_steps(counted(lesson(0)))] == keys
    assert funnel_steps(counted(lesson(0)))[-1].name == "with lessons"
    assert funnel_steps(counted(lesson(0), dropped("select:per_class", of=lesson(1))))[-1].name == "taken by select"
    assert [step.key for step in funnel_steps(counted(lesson(0), finds_repeats=True))] == [*keys[:-1], "dedup", "select"]


def test_several_lessons_of_a_sample_are_told_in_words_and_make_no_bar_longer_than_all_rows():
    tally = counted(twice(0), twice(1), undecided(2))
    figure = funnel_figure(tally)
    assert figure.rows[-1][:3] == ("with lessons", "2", "66.7%")
    assert figure.finding.startswith("2 of 3 rows gave 4 lessons; ")
    assert funnel_figure(counted(rescued(0))).rows[4] == ("agreed on, or rescued", "1", "100.0%", "gained: 1 by rescue")
    assert given_lessons(tally) == "2 samples gave 4 lessons, as select.per_sample allows several"
    assert given_lessons(counted(lesson(0))) == ""
