"""What `probe:` asks, and what it makes of the replies."""

from dataclasses import replace

import pytest

from cotforge.errors import PipelineError
from cotforge.followups.frame import Common
from cotforge.followups.probe import Probe
from cotforge.images.blank import blank_picture
from cotforge.records import Call
from tests.following import about, asker, digests, drive, lost, said, text
from tests.outcomes import OPTIONS, picture, sample, trace

SAME = "<think>It is vast.</think><answer>awe</answer>"
OTHER = "<think>It is dark.</think><answer>fear</answer>"
THINGS = "There is a small boat on the lake. The mountains are high, and an old tower stands on the shore."
COMMON = Common(partners=tuple(sample(number, label="fear") for number in range(10, 20)))
ALL = Probe(blank=1, swap=1, mentions=0)


def is_blank(call: Call) -> bool:
    return digests(call) == [blank_picture(picture(1)).digest]


def test_the_same_teacher_is_asked_the_same_question_with_two_other_pictures() -> None:
    two = asker("qwen-1", "glm-1")
    own = trace(1, "t1")
    _, calls = drive(ALL.follow_up(two), about(own, common=COMMON), lambda call: SAME)
    asked = two.call(sample(1), two.named("t1"), two.prompts.solve, origin="solve")
    assert [call.teacher for call in calls] == ["t1", "t1"]
    assert [text(call) for call in calls] == [text(asked)] * 2, "word for word, options in their order"
    assert [call.origin for call in calls] == ["probe", "probe"]
    assert is_blank(calls[0])
    assert digests(calls[1])[0] in {one.pictures[0].digest for one in COMMON.partners}
    assert [call.sample.pictures[0].digest for call in calls] == [digests(call)[0] for call in calls], "what is sent can be loaded"


def test_the_call_with_a_blank_picture_is_no_ones_elses() -> None:
    """One reply for all samples of a size would make a rate of a single draw."""
    one = ALL.follow_up(asker("qwen-1"))
    keys = {call.key for number in range(1, 20) for call in drive(one, about(trace(number, "t0"), common=COMMON), lambda call: SAME)[1]}
    assert len(keys) > 30


@pytest.mark.parametrize(
    ("blank", "swap", "grounded", "found"),
    [
        (SAME, SAME, 0, {"blank": 1, "swap": 1}),
        (OTHER, OTHER, 1, {"blank": 0, "swap": 0}),
        (SAME, OTHER, 0.5, {"blank": 1, "swap": 0}),
        ("The image is blank, so I cannot tell.", SAME, 0.5, {"blank": 0, "swap": 1}),
        (None, OTHER, 1, {"swap": 0}),
        ("<think>It is", "", None, {}),
        (None, None, None, {}),
    ],
)
def test_grounded_is_the_share_of_probes_that_change_the_answer(
    blank: str | None, swap: str | None, grounded: float | None, found: "dict[str, float]"
) -> None:
    case = about(trace(1, "t0"), common=COMMON)
    made, _ = drive(ALL.follow_up(asker("qwen-1")), case, lambda call: blank if is_blank(call) else swap)
    assert made.marks == {trace(1, "t0").call: {"grounded": grounded}}
    assert {finding.detail: finding.value for finding in made.findings} == found
    assert made.skipped == (("probe:unread",) if [blank, swap].count(None) + len(found) < 2 else ())
    assert {(one.kind, one.about, one.by, one.trace) for one in made.findings} <= {("probe", "t0", "t0", trace(1, "t0").call)}


def test_only_traces_that_could_be_lessons_are_probed_by_their_share() -> None:
    none, calls = drive(ALL.follow_up(asker("qwen-1")), about(trace(1, "t0", "fear"), common=COMMON), lambda call: SAME)
    assert (none.marks, calls) == ({}, [])
    tenth = Probe(blank=0.1, swap=0, mentions=0).follow_up(asker("qwen-1"))
    drawn = sum(len(drive(tenth, about(trace(number, "t0")), lambda call: SAME)[1]) for number in range(400))
    assert 20 <= drawn <= 65


def test_without_another_sample_it_is_said_why_nothing_was_swapped() -> None:
    found, calls = drive(Probe(blank=0, swap=1, mentions=0).follow_up(asker("qwen-1")), about(trace(1, "t0")), lambda call: SAME)
    assert (found.skipped, calls) == (("probe:no_partner",), [])


def test_a_teacher_of_a_batch_or_of_a_reply_without_picture_is_left_alone() -> None:
    found, calls = drive(ALL.follow_up(asker("qwen-1")), about(trace(1, "elsewhere"), common=COMMON), lambda call: SAME)
    assert (found.marks, calls) == ({}, [])
    found, calls = drive(ALL.follow_up(asker("qwen-1")), about(trace(1, "t0"), of=replace(sample(1), pictures=())), lambda call: SAME)
    assert calls == []


MENTIONS = Probe(blank=0, swap=0, mentions=1)
NAMED = ("small boat", "lake", "mountains", "old tower", "shore")


def answered(call: Call, *seen: str, decoys: str = "no") -> str:
    """A reply to the list, that sees some things and says the same of all that nobody named."""
    lines = [line.partition(". ") for line in text(call).splitlines() if line[:1].isdigit() and ". " in line]
    return "\n".join(f"{number}: {('yes' if thing in seen else 'no') if thing in NAMED else decoys}" for number, _, thing in lines)


def test_a_teacher_of_another_family_looks_for_the_things_and_two_that_nobody_named() -> None:
    follow_up = MENTIONS.follow_up(asker("qwen-1", "qwen-2", "glm-1"))
    found, calls = drive(
        follow_up, about(said(1, "t0", THINGS)), lambda call: answered(call, "small boat", "lake", "mountains", "old tower")
    )
    assert [call.teacher for call in calls] == ["t2"]
    assert digests(calls[0]) == [picture(1).digest], "the sample's own picture"
    assert all(thing in text(calls[0]) for thing in NAMED)
    assert found.marks == {said(1, "t0", THINGS).call: {"mentions_seen": 0.8}}
    told = [(one.kind, one.about, one.by, one.detail, one.value) for one in found.findings]
    assert sorted(told) == sorted(
        [("seen", "t0", "t2", "thing", float(thing != "shore")) for thing in NAMED] + [("seen", "t0", "t2", "decoy", 0.0)] * 2
    )


def test_labels_and_answers_are_not_asked_for() -> None:
    named = f"{THINGS} There is {OPTIONS[0]} in it. The joy is plain."
    _, calls = drive(MENTIONS.follow_up(asker("qwen-1", "glm-1")), about(said(1, "t0", named)), answered)
    assert not any(option in text(calls[0]) for option in OPTIONS)


@pytest.mark.parametrize(
    ("decoys", "seen", "mark"),
    [("yes", NAMED, None), ("no", NAMED, 1), ("no", (), 0), ("perhaps", NAMED[:1], 0.2)],
)
def test_a_teacher_that_sees_what_nobody_named_confirms_nothing(decoys: str, seen: "tuple[str, ...]", mark: float | None) -> None:
    case = about(said(1, "t0", THINGS))
    found, _ = drive(MENTIONS.follow_up(asker("qwen-1", "glm-1")), case, lambda call: answered(call, *seen, decoys=decoys))
    assert found.marks[case.good[0].call] == {"mentions_seen": mark}


@pytest.mark.parametrize("reply", ["I'm sorry, I can't help with that.", "", None, "Which of these can be seen there?"])
def test_a_list_that_cannot_be_read_is_missing_and_never_no(reply: str | None) -> None:
    case = about(said(1, "t0", THINGS))
    found, _ = drive(MENTIONS.follow_up(asker("qwen-1", "glm-1")), case, lambda call: reply)
    assert found.marks[case.good[0].call] == {"mentions_seen": None}
    assert (found.findings, found.skipped) == ((), () if reply is None else ("probe:unread_list",))


def test_a_call_that_came_to_nothing_is_missing() -> None:
    found, _ = drive(MENTIONS.follow_up(asker("qwen-1", "glm-1")), about(said(1, "t0", THINGS)), lost)
    assert (list(found.marks.values()), found.findings) == ([{"mentions_seen": None}], ())


def test_a_text_that_names_nothing_is_told() -> None:
    found, calls = drive(MENTIONS.follow_up(asker("qwen-1", "glm-1")), about(said(1, "t0", "Es ist hell.")), answered)
    assert (found.skipped, calls) == (("probe:no_things",), [])


def test_mentions_need_a_second_teacher() -> None:
    with pytest.raises(PipelineError, match=r"^probe\.mentions: needs a second teacher"):
        Probe().follow_up(asker("qwen-1"))
    assert Probe(mentions=0).follow_up(asker("qwen-1"))


def test_what_is_expected_is_what_is_asked_at_most() -> None:
    follow_up = Probe(blank=0.5, swap=0.25, mentions=0.2).follow_up(asker("qwen-1", "qwen-2", "glm-1"))
    assert follow_up.expected_calls(0.8, 3) == pytest.approx({"t0": 0.8 * (0.75 + 0.1), "t1": 0.8 * (0.75 + 0.1), "t2": 0.8 * (0.75 + 0.4)})
