"""What came of the Calls about a Sample: replies read, and as a vote takes them."""

from collections.abc import Iterable
from dataclasses import replace

from cotforge import answers
from cotforge.consensus import Heard
from cotforge.records import NOT_ASKED, Call, Reply, Trace
from cotforge.redaction import redact_text
from cotforge.sequence import voter_name

Answered = tuple[Call, Reply, Trace | None]
"""A Call, its Reply, and that read; None where it is an error."""


def read_trace(reply: Reply, call: Call, task: answers.Task) -> Trace:
    """A Reply read, without credentials that lay in pieces in it: reading takes out what lay between."""
    trace = answers.read_reply(reply, call, task)
    is_piece = trace.reasoning in reply.content or trace.reasoning in reply.reasoning
    reasoning, answer = trace.reasoning if is_piece else redact_text(trace.reasoning), trace.answer and redact_text(trace.answer)
    return trace if (reasoning, answer) == (trace.reasoning, trace.answer) else replace(trace, reasoning=reasoning, answer=answer)


def heard_answers(replies: Iterable[Answered]) -> list[Heard]:
    """As a vote takes them; those that were never asked are none."""
    return [_heard_answer(*one) for one in replies if one[1].error != NOT_ASKED]


def one_heard(call: Call, reply: Reply, task: answers.Task) -> Heard:
    """The reply to one Call, as a vote takes it."""
    return _heard_answer(call, reply, read_trace(reply, call, task) if reply.outcome.has_text else None)


def _heard_answer(call: Call, reply: Reply, trace: Trace | None) -> Heard:
    if trace is None:
        return Heard(voter_name(call), None, reply.cost_usd, reply.seconds, False, reply.passing)
    return Heard(voter_name(call), trace.answer, reply.cost_usd, reply.seconds, probability=trace.probability)
