"""A Reply read into a Trace: where the reasoning ends, what the answer is, and by which reading it was found."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from cotforge.answers.boxes import boxes, unboxed
from cotforge.answers.cleaning import boxed, own_turn, without_controls
from cotforge.answers.task import Task
from cotforge.answers.text import LONGEST, normal, seen
from cotforge.answers.thoughts import ANSWER_TAG, find, split
from cotforge.records import Call, Reply, Trace

_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)
_EXACT = re.compile(r"\s*<think>([^<]*)</think>(\s*)<answer>([^<\[◁]*)</answer>\s*")
_BARE_WORDS = 5
_CHARACTERS_PER_TOKEN = 4


class Reading(NamedTuple):
    """What a Reply says."""

    reasoning: str
    answer: str | None
    """Canonical label or comparable free answer; None where none could be read, or the reply was cut off before it."""
    fault: str | None
    """Why the reply cannot be used; None where it can."""
    read_as: str
    well_formed: bool


class _Parts(NamedTuple):
    """A content cut in two: what is reasoned and what follows."""

    reasoning: str
    rest: str
    """What may hold the answer: from the last closed thought to one that is never closed, or to the end."""
    sound: bool
    """One reasoning without tags in it and nothing before it."""
    how: tuple[str, ...] = ()
    """The readings that were needed so far."""
    closed: bool = True
    """A thought was closed, or has a field of its own."""


class _Found(NamedTuple):
    """The answers of the rest, as they stand there."""

    texts: list[str]
    reading: str
    """`tags`, `bare`, `boxed`, or empty where there is none."""
    alone: bool
    """One answer and nothing else."""


_NOTHING = _Found([], "", False)


def read(reply: Reply, call: Call, task: Task, *, refused: frozenset[str] | None = None) -> Trace:
    """The Trace of a reply that came: `read_text` with the Call's options and, but for `refused`, the placeholders in its messages."""
    found = read_text(reply, call.sample.options, task, placeholders(call.messages) if refused is None else refused)
    return Trace(
        call=call.key,
        teacher=call.teacher,
        model=call.model,
        index=call.index,
        reasoning=found.reasoning,
        answer=found.answer,
        read_as=found.read_as,
        fault=found.fault,
        well_formed=found.well_formed,
        finish_reason=reply.finish_reason,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        reasoning_tokens=_reasoning_tokens(reply, found.reasoning),
        cost_usd=reply.cost_usd,
        origin=call.origin,
    )


def read_text(reply: Reply, options: tuple[str, ...], task: Task, placeholders: frozenset[str] = frozenset()) -> Reading:
    """What a reply says; `fault` says why it cannot be used, and is None where it can.

    The reasoning is the reply's own field, else what stands between the marks of any family in `marks.THOUGHTS`; the opening mark may
    have stood in the prompt. Only what follows the last thought can hold the answer, and nothing in a thought that is open: the tags,
    else a `\\boxed{}` or box tokens, else at most five words that are one label. A free answer without a form of its own (`exact`,
    `math`) is read bare only after a reasoning. Control tokens, and turns of the user that a model made up, are no part of a reply.

    `read_as` is `tags`, or those of these that were needed, joined by `+`: `whole_field` (all of it stood in the field of the
    reasoning), `reasoning_field`, `open_think` (the prompt had opened the thought), the name of the family of marks (`kimi`, `mistral`,
    ...), `bare`, `boxed`.

    A reply cut off by `length` has the fault `truncated` and is never well formed, but keeps its answer, as a ballot, where the answer
    tag was closed after a closed thought or with nothing before it. Everything else with a fault has no answer. `placeholders` are
    refused as answers, but for options (fault `placeholder`).
    """
    parts = _parts(reply)
    answer, fault, found = None, _unusable(reply), _NOTHING
    if fault is None or fault == "truncated":
        found = _answers(parts.rest, bare=_may_be_bare(task, parts.reasoning))
        answer, unread = _agreed(found, options, task, placeholders)
        if fault == "truncated":
            answer = answer if found.reading == "tags" and (parts.closed or _leads(parts.rest)) else None
        else:
            fault = unread
    how = parts.how if answer is None else (*parts.how, *_how(found))
    return Reading(parts.reasoning, answer, fault, "+".join(how) or "tags", parts.sound and found.alone and fault != "truncated")


def placeholders(messages: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """What stands between answer tags, or in a box, in the messages of a Call, in its normal form: a copy of it is no answer."""
    found: frozenset[str] = frozenset()
    for message in messages:
        content = message.get("content")
        for part in [content] if isinstance(content, str) else content or ():
            text = part if isinstance(part, str) else part.get("text")
            if isinstance(text, str):
                found |= _placeholders(text)
    return found


@lru_cache(maxsize=4_096)
def _placeholders(text: str) -> frozenset[str]:
    shown = boxed(text)
    return frozenset(form for raw in (*_between(shown)[0], *boxes(shown)) for form in _forms(raw))


def _forms(text: str) -> tuple[str, ...]:
    """A placeholder as it may be copied: with and without the brackets around it."""
    whole = normal(unboxed(text))
    bare = normal(whole.strip("[]{}<>()").strip())
    return tuple(form for form in dict.fromkeys((whole, bare)) if form)


def reads_well(text: str) -> bool:
    """Whether a text is exactly `<think>R</think><answer>A</answer>`, R and A not blank, with only space around and between."""
    tags = list(_TAG.finditer(text))
    if [tag.group().lower() for tag in tags] != ["<think>", "</think>", "<answer>", "</answer>"]:
        return False
    outside = text[: tags[0].start()] + text[tags[1].end() : tags[2].start()] + text[tags[3].end() :]
    inside = text[tags[0].end() : tags[1].start()], text[tags[2].end() : tags[3].start()]
    return not outside.strip() and all(part.strip() for part in inside)


def _unusable(reply: Reply) -> str | None:
    if "content_filter" in (reply.finish_reason, reply.error):
        return "content_filter"
    if reply.finish_reason == "length":
        return "truncated"
    return None if reply.content.strip() or reply.reasoning.strip() else "empty"


def _parts(reply: Reply) -> _Parts:
    field = reply.reasoning.strip()
    if not field and (exact := _EXACT.fullmatch(reply.content)):  # what most replies are, and what the rest of this finds in 20 us
        reasoning = seen(exact[1])
        return _Parts(reasoning, reply.content[exact.start(2) :], bool(reasoning))
    whole = reply.finish_reason != "length"
    if field and whole and not reply.content.strip() and (parts := _whole_field(field)):
        return parts
    content = own_turn(reply.content)
    cut = split(content, whole=whole)
    rest = boxed(content[cut.start : cut.end])
    if not field:
        how = (("open_think",) if cut.opened else ()) + cut.names
        return _Parts(seen(cut.thought), rest, cut.sound and bool(seen(cut.thought)), how, cut.start > 0)
    reasoning, sound = _of_field(field)
    return _Parts(reasoning, rest, sound and cut.start == 0 and cut.end == len(content), ("reasoning_field",))


def _of_field(field: str) -> tuple[str, bool]:
    """A reasoning from its own field, without the marks around the whole, and whether it has none in it."""
    if next(find(field), None) is not None:
        cut = split(field)
        if cut.sound and not field[cut.start :].strip():
            return seen(cut.thought), True
        return seen(field), False
    reasoning = seen(field)
    return reasoning, bool(reasoning) and not ANSWER_TAG.search(field)


def _whole_field(field: str) -> _Parts | None:
    """A thought with its marks, and one answer after it, that all stand in the field of the reasoning; None for anything else."""
    cut = split(field)
    if not cut.sound:
        return None
    rest = boxed(field[cut.start :])
    found = _answers(rest, bare=False)
    how = ("whole_field", *(("open_think",) if cut.opened else ()), *cut.names)
    return _Parts(seen(cut.thought), rest, True, how) if found.alone and len(found.texts) == 1 else None


def _between(text: str) -> tuple[list[str], int, int, int]:
    """(what stands between answer tags, where the first tag begins, where the last one ends, how much of that is answers)."""
    tags = list(ANSWER_TAG.finditer(text))
    texts, length = [], 0
    for before, tag in pairwise(tags):
        if not before["closes"] and tag["closes"]:
            texts.append(text[before.end() : tag.start()])
            length += tag.end() - before.start()
    return (texts, tags[0].start(), tags[-1].end(), length) if tags else ([], -1, -1, 0)


def _answers(rest: str, *, bare: bool) -> _Found:
    texts, first, last, length = _between(rest)
    if first >= 0:
        blank = not without_controls(rest[:first]) and not without_controls(rest[last:])
        return _Found(texts, "tags" if texts else "", len(texts) == 1 and last - first == length and blank)
    text = without_controls(rest)
    if inside := boxes(text):
        return _Found(inside, "boxed", len(inside) == 1 and unboxed(text, prose=False) == unboxed(inside[0], prose=False))
    short = len(text) <= LONGEST and len(text.split(maxsplit=_BARE_WORDS)) <= _BARE_WORDS
    if bare and text and short and next(find(text), None) is None:
        return _Found([text], "bare", True)
    return _NOTHING


def _leads(rest: str) -> bool:
    """Whether the answer stands first: in a text without marks that was cut off, one further on may stand in a thought."""
    first = ANSWER_TAG.search(rest)
    return first is not None and not without_controls(rest[: first.start()])


def _may_be_bare(task: Task, reasoning: str) -> bool:
    """Whether a short content may be the answer: "I cannot help" would pass for a free answer, never for a label or a number."""
    closed = task.kind == "classify" or task.verifier in ("number", "choice")
    return closed or bool(reasoning)


def _agreed(found: _Found, options: tuple[str, ...], task: Task, refused: frozenset[str]) -> tuple[str | None, str | None]:
    """(answer, None), or (None, fault)."""
    if not found.texts:
        return None, "no_answer"
    read = [_comparable(one, options, task, refused) for text in found.texts for one in _several(text)]
    if len(read) > 1 and len({answer or normal(text) for answer, text, _ in read}) > 1:
        return None, "two_answers"
    answer, _, copied = read[0]
    if copied:
        return None, "placeholder"
    if answer is not None:
        return answer, None
    # Five words that are no label were never offered as an answer; an empty tag or box offers none either.
    offered = found.reading != "bare" and any(text.strip() for text in found.texts)
    return None, "not_an_option" if offered else "no_answer"


def _several(text: str) -> list[str]:
    """The boxes of an answer, where they differ; else the answer."""
    inside = boxes(text) if "\\boxed" in text else []
    return inside if len({box.strip() for box in inside}) > 1 else [text]


def _comparable(text: str, options: tuple[str, ...], task: Task, refused: frozenset[str]) -> tuple[str | None, str, bool]:
    """(the answer, the text it was read from, whether that is a placeholder)."""
    shown = unboxed(text)
    answer = task.comparable(shown, options)
    closed = task.kind == "classify" or (task.verifier == "choice" and bool(options))
    if ("<" in shown or "[" in shown) and (answer is None or not closed):
        shown = unboxed(without_controls(text))
        answer = task.comparable(shown, options)
    if not refused or (closed and answer is not None) or (task.verifier == "choice" and answer is not None and len(answer) == 1):
        return answer, shown, False
    return answer, shown, answer in refused or not refused.isdisjoint(_forms(shown))


def _how(found: _Found) -> tuple[str, ...]:
    if found.reading == "bare":
        return ("bare",)
    return ("boxed",) if found.reading == "boxed" or any("\\boxed" in text for text in found.texts) else ()


def _reasoning_tokens(reply: Reply, reasoning: str) -> int:
    """As reported, else the output's tokens by share of characters, else a quarter of the characters.

    A reported zero beside a reasoning comes from servers that count only their own reasoning field.
    """
    if reply.reasoning_tokens or not reasoning:
        return reply.reasoning_tokens or 0
    whole = len(reply.content) + len(reply.reasoning)
    return round(reply.output_tokens * len(reasoning) / whole) if reply.output_tokens else round(len(reasoning) / _CHARACTERS_PER_TOKEN)
