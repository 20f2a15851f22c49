"""Blind verification: who reads a text without its answer, what they are shown, and what it says of the text and its writer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cotforge.errors import PipelineError
from cotforge.filters import Filter
from cotforge.findings import Finding
from cotforge.followups.frame import NOTHING, FollowUpFound, VotedSample
from cotforge.followups.verify import Verify
from cotforge.records import Call, Reply, Trace
from tests.following import Answer, about, asker, digests, drive, lost, said, text
from tests.outcomes import sample

SEEN = "Small figures stand under a wide and bright sky, and light breaks through the clouds."
LONG = f"{SEEN} It could be awe or joy. Nothing here is funny or warm in a homely way. So the picture evokes awe."
AWE = "<think>All is wide.</think><answer>awe</answer>"
JOY = "<think>All is bright.</think><answer>joy</answer>"
WHO = asker("a", "b", "c")


def verify(case: VotedSample, answer: Answer | str, **section: Any) -> tuple[FollowUpFound, list[Call]]:
    says = (lambda call: answer) if isinstance(answer, str) else answer
    return drive(Verify(**{"share": 1, **section}).follow_up(WHO), case, says)


def test_another_teacher_is_shown_the_text_without_its_answer_with_the_picture_and_without_it() -> None:
    written = said(1, "t0", LONG)
    found, calls = verify(about(written), AWE)
    assert {call.teacher for call in calls} < {"t1", "t2"}
    assert [digests(call) for call in calls] == [[sample(1).pictures[0].digest], []]
    assert {call.origin for call in calls} == {"verify"}
    for call in calls:
        shown = text(call).partition("<reasoning>")[2].partition("</reasoning>")[0]
        assert SEEN in shown
        assert "awe" not in shown
    assert found.marks == {written.call: {"verified": 1.0, "verified_unseen": 1.0}}
    by = calls[0].teacher
    assert found.findings == (
        Finding("verify", "t0", by, 1.0, "picture", written.call),
        Finding("verify", "t0", by, 1.0, "no_picture", written.call),
    )


def test_the_measures_are_shares_of_the_readers_that_came_to_the_answer() -> None:
    written = said(1, "t0", LONG)
    found, calls = verify(about(written), lambda call: AWE if digests(call) and call.teacher == "t1" else JOY, by=2)
    assert len(calls) == 4
    assert found.marks == {written.call: {"verified": 0.5, "verified_unseen": 0.0}}
    marked = replace(written, marks=found.marks[written.call])
    bounds = [Filter(measure=name, min=0.4).resolve(Path()) for name in ("verified", "verified_unseen")]
    values = [bound.take(sample(1), marked, None) for bound in bounds]
    assert [(value, bound.holds(value)) for value, bound in zip(values, bounds, strict=True)] == [(0.5, True), (0.0, False)]
    assert bounds[0].holds(bounds[0].take(sample(1), written, None)), "a text that nobody verified is not dropped"


def test_what_a_reader_does_not_say_counts_neither_way_and_is_told() -> None:
    written = said(1, "t0", LONG)
    replies: dict[tuple[str, bool], Callable[[Call], str | Reply]] = {
        ("t1", True): lost,
        ("t1", False): lambda call: "I'm sorry, but I can't help with that.",
        ("t2", True): lambda call: AWE,
        ("t2", False): lambda call: "<think>x</think><answer>awe</answer> or <answer>joy</answer>",
    }
    found, _ = verify(about(written), lambda call: replies[call.teacher, bool(digests(call))](call), by=2)
    assert found.marks == {written.call: {"verified": 1.0, "verified_unseen": None}}
    assert sorted(found.skipped) == ["verify:refused", "verify:two_answers"]
    assert len(found.findings) == 1


def test_only_good_texts_are_verified_and_of_these_the_same_share_again() -> None:
    many = [said(number, "t0", LONG) for number in range(200)]
    wrong = said(201, "t0", LONG, "joy")

    def drawn(share: float) -> set[str]:
        return {one.call for one in many if verify(about(one, wrong), AWE, share=share)[1]}

    few, more = drawn(0.2), drawn(0.5)
    assert few < more
    assert 20 <= len(few) <= 60
    assert 75 <= len(more) <= 125
    assert verify(about(wrong), AWE) == (NOTHING, [])


def test_a_text_of_which_nothing_is_left_is_not_shown_and_counted() -> None:
    found, calls = verify(about(said(1, "t0", "The answer is awe.")), AWE)
    assert not calls
    assert found.skipped == ("verify:not_verifiable",)


def test_named_teachers_read_all_texts_but_those_of_their_own_model() -> None:
    same = asker("a", "a", "b")
    follow_up = Verify(share=1, by=("t1", "t2")).follow_up(same)
    _, calls = drive(follow_up, about(Trace("k", "t0", "a", 0, LONG, "awe")), lambda call: AWE)
    assert {call.teacher for call in calls} == {"t2"}
    _, calls = drive(follow_up, about(Trace("k", "t2", "b", 0, LONG, "awe")), lambda call: AWE)
    assert {call.teacher for call in calls} == {"t1"}


def test_calls_that_are_expected_are_those_that_are_asked_where_all_is_good() -> None:
    follow_up = Verify(share=1, by=2).follow_up(WHO)
    traces = [said(1, name, f"{LONG} {name}", "awe") for name in ("t0", "t1", "t2")]
    _, calls = drive(follow_up, about(*(replace(one, model=model) for one, model in zip(traces, "abc", strict=True))), lambda call: AWE)
    assert len(calls) == 12
    assert dict(follow_up.expected_calls(1.0, 3)) == pytest.approx(dict.fromkeys(("t0", "t1", "t2"), 4.0))
    assert sum(follow_up.expected_calls(0.0, 3).values()) == 0


@pytest.mark.parametrize(
    ("section", "models", "fault"),
    [
        ({"by": 2}, "ab", "verify.by: 2 teachers of other models must read what 't0' writes, and there is 1"),
        ({"by": 1}, "aa", "verify.by: 1 teacher of other models must read what 't0' writes, and there are 0"),
        ({"by": ["t9"]}, "ab", "verify.by: no teacher 't9' that is asked call by call; there are 't0', 't1'"),
        ({"by": []}, "ab", "verify.by: is empty"),
    ],
)
def test_a_section_that_nobody_can_do_is_an_error_that_says_what_is_lacking(section: dict[str, Any], models: str, fault: str) -> None:
    with pytest.raises(PipelineError, match=fault):
        Verify(**section).follow_up(asker(*models))
