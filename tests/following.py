"""Follow-ups driven by hand: teachers that are never asked, samples with pictures, and replies that a test writes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cotforge.answers import Task
from cotforge.followups.frame import Common, FollowUp, FollowUpAsker, FollowUpFound, VotedSample
from cotforge.prompts import Prompts
from cotforge.records import Call, Judged, Outcome, OutcomeKind, Reply, Sample, Trace, Verdict
from cotforge.teachers.kinds.openai import OpenAITeacher
from tests.outcomes import OPTIONS, sample, trace

FEELINGS = Task(kind="classify", question="Which emotion?", labels=OPTIONS)
FREE = Task(kind="answer", question="What is it?")
PROMPTS = Prompts().load(Path())
LOST = Outcome(OutcomeKind.PASSING, "timeout")
NOTHING_COMMON = Common()
Answer = Callable[[Call], "str | Reply | None"]
"""A Call to the content of its reply, or the reply; None where it was not asked to the end."""


def asker(*models: str, task: Task = FEELINGS) -> FollowUpAsker:
    """Teachers t0, t1, ... of these models."""
    teachers = tuple(
        OpenAITeacher(name=f"t{place}", model=model, url="http://localhost:1/v1")  # type: ignore[arg-type]
        for place, model in enumerate(models)
    )
    return FollowUpAsker(teachers, PROMPTS, task)


def about(*traces: Trace, of: Sample | None = None, common: Common = NOTHING_COMMON, answer: str = "awe") -> VotedSample:
    """A Sample on whose answer was agreed, and whose traces with that answer could be lessons."""
    judged = tuple(Judged(one, "surplus" if one.answer == answer else "wrong") for one in traces)
    return VotedSample(of or sample(1), Verdict(answer, 1.0, True), judged, common)


def said(number: int, teacher: str, reasoning: str, answer: str | None = "awe") -> Trace:
    return replace(trace(number, teacher, answer), reasoning=reasoning)


def drive(follow_up: FollowUp, case: VotedSample, answer: Answer) -> tuple[FollowUpFound, list[Call]]:
    """What a follow-up found, and all Calls that it wanted."""
    asked: list[Call] = []
    follow = follow_up.follow(case)
    try:
        calls: Sequence[Call] = next(follow)
        while True:
            asked += calls
            calls = follow.send({call.key: reply for call in calls if (reply := _reply(call, answer(call))) is not None})
    except StopIteration as end:
        return end.value, asked


def _reply(call: Call, said: "str | Reply | None") -> Reply | None:
    return Reply(call.key, said, finish_reason="stop") if isinstance(said, str) else said


def lost(call: Call) -> Reply:
    """A Call that came to nothing."""
    return Reply(call.key, outcome=LOST)


def text(call: Call) -> str:
    """What is asked, without its pictures."""
    return "".join(part.get("text", "") for part in call.messages[0]["content"])


def digests(call: Call) -> list[str]:
    return [part["digest"] for part in call.messages[0]["content"] if part["type"] == "image"]
