"""A student on held-out labels: greedy answers, read as teachers' are, and what they come to. Files of `eval/`, and `cotforge eval`."""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cotforge.answers import read_reply
from cotforge.atomic import write_whole
from cotforge.errors import PipelineError
from cotforge.measures.texts import words_of
from cotforge.plan import Plan
from cotforge.records import Call, Reply, Sample, Trace
from cotforge.scores import AnsweredSample, score_answers
from cotforge.train.evaluation.askers import STUDENT, Asker, Question
from cotforge.train.evaluation.held_out import HeldOutSamples
from cotforge.train.evaluation.one_sided import commonest_label, never_answered, one_sided

LONGEST = 1024
"""Tokens of an answer at most, where no stage says how many (ours)."""
_OPENED = re.compile(r"</?(think|answer)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked about a held-out Sample, what came back, and how that was read."""

    question: Question
    reply: Reply
    trace: Trace


Probe = Callable[[Asker, HeldOutSamples, Sequence[Exchange]], dict[str, Any]]
"""More figures by name, from what was said and from what the asker says to further questions; all processes call it together."""


def evaluate_asker(
    asker: Asker,
    held: HeldOutSamples,
    *,
    max_tokens: int = LONGEST,
    rescue: int = 0,
    seed: int = 0,
    done: Callable[[int], object] = bool,
    probe: Probe | None = None,
) -> dict[str, Any]:
    """The figures of `scores` and of a `probe`, and how they came about. Raises PipelineError where no question was answered.

    `rescue` gives a thought that was cut off so many more tokens: it is closed, and the answer asked for. `done` is told how many
    questions more are over. A question without a reply is counted in `failed` and in nothing else.
    """
    begun = time.monotonic()
    questions = [Question(sample, held.messages(sample)) for sample in held.samples]
    replies = asker.answers(questions, max_tokens=max_tokens, done=done)
    traces = [trace_of(question, reply, held) for question, reply in zip(questions, replies, strict=True)]
    rescued = _rescue_answers(asker, held, questions, replies, traces, tokens=rescue) if rescue else {}
    answers = [
        _answered_sample(question.sample, trace, rescued.get(place))
        for place, (question, trace, reply) in enumerate(zip(questions, traces, replies, strict=True))
        if reply.error is None
    ]
    if not answers:
        failed = replies[0]
        raise PipelineError(f"{asker.name}: none of {len(replies):,} questions was answered; the first: {failed.error}: {failed.detail}")
    labels = held.task.closed if held.task.kind == "classify" else ()
    said = [Exchange(*each) for each in zip(questions, replies, traces, strict=True)]
    return {
        "model": asker.name,
        "dtype": asker.dtype,
        "engine": asker.engine,
        **(figures := score_answers(answers, labels, seed=seed)),
        "never_answered": never_answered(figures, labels),
        "failed": len(replies) - len(answers),
        "unlabelled": held.unlabelled,
        "held_out": held.digest,
        "output_tokens": sum(reply.output_tokens for reply in replies) / max(1, len(answers)),
        "max_tokens": max_tokens,
        "rescue": rescue,
        **(probe(asker, held, said) if probe else {}),
        "seconds": round(time.monotonic() - begun, 3),
    }


def most_tokens(plan: Plan | None) -> int:
    """Tokens that an answer may have: as many as the student is trained to give."""
    return max((stage.longest_answer or 0 for stage in (plan.expanded() if plan else ())), default=0) or LONGEST


def write_figures(folder: Path, name: str, found: dict[str, Any]) -> Path:
    """`eval/<name>.json` of a run folder, by rename."""
    path = folder / "eval" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def figures_text(found: dict[str, Any], metrics: Sequence[str] = ("accuracy", "macro_recall")) -> str:
    """The figures as a person reads them."""
    lines = [f"{found['model']}: {found['n']:,} held-out samples" + (f", {found['failed']:,} failed" if found["failed"] else "")]
    figures = dict.fromkeys((*metrics, "format_rate", "truncated_rate", "reasoning_words"))
    lines += [f"  {name:16} {figure_text(found, name)}" for name in figures]
    if (always := commonest_label(found)) is not None:
        lines.append(f"  {always.name:16} {always.share:.3f}")
    known = [(label, share) for label, share in found["recall"].items() if share is not None]
    if found["macro_recall"] is not None and len(known) <= 100:
        lines += [f"  recall of {label:6} {share:.3f} of {found['support'][label]:,}" for label, share in known]
    return "\n".join([*lines, *(f"  guard: {line}" for line in one_sided(found))])


def figure_text(found: dict[str, Any], name: str) -> str:
    """One of them, with its interval."""
    if found.get(name) is None:
        return "unknown"
    interval = found.get(f"{name}_interval")
    return f"{found[name]:.3f}" + (f"  {interval[0]:.3f} to {interval[1]:.3f}" if interval else "")


def trace_of(question: Question, reply: Reply, held: HeldOutSamples) -> Trace:
    """What came back, read as a teacher's reply is."""
    return read_reply(reply, Call("", question.sample, STUDENT, STUDENT, 0, question.messages), held.task)


def _answered_sample(sample: Sample, trace: Trace, saved: str | None) -> AnsweredSample:
    return AnsweredSample(
        truth=sample.label or "",
        answer=trace.answer if trace.answer is not None else saved,
        well_formed=trace.well_formed,
        truncated=trace.fault == "truncated",
        words=len(words_of(trace.reasoning)),
        rescued=trace.answer is None and saved is not None,
    )


def _rescue_answers(
    asker: Asker, held: HeldOutSamples, questions: Sequence[Question], replies: Sequence[Reply], traces: Sequence[Trace], *, tokens: int
) -> dict[int, str]:
    """The answers of thoughts that were cut off, by place.

    Source: arXiv 2509.03321's evaluation, which closes the thought and lets the model go on for up to 256 tokens.
    """
    cut = [place for place, trace in enumerate(traces) if trace.fault == "truncated" and trace.answer is None and not replies[place].error]
    begun = [(questions[place], replies[place].content + closing_text(replies[place].content)) for place in cut]
    ends = gone_on(asker, held, begun, tokens=tokens)
    return {place: answer for place, answer in zip(cut, ends, strict=True) if answer is not None}


def gone_on(asker: Asker, held: HeldOutSamples, begun: Sequence[tuple[Question, str]], *, tokens: int) -> list[str | None]:
    """The answers that the asker comes to when it goes on from these beginnings of its own; None where none can be read."""
    again = [replace(question, messages=(*question.messages, _so_far(text))) for question, text in begun]
    ends = asker.answers(again, max_tokens=tokens, done=bool) if again else []
    found = []
    for (question, start), end in zip(begun, ends, strict=True):
        text = start + end.content
        whole = replace(end, content=text if "</answer>" in text.lower() else f"{text}</answer>", finish_reason="stop")
        found.append(None if end.error else trace_of(question, whole, held).answer)
    return found


def _so_far(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def closing_text(text: str) -> str:
    """What has to follow a text that was cut off, so that nothing but the answer can follow that."""
    last = [match.group().lower() for match in _OPENED.finditer(text)][-1:]
    if last == ["<answer>"]:
        return ""
    return "\n<answer>" if last == ["</think>"] else "\n</think>\n<answer>"
