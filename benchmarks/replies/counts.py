"""What reading may never do, counted over random bodies, from the bytes that a server sends to the lesson that a student learns."""

import random
import re
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.replies.bodies import Body, random_body
from cotforge.answers import Task, clean_trace, read_reply, reads_well
from cotforge.answers.controls import CONTROLS
from cotforge.journal.attempt_rows import COLUMNS, READ, attempt_of, row_of
from cotforge.journal.schema import MIGRATIONS
from cotforge.prompts import Prompt, Prompts
from cotforge.records import ANSWERED, Call, OutcomeKind, Reply, Sample, Trace
from cotforge.replies.attempt import Attempt, answered_attempt, failed_attempt
from cotforge.replies.refusals import read_refusal

FAULTS = {
    "error": "raised an error",
    "wrong": "ballots out of a thought",
    "refused": "ballots out of an error, a filter's end or a stream that broke off",
    "lost": "answers after a thought that were not read",
    "unwell": "lessons with more than one reasoning or answer",
    "token": "lessons with a control token",
    "unequal": "attempts that came back from the journal as others",
}
"""Key of the counts to what a reader is told; none may ever happen."""
TASKS = tuple(
    Task.model_validate(task)
    for task in ({"kind": "classify", "labels": ["awe", "fear", "joy"]}, {"kind": "answer"}, {"kind": "answer", "verifier": "math"})
)
KEY = "ab" * 32
_TOKEN = re.compile("|".join(family.pattern for family in CONTROLS))
_INSERT = f"INSERT INTO replies ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(', ')))})"


def counted(many: int, seed: int = 0) -> Counter[str]:
    """What became of so many bodies: the keys of FAULTS, and how many had an `answer`, were `answered`, `read`, `mended`, a `lesson`."""
    draw, counts = random.Random(seed), Counter[str](dict.fromkeys(FAULTS, 0))
    completion = Prompts().load(Path()).completion
    with closing(sqlite3.connect(":memory:")) as journal:
        journal.executescript("".join(MIGRATIONS))
        for _ in range(many):
            body, task = random_body(draw), draw.choice(TASKS)
            try:
                found = _followed(body, task, journal, completion)
            except Exception as error:  # that none comes is what is counted
                found = Counter({"error": 1})
                print(f"{error!r}", file=sys.stderr)
            counts += found
            if wrong := [FAULTS[name] for name in found if name in FAULTS and found[name]]:
                print(f"{', '.join(wrong)}: {body.form}: {body.data[:1_000]!r}", file=sys.stderr)
    return Counter(dict.fromkeys(FAULTS, 0) | counts)


def _followed(body: Body, task: Task, journal: sqlite3.Connection, completion: Prompt) -> Counter[str]:
    """One body on its whole way."""
    attempt = _attempt(body, body.data.decode("utf-8", "replace"))
    kept = _kept(attempt, journal)
    found = Counter[str]({"unequal": _published(attempt) != _published(kept), "answer": body.must})
    reply = kept.reply
    if not reply.outcome.has_text:
        found["lost"] += body.must
        return found
    found["answered"] += 1
    trace = read_reply(reply, Call(KEY, Sample("", (), "Which?", task.options()), "t", "m", 0, ()), task)
    voted = trace.answer is not None
    found["read"] += voted
    found["wrong"] += voted and body.answered is not None and (trace.answer != "awe" or not body.answered)
    found["refused"] += voted and (body.unusable or not _may_vote(reply))
    found["lost"] += body.must and not voted
    return found + _learned(trace, task, completion)


def _attempt(body: Body, text: str) -> Attempt:
    if body.status != 200:
        return failed_attempt(KEY, read_refusal(body.status, text), number=1, max_tokens=100, status=body.status, body=text)
    return answered_attempt(
        KEY, text, number=1, max_tokens=100, usd=lambda read, written: (read + 2 * written) / 1e6, estimate=lambda: 5, seconds=0.25,
        content_type=body.content_type,
    )  # fmt: skip


def _kept(attempt: Attempt, journal: sqlite3.Connection) -> Attempt:
    """An attempt as SQLite gives it back."""
    journal.execute("DELETE FROM replies")
    journal.execute(_INSERT, row_of(attempt))
    return attempt_of(journal.execute(f"SELECT {READ} FROM replies").fetchone())


def _published(attempt: Attempt) -> tuple[Any, ...]:
    """All of an attempt that outlives its run."""
    reply, outcome = attempt.reply, attempt.outcome
    kind = outcome.kind if outcome.has_text else (outcome.passing, outcome.kind is OutcomeKind.FILTERED)
    fields = (getattr(attempt, name) for name in type(attempt).__slots__ if name not in ("outcome", "_read"))
    return (*fields, kind, outcome.error, outcome.detail, _without_outcome(reply), reply.outcome.has_text)


def _without_outcome(reply: Reply) -> tuple[Any, ...]:
    return tuple(ANSWERED if name == "outcome" else getattr(reply, name) for name in type(reply).__slots__)


def _may_vote(reply: Reply) -> bool:
    return reply.outcome.kind in (OutcomeKind.ANSWERED, OutcomeKind.CUT_OFF) and reply.finish_reason not in ("content_filter", "error")


def _learned(trace: Trace, task: Task, completion: Prompt) -> Counter[str]:
    """The lesson that a Trace would be, where its answer is the one that is agreed on."""
    learned = clean_trace(trace, options=task.options())
    if trace.fault is not None or not learned.reasoning:
        return Counter()
    lesson = completion.complete(learned.reasoning, learned.answer)
    lesson.encode()
    token = _TOKEN.search(learned.reasoning) or (learned.answer not in task.options() and _TOKEN.search(learned.answer))
    return Counter({"lesson": 1, "mended": bool(learned.kinds), "unwell": not reads_well(lesson), "token": bool(token)})
