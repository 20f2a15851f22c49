"""What came of the Calls about a Sample: replies read, and as a vote takes them."""

from collections.abc import Iterable

from cotforge.answers import Task
from cotforge.answers.redacted_trace import read_trace
from cotforge.consensus import Heard
from cotforge.records import NOT_ASKED, Call, Reply, Trace
from cotforge.sequence import voter_name

Answered = tuple[Call, Reply, Trace | None]
"""A Call, its Reply, and that read; None where it is an error."""


def heard_answers(replies: Iterable[Answered]) -> list[Heard]:
    """As a vote takes them; those that were never asked are none."""
    return [_heard_answer(*one) for one in replies if one[1].error != NOT_ASKED]


def one_heard(call: Call, reply: Reply, task: Task) -> Heard:
    """The reply to one Call, as a vote takes it."""
    return _heard_answer(call, reply, read_trace(reply, call, task) if reply.outcome.has_text else None)


def _heard_answer(call: Call, reply: Reply, trace: Trace | None) -> Heard:
    if trace is None:
        return Heard(voter_name(call), None, reply.cost_usd, reply.seconds, False, reply.passing)
    return Heard(voter_name(call), trace.answer, reply.cost_usd, reply.seconds, probability=trace.probability)
