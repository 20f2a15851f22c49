"""A Reply read into a Trace: where the reasoning ends, what the answer is, and by which reading it was found."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from cotforge.answers.task import Task
from cotforge.answers.text import LONGEST, normal, seen
from cotforge.records import Call, OutcomeKind, Reply, Trace

_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)
_EXACT = re.compile(r"\s*<think>([^<]*)</think>(\s*)<answer>([^<]*)</answer>\s*")
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}")
_BOX = re.compile(r"\\boxed\s*\{")
_BARE_WORDS = 5
_CHARACTERS_PER_TOKEN = 4


class _Tag(NamedTuple):
    name: str
    """Lower case: <think>, </think>, <answer> or </answer>."""
    start: int
    end: int


class _Parts(NamedTuple):
    """A content cut in two: what is reasoned and what follows."""

    reasoning: str
    rest: str
    """What may hold the answer: from the last closing tag to an opening one that is never closed, or to the end."""
    tags: list[_Tag]
    """The answer tags of `rest`, placed in `rest`."""
    sound: bool
    """One reasoning without tags in it and nothing before it."""
    opened: bool
    """The opening tag was supplied."""


class _Found(NamedTuple):
    """The answers of the rest, as they stand there."""

    texts: list[str]
    reading: str
    """`tags`, `bare`, `boxed`, or empty where there is none."""
    alone: bool
    """One answer and nothing else."""


_NOTHING = _Found([], "", False)


def read(reply: Reply, call: Call, task: Task) -> Trace:
    """The Trace of a reply that came; `fault` says why it cannot be used, and is None where it can.

    The reasoning is the reply's own field, else what stands in `<think>`; a missing opening tag is supplied when exactly one
    closing tag stands. Only what follows the last `</think>` can hold the answer: the tags, else a `\\boxed{}`, else at most
    five words that are one label. A free answer without a form of its own (`exact`, `math`) is read bare only after a reasoning.
    `read_as` is `tags`, or those of `reasoning_field`, `open_think`, `bare`, `boxed` that were needed, joined by `+`.

    A reply cut off by `length` has the fault `truncated` and is never well formed, but keeps its answer, as a ballot, where the
    answer tag was closed. Everything else with a fault has no answer.
    """
    parts = _split(reply)
    answer, fault, found = None, _unusable(reply), _NOTHING
    if fault is None or fault == "truncated":
        found = _answers(parts, bare=_may_be_bare(task, parts.reasoning))
        answer, unread = _agreed(found, call, task)
        if fault == "truncated":
            answer = answer if found.reading == "tags" else None
        else:
            fault = unread
    return Trace(
        call=call.key,
        teacher=call.teacher,
        model=call.model,
        index=call.index,
        reasoning=parts.reasoning,
        answer=answer,
        read_as=_read_as(reply, parts, found if answer is not None else _NOTHING),
        fault=fault,
        well_formed=parts.sound and found.alone and fault != "truncated",
        finish_reason=reply.finish_reason,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        reasoning_tokens=_reasoning_tokens(reply, parts.reasoning),
        cost_usd=reply.cost_usd,
        origin=call.origin,
    )


def why_lost(reply: Reply, trace: Trace | None, *, needs_reasoning: bool) -> str | None:
    """Why a Call came to nothing, as `losses.parquet` has it: the error, why the Reply was not read, or `no_reasoning`; else None."""
    if trace is None:
        return reply.error
    return "no_reasoning" if trace.fault is None and needs_reasoning and not trace.reasoning else trace.fault


def reads_well(text: str) -> bool:
    """Whether a text is exactly `<think>R</think><answer>A</answer>`, R and A not blank, with only space around and between."""
    tags = [_Tag(match.group().lower(), *match.span()) for match in _TAG.finditer(text)]
    if [tag.name for tag in tags] != ["<think>", "</think>", "<answer>", "</answer>"]:
        return False
    outside = text[: tags[0].start] + text[tags[1].end : tags[2].start] + text[tags[3].end :]
    inside = text[tags[0].end : tags[1].start], text[tags[2].end : tags[3].start]
    return not outside.strip() and all(part.strip() for part in inside)


def _unusable(reply: Reply) -> str | None:
    if reply.outcome.kind is OutcomeKind.FILTERED or reply.finish_reason == "content_filter":
        return "content_filter"
    if reply.outcome.kind is OutcomeKind.CUT_OFF or reply.finish_reason == "length":
        return "truncated"
    return None if reply.content.strip() or reply.reasoning.strip() else "empty"


def _split(reply: Reply) -> _Parts:
    content = reply.content
    if not reply.reasoning and (exact := _EXACT.fullmatch(content)):  # what most replies are, and what the rest of this finds in 12 us
        return _exact(content, exact)
    tags = [_Tag(match.group().lower(), *match.span()) for match in _TAG.finditer(content)]
    opens = [tag for tag in tags if tag.name == "<think>"]
    closes = [tag for tag in tags if tag.name == "</think>"]
    inside, sound, opened = "", False, False
    cut = closes[-1].end if closes else 0
    if closes and opens and opens[0].start < closes[-1].start:
        inside = content[opens[0].end : closes[-1].start]
        sound = tags[0] is opens[0] and tags[1] is closes[-1] and not content[: opens[0].start].strip()
    elif len(closes) == 1:
        inside, opened, sound = content[: closes[0].start], True, tags[0] is closes[0]
    # A reasoning that is opened and never closed ends what may be read.
    end = next((tag.start for tag in opens if tag.start >= cut), len(content))
    sound = sound and end == len(content)
    field = reply.reasoning.strip()
    if field:
        inside, opened, sound = field, False, not (opens or closes or _TAG.search(field))
    reasoning = seen(inside)
    after = [_Tag(tag.name, tag.start - cut, tag.end - cut) for tag in tags if cut <= tag.start < end]
    return _Parts(reasoning, content[cut:end], after, sound and bool(reasoning), opened)


def _exact(content: str, found: re.Match[str]) -> _Parts:
    """Tags around a reasoning and an answer, and no other `<` anywhere."""
    cut = found.start(2)
    opened, closed = found.start(3) - cut, found.end(3) - cut
    tags = [_Tag("<answer>", opened - 8, opened), _Tag("</answer>", closed, closed + 9)]
    reasoning = seen(found[1])
    return _Parts(reasoning, content[cut:], tags, bool(reasoning), opened=False)


def _answers(parts: _Parts, *, bare: bool) -> _Found:
    rest, texts, left = parts.rest, [], 0
    for before, tag in zip(parts.tags, parts.tags[1:], strict=False):
        if before.name == "<answer>" and tag.name == "</answer>":
            texts.append(rest[before.end : tag.start])
            left += tag.end - before.start
    if parts.tags:
        first, last = parts.tags[0].start, parts.tags[-1].end
        alone = len(texts) == 1 and last - first == left and not rest[:first].strip() and not rest[last:].strip()
        return _Found(texts, "tags" if texts else "", alone)
    boxes = _boxes(rest)
    if boxes:
        return _Found(boxes, "boxed", len(boxes) == 1 and _unboxed(rest) == _unboxed(boxes[0]))
    text = rest.strip()
    if bare and text and len(text) <= LONGEST and len(text.split(maxsplit=_BARE_WORDS)) <= _BARE_WORDS:
        return _Found([text], "bare", True)
    return _NOTHING


def _may_be_bare(task: Task, reasoning: str) -> bool:
    """Whether a short content may be the answer: "I cannot help" would pass for a free answer, never for a label or a number."""
    closed = task.kind == "classify" or task.verifier in ("number", "choice")
    return closed or bool(reasoning)


def _agreed(found: _Found, call: Call, task: Task) -> tuple[str | None, str | None]:
    """(answer, None), or (None, fault)."""
    if not found.texts:
        return None, "no_answer"
    texts = [_unboxed(text) for text in found.texts]
    read = [task.comparable(text, call.sample.options) for text in texts]
    if len(texts) > 1 and len({answer or normal(text) for answer, text in zip(read, texts, strict=True)}) > 1:
        return None, "two_answers"
    if read[0] is not None:
        return read[0], None
    # Five words that are no label were never offered as an answer; an empty tag or box offers none either.
    offered = found.reading != "bare" and any(text.strip() for text in texts)
    return None, "not_an_option" if offered else "no_answer"


def _boxes(text: str) -> list[str]:
    """What stands in each `\\boxed{}` with balanced braces, at most `LONGEST` characters of it; boxes in boxes are not looked for."""
    boxes = []
    match = _BOX.search(text)
    while match:
        depth, start, place = 1, match.end(), match.end()
        last = min(len(text), start + LONGEST)
        while depth and place < last:
            depth += (text[place] == "{") - (text[place] == "}")
            place += 1
        if not depth:
            boxes.append(text[start : place - 1])
        match = _BOX.search(text, place)
    return boxes


def _unboxed(text: str) -> str:
    """Without a `\\boxed{}` or `\\text{}` around the whole (and the `$` around that)."""
    if "\\" not in text or len(text) > LONGEST:
        return text
    bare = text.strip().strip("$").rstrip(".").strip().strip("$").strip()
    boxes = _boxes(bare)
    if len(boxes) == 1 and _BOX.match(bare) and bare.endswith(boxes[0] + "}"):
        bare = boxes[0].strip()
    wrapped = _WRAPPED.fullmatch(bare)
    return wrapped[1] if wrapped else (bare if boxes else text)


def _read_as(reply: Reply, parts: _Parts, found: _Found) -> str:
    needed: Iterable[tuple[str, bool]] = (
        ("reasoning_field", bool(reply.reasoning.strip())),
        ("open_think", parts.opened),
        ("bare", found.reading == "bare"),
        ("boxed", found.reading == "boxed" or any("\\boxed" in text for text in found.texts)),
    )
    return "+".join(name for name, was in needed if was) or "tags"


def _reasoning_tokens(reply: Reply, reasoning: str) -> int:
    """As reported, else the output's tokens by share of characters, else a quarter of the characters.

    A reported zero beside a reasoning comes from servers that count only their own reasoning field.
    """
    if reply.reasoning_tokens or not reasoning:
        return reply.reasoning_tokens or 0
    whole = len(reply.content) + len(reply.reasoning)
    return round(reply.output_tokens * len(reasoning) / whole) if reply.output_tokens else round(len(reasoning) / _CHARACTERS_PER_TOKEN)
