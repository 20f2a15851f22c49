"""Rescue: a trusted label explained, its gates, planted wrong labels, and who is barred by them."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.export.rows import loss_rows
from cotforge.findings import Finding
from cotforge.followups.after_vote import AfterVote
from cotforge.followups.frame import NOTHING, Common, FollowUpFound, SampleFollowUps, VotedSample
from cotforge.followups.rescue import Rescue
from cotforge.followups.wrong_hints import LEAST_PROBES, HintRecord, hint_records, wrong_hint
from cotforge.measures.leaks import leaks
from cotforge.reasons import CHECKS, READING, SKIPPED
from cotforge.records import Ballot, Call, CuratedSample, Judged, Reply, Sample, Trace, Verdict
from tests.following import FEELINGS, Answer, asker, digests, drive, lost, text
from tests.outcomes import sample, trace

SEEN = "Small figures stand under a wide and bright sky, and light breaks through the clouds."
GOOD = f"<think>{SEEN} It could be awe or joy. Nothing here is funny. The scale decides for awe.</think><answer>awe</answer>"
JOY = "<think>All is bright, and joy is what I see in this light.</think><answer>joy</answer>"
WHO = asker("a", "b", "c")
TIED = Verdict(None, 0.4, False, "tie", (Ballot("t0", "awe"), Ballot("t1", "joy")))
LED = Verdict("awe", 0.9, False, "below_target", (Ballot("t0", "awe"), Ballot("t1", "awe"), Ballot("t2", "joy")))
SURE = Verdict("awe", 0.99, True)


def blind(number: int, **answers: str) -> tuple[Judged, ...]:
    return tuple(Judged(trace(number, name, answer), "undecided") for name, answer in answers.items())


def about(verdict: Verdict = LED, *, of: Sample | None = None, **common: Any) -> VotedSample:
    return VotedSample(of or sample(1), verdict, blind(1, t0="awe", t1="awe", t2="joy"), Common(**common))


def rescue(case: VotedSample, answer: Answer | str, **section: Any) -> tuple[FollowUpFound, list[Call]]:
    says = (lambda call: answer) if isinstance(answer, str) else answer
    return drive(Rescue(**{"wrong_hints": 0, **section}).follow_up(WHO), case, says)


def explained(reply: str | Reply, read: Answer | str = GOOD) -> Answer:
    """The explanation, and what those say who read it."""
    return lambda call: reply if call.origin == "rescue" else read if isinstance(read, str) else read(call)


def failed(case: VotedSample, answer: Answer | str, **section: Any) -> str:
    (made,) = rescue(case, answer, **section)[0].made
    return made.failed


def test_a_trusted_label_is_explained_and_read_by_another_teacher_without_its_answer() -> None:
    found, (asked, read) = rescue(about(), GOOD)
    assert (asked.origin, read.origin) == ("rescue", "verify")
    assert "<hint>awe</hint>" in text(asked)
    assert "<hint>" not in text(read)
    assert digests(asked) == digests(read) == [sample(1).pictures[0].digest]
    shown = text(read).partition("<reasoning>")[2].partition("</reasoning>")[0]
    assert SEEN in shown
    assert "awe" not in shown
    assert read.teacher != asked.teacher
    (made,) = found.made
    assert (made.answer, made.failed, made.trace.origin, made.trace.call) == ("awe", "", "rescue", asked.key)
    assert found.marks == {asked.key: {"verified": 1.0}}
    assert found.findings == (Finding("verify", asked.teacher, read.teacher, 1.0, "hinted", asked.key),)


def test_those_read_first_that_saw_something_else_when_they_were_asked_blind() -> None:
    for number in range(20):
        case = replace(about(of=sample(number)), traces=blind(number, t0="awe", t1="joy", t2="awe"))
        _, (asked, read) = rescue(case, GOOD, teachers=("t0", "t2"))
        assert (asked.teacher in ("t0", "t2"), read.teacher) == (True, "t1")


@pytest.mark.parametrize(
    ("verdict", "common", "label", "hint"),
    [
        (LED, {}, "awe", "awe"),
        (LED, {"gold": {"s1": "joy"}}, "awe", "joy"),
        (TIED, {"gold": {"s1": "awe"}}, None, "awe"),
        (replace(LED, reason="gold_unsaid"), {"gold": {"s1": "fear"}}, "awe", "fear"),
        (LED, {}, "joy", "rescue:untrusted_label"),
        (replace(LED, confidence=0.5), {}, "awe", "awe"),
        (replace(LED, confidence=0.49), {}, "awe", "rescue:untrusted_label"),
        (replace(LED, reason="ambiguous"), {}, "awe", "rescue:untrusted_label"),
        (TIED, {}, "awe", "rescue:untrusted_label"),
        (TIED, {}, None, "rescue:no_label"),
        (replace(LED, reason="not_asked"), {"gold": {"s1": "awe"}}, "awe", ""),
        (replace(LED, reason="not_wanted"), {"gold": {"s1": "awe"}}, "awe", ""),
        (SURE, {"gold": {"s1": "awe"}}, "awe", ""),
        (LED, {"barring": True}, "awe", ""),
        (LED, {"barred": frozenset({"t0", "t1", "t2"})}, "awe", "rescue:barred"),
    ],
)
def test_only_what_people_said_or_a_label_that_leads_surely_enough_is_explained(
    verdict: Verdict, common: dict[str, Any], label: str | None, hint: str
) -> None:
    found, calls = rescue(about(verdict, of=sample(1, label=label), **common), GOOD)
    if calls:
        assert f"<hint>{hint}</hint>" in text(calls[0])
    else:
        assert (found.skipped, found.made) == ((hint,) if hint else (), ())


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (TIED, "no answer leads the vote, and nobody checked it"),
        (replace(LED, answer="joy"), "'joy' leads the vote, not the label 'awe', and nobody checked it"),
        (replace(LED, confidence=0.21), "it leads the vote with a confidence of 0.210, below rescue.trust, and nobody checked it"),
        (replace(LED, reason="ambiguous"), "the people who checked it could not tell, or disagree"),
    ],
)
def test_the_loss_of_a_label_that_is_not_trusted_says_why(verdict: Verdict, why: str) -> None:
    lost_one = CuratedSample(sample(1, label="awe"), verdict, (), skipped=("rescue:untrusted_label",), rejected=f"vote:{verdict.reason}")
    (detail,) = [row[-1] for row in loss_rows(lost_one) if row[3] == "rescue"]
    assert detail.endswith(f"the label is not trusted: {why}")


LEAKING = "Since the label is awe, I look for what supports it."


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (JOY, "declined"),
        ("I'm sorry, but I cannot explain this.", "refused"),
        ("<think></think><answer>awe</answer>", "hint_alone"),
        ("<think>The answer is **awe**.</think><answer>awe</answer>", "hint_alone"),
        (GOOD.replace("<think>", f"<think>{LEAKING} "), "hint_leaked"),
        ("<think>It is awe, since awe is in the air.</think><answer>awe</answer>", "not_verifiable"),
        (f"<think>{'小さな人々が広い空の下に立っている。' * 4}</think><answer>awe</answer>", "other_language"),
        ("<think>x</think><answer>awe</answer><answer>joy</answer>", "two_answers"),
        ("<think>x</think><answer>horror</answer>", "not_an_option"),
        ("", "empty"),
    ],
)
def test_an_explanation_that_cannot_be_a_lesson_says_why_and_nobody_reads_it(reply: str, why: str) -> None:
    found, calls = rescue(about(), reply)
    assert len(calls) == 1
    assert [made.failed for made in found.made] == [why]
    assert why in CHECKS or why in READING
    assert found.skipped == ((f"rescue:{why}",) if why in READING else ()), "what could not be read is counted, as after verify and weave"


def test_where_a_language_is_wanted_its_own_filter_tells_another_one() -> None:
    in_japanese = f"<think>{'小さな人々が広い空の下に立っている。' * 4}</think><answer>awe</answer>"
    told = replace(WHO, prompts=WHO.prompts.in_language("Japanese"))
    found, calls = drive(Rescue(wrong_hints=0).follow_up(told), about(), lambda call: in_japanese)
    assert "Write the reasoning in Japanese" in text(calls[0])
    assert len(calls) == 2
    assert [made.failed for made in found.made] == [""]


def test_a_prompt_that_is_repeated_is_no_explanation() -> None:
    def parrot(call: Call) -> str:
        return f"<think>{text(call).partition('After that')[0].replace('<', ' ').replace('>', ' ')}</think><answer>awe</answer>"

    assert failed(about(), parrot) == "repeats_prompt"


def test_it_is_accepted_only_if_every_reader_comes_to_the_label() -> None:
    first: list[str] = []

    def one_elsewhere(call: Call) -> str:
        first[:] = first or [call.teacher]
        return JOY if call.teacher == first[0] else GOOD

    assert failed(about(), explained(GOOD), verify=2) == ""
    assert failed(about(), explained(GOOD, one_elsewhere), verify=2) == "unverified"
    assert failed(about(), explained(GOOD, JOY)) == "unverified"
    for nothing in (lost, lambda call: None, lambda call: "I am unable to help."):
        assert failed(about(), explained(GOOD, nothing)) == "unchecked"


def test_without_a_reply_there_is_nothing_to_judge() -> None:
    assert rescue(about(), lost)[0] == rescue(about(), lambda call: None)[0] == NOTHING


def test_barred_teachers_explain_nothing_and_named_ones_alone_do() -> None:
    by = {rescue(about(of=sample(number), barred=frozenset({"t0"})), GOOD)[1][0].teacher for number in range(30)}
    assert by == {"t1", "t2"}
    assert {rescue(about(of=sample(number)), GOOD, teachers=("t2",))[1][0].teacher for number in range(5)} == {"t2"}


def test_with_explain_false_wrong_labels_are_planted_and_nothing_is_explained() -> None:
    assert rescue(about(), GOOD, explain=False, wrong_hints=1) == (NOTHING, [])
    assert len(rescue(about(SURE), GOOD, explain=False, wrong_hints=1)[1]) == 1


def planted(call: Call) -> str:
    return text(call).partition("<hint>")[2].partition("</hint>")[0]


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (lambda call: GOOD.replace("awe</answer>", f"{planted(call)}</answer>"), 1.0),
        (lambda call: GOOD, 0.0),
        (lambda call: "I cannot.", 0.0),
    ],
)
def test_a_wrong_label_is_planted_where_the_answer_is_sure_and_who_argues_for_it_is_noted(reply: Answer, value: float) -> None:
    for number in range(10):
        found, (call,) = rescue(about(SURE, of=sample(number, label="joy")), reply, wrong_hints=1)
        assert planted(call) == "fear", "neither the accepted answer nor the label"
        assert call.origin == "probe"
        assert found.findings == (Finding("hint", call.teacher, call.teacher, value, trace=call.key),)
        assert not found.made


def test_planting_draws_a_share_stays_as_it_is_and_does_not_ask_whom_it_bars() -> None:
    cases = [about(SURE, of=sample(number)) for number in range(300)]
    few = {case.sample.id: rescue(case, GOOD, wrong_hints=0.1)[1] for case in cases}
    asked = {id: calls[0].teacher for id, calls in few.items() if calls}
    assert 12 <= len(asked) <= 50
    assert set(Counter(asked.values())) == {"t0", "t1", "t2"}
    for case in cases[:80]:
        later = replace(case, common=Common(barred=frozenset({"t0"}), barring=True))
        assert [call.key for call in rescue(later, GOOD, wrong_hints=0.1)[1]] == [call.key for call in few[case.sample.id]]


def test_an_unreadable_answer_to_a_wrong_label_says_nothing_of_the_teacher() -> None:
    found, _ = rescue(about(SURE), "<think>x</think><answer>awe</answer><answer>joy</answer>", wrong_hints=1)
    assert (found.findings, found.skipped) == ((), ("rescue:wrong_hint_two_answers",))


@pytest.mark.parametrize(
    ("verifier", "right", "near"),
    [
        ("number", "42", {"40", "41", "43", "44"}),
        ("number", "0", {"1", "2"}),
        ("number", "-3", {"-5", "-4", "-2", "-1"}),
        ("number", "2.5", {"2.3", "2.4", "2.6", "2.7"}),
        ("number", "25%", {"23%", "24%", "26%", "27%"}),
        ("choice", "A", {"B"}),
        ("choice", "C", {"A", "B"}),
        ("exact", "a red car", {None}),
        ("math", "x**2 + 1", {None}),
    ],
)
def test_a_wrong_free_answer_is_near_the_right_one_or_none(verifier: Any, right: str, near: set[str | None]) -> None:
    task = Task(kind="answer", question="How many?", verifier=verifier)
    made = {wrong_hint(replace(sample(number), options=(), label=None), task, (right, None, None)) for number in range(40)}
    assert made == near


def test_no_wrong_label_can_be_planted_where_all_others_may_be_right() -> None:
    two = replace(sample(1, label="joy"), options=("awe", "joy"))
    assert wrong_hint(two, FEELINGS, ("awe", "joy", None)) is None
    assert rescue(about(SURE, of=two), GOOD, wrong_hints=1)[0].skipped == ("rescue:no_wrong_hint",)


def hints(followed: int, held: int, by: str = "t0") -> list[Finding]:
    return [Finding("hint", by, by, float(place < followed)) for place in range(followed + held)]


def test_a_teacher_is_barred_from_ten_wrong_labels_on_where_it_surely_argues_for_too_many() -> None:
    bars = Rescue().follow_up(WHO).bars  # type: ignore[attr-defined]
    assert bars(hints(9, 0)) == frozenset(), "not probed enough"
    assert bars(hints(5, 5)) == frozenset()
    assert bars([*hints(6, 4), *hints(3, 30, "t1"), Finding("verify", "t2", "t2", 1.0)]) == {"t0"}
    assert bars(hints(10, 20)) == frozenset()
    assert bars(hints(13, 17)) == {"t0"}
    assert hint_records(hints(3, 1))["t0"].in_words() == f"not probed enough: 4 of {LEAST_PROBES} wrong hints"
    assert hint_records(hints(3, 9))["t0"].in_words() == "argued for 3 of 12 wrong hints"


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.05, 0.9))
def test_barring_is_the_exact_binomial_test(followed: int, held: int, most: float) -> None:
    probes = followed + held
    chance = math.fsum(math.comb(probes, many) * most**many * (1 - most) ** (probes - many) for many in range(followed, probes + 1))
    if abs(chance - 0.05) > 1e-9:
        assert HintRecord(probes, followed).is_barred(most) == (probes >= LEAST_PROBES and chance < 0.05)
    assert not HintRecord(probes, followed + 1).is_barred(most) or HintRecord(probes, followed + 1).probes >= LEAST_PROBES


def test_expected_calls_are_those_that_are_asked_where_every_label_is_trusted() -> None:
    follow_up = Rescue(verify=2, wrong_hints=0.5).follow_up(WHO)
    assert dict(follow_up.expected_calls(0.0, 3)) == pytest.approx(dict.fromkeys(("t0", "t1", "t2"), 1.0))
    assert dict(follow_up.expected_calls(1.0, 3)) == pytest.approx(dict.fromkeys(("t0", "t1", "t2"), 0.5 / 3))
    assert dict(follow_up.later_calls(accepted=False)) == pytest.approx(dict.fromkeys(("t0", "t1", "t2"), 2 / 3))
    assert not follow_up.later_calls(accepted=True), "nobody reads what is said of a wrong hint"
    assert sum(Rescue(explain=False, wrong_hints=0).follow_up(WHO).expected_calls(0.0, 3).values()) == 0


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"teachers": ["t9"]}, "rescue.teachers: no teacher 't9'"),
        ({"verify": 3}, "rescue.verify: 3 teachers of other models must read what 't0' writes, and there are 2"),
    ],
)
def test_a_section_that_nobody_can_do_is_an_error(section: dict[str, Any], fault: str) -> None:
    with pytest.raises(PipelineError, match=fault):
        Rescue(**section).follow_up(WHO)


replies = st.sampled_from([GOOD, JOY, "", "I cannot.", GOOD.replace("<think>", f"<think>{LEAKING} "), JOY.replace("joy</", "awe</"), None])


@given(st.lists(replies, min_size=4, max_size=4), st.sampled_from([TIED, LED]), st.sampled_from([{}, {"s1": "awe"}, {"s1": "joy"}]))
def test_blind_and_hinted_never_mix_and_a_rescued_text_does_not_say_that_it_was_told(
    said: list[str | None], verdict: Verdict, gold: dict[str, str]
) -> None:
    case = about(verdict, gold=gold)
    steps = SampleFollowUps([Rescue(verify=2).follow_up(WHO)], case)
    answers = iter(said)

    def lookup(calls: Any) -> dict[str, Reply]:
        return {call.key: Reply(call.key, content, finish_reason="stop") for call in calls if (content := next(answers)) is not None}

    def judge(sample: Sample, trace: Trace, final: Verdict) -> Judged:
        return Judged(trace, "unread" if trace.fault else "surplus" if final.accepted and trace.answer == final.answer else "wrong")

    steps.advance(lookup, settled=True)
    after = AfterVote.of(steps.followed(), list(case.traces), judge, case.sample, verdict)
    assert after.judged[: len(case.traces)] == list(case.traces)
    rescued = [one for one in after.judged[len(case.traces) :] if one.fate == "surplus"]
    assert (after.verdict is not None) == bool(rescued)
    if after.verdict is not None:
        assert (after.verdict.ballots, after.verdict.confidence) == (verdict.ballots, verdict.confidence)
        assert after.verdict.answer == gold.get("s1", "awe")
        assert after.verdict.label_conflict == (after.verdict.answer != "awe")
    for one in rescued:
        assert leaks(one.trace.reasoning, one.trace.answer or "", case.sample.options) is None
        assert one.trace.answer == gold.get("s1", "awe")


def test_every_published_word_is_explained() -> None:
    assert {"rescue:no_label", "rescue:untrusted_label", "rescue:barred", "rescue:no_wrong_hint"} <= set(SKIPPED)
