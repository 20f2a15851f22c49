"""What follow-ups change about the traces of a Sample."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Self

from cotforge.findings import Finding
from cotforge.followups.frame import Followed, Made
from cotforge.records import Call, Judged, Reply, Sample, Trace, Verdict, unasked_reply
from cotforge.replies.text import one_line

Judge = Callable[[Sample, Trace, Verdict], Judged]
"""What becomes of a trace by the filters."""

_SHOWN = 2_000
"""Characters of a reply about another trace that the table of traces keeps (default chosen by us)."""


@dataclass(frozen=True)
class AfterVote:
    """The traces of a Sample with all that followed the vote."""

    judged: list[Judged]
    """Those of the vote, in their order, then those that follow-ups made, then the replies about other traces."""
    failed: tuple[tuple[str, Reply], ...] = ()
    """(teacher, Reply) of the follow-ups' Calls that came to nothing."""
    findings: tuple[Finding, ...] = ()
    skipped: tuple[str, ...] = ()
    verdict: Verdict | None = None
    """That of a rescued answer; None where the vote's own holds."""

    @classmethod
    def of(cls, followed: Followed | None, judged: list[Judged], judge: Judge, sample: Sample, verdict: Verdict) -> Self:
        """`judged` are the traces of the vote; `judge` is asked again about those of which something was found out."""
        if followed is None:
            return cls(judged)
        marks: dict[str, dict[str, float | None]] = {}
        for found in followed.found:
            for key, values in found.marks.items():
                marks.setdefault(key, {}).update(values)
        voted = [_judge_marked(one, marks, judge, sample, verdict) for one in judged]
        made = [one for found in followed.found for one in found.made]
        rescued = next((one for one in made if not one.failed and not verdict.accepted), None)
        final = verdict if rescued is None else _rescued_verdict(sample, verdict, rescued.answer)
        joined = [_judge_made(one, marks, judge, sample, final) for one in made]
        return cls(
            judged=[*voted, *joined, *_checks(followed, {one.trace.call for one in made})],
            failed=tuple(
                (call.teacher, reply or unasked_reply(call.key))
                for call, reply in followed.asked
                if reply is None or not reply.outcome.has_text
            ),
            findings=tuple(finding for found in followed.found for finding in found.findings),
            skipped=tuple(reason for found in followed.found for reason in found.skipped),
            verdict=None if rescued is None else final,
        )


def _rescued_verdict(sample: Sample, verdict: Verdict, answer: str) -> Verdict:
    """Accepted, with the ballots and the confidence of the vote: a rescue adds none."""
    conflict = sample.label is not None and sample.label != answer
    return replace(verdict, answer=answer, accepted=True, reason="", label_conflict=conflict)


def _judge_marked(one: Judged, marks: dict[str, dict[str, float | None]], judge: Judge, sample: Sample, verdict: Verdict) -> Judged:
    found = marks.get(one.trace.call)
    return one if found is None else judge(sample, replace(one.trace, marks=found), verdict)


def _judge_made(one: Made, marks: dict[str, dict[str, float | None]], judge: Judge, sample: Sample, verdict: Verdict) -> Judged:
    trace = replace(one.trace, marks=marks.get(one.trace.call, {}))
    if one.failed and trace.fault is None:
        return Judged(trace, "gate", one.failed, segments=one.segments)
    return replace(judge(sample, trace, verdict), segments=one.segments)


def _checks(followed: Followed, made: Collection[str]) -> list[Judged]:
    """The replies about other traces, as rows of the table of traces."""
    return [
        Judged(_check_trace(call, reply), "check")
        for call, reply in followed.asked
        if reply is not None and reply.outcome.has_text and call.key not in made
    ]


def _check_trace(call: Call, reply: Reply) -> Trace:
    said = one_line(f"{reply.reasoning} {reply.content}".strip()[: 2 * _SHOWN])[:_SHOWN]
    return Trace(
        call=call.key,
        teacher=call.teacher,
        model=call.model,
        index=call.index,
        origin=call.origin,
        reasoning=said,
        answer=None,
        finish_reason=reply.finish_reason,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cost_usd=reply.cost_usd,
    )
