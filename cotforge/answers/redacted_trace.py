"""A Reply read into a Trace that holds no credential."""

from dataclasses import replace

from cotforge.answers.reading import read_reply
from cotforge.answers.task import Task
from cotforge.records import Call, Reply, Trace
from cotforge.redaction import redact_text


def read_trace(reply: Reply, call: Call, task: Task) -> Trace:
    """A Reply read, without credentials that lay in pieces in it: reading takes out what lay between."""
    trace = read_reply(reply, call, task)
    is_piece = trace.reasoning in reply.content or trace.reasoning in reply.reasoning
    reasoning, answer = trace.reasoning if is_piece else redact_text(trace.reasoning), trace.answer and redact_text(trace.answer)
    return trace if (reasoning, answer) == (trace.reasoning, trace.answer) else replace(trace, reasoning=reasoning, answer=answer)
