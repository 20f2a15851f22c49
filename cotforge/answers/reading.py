"""A Reply read into a Trace: where the reasoning ends, what the answer is, and by which reading it was found."""

import re
from typing import NamedTuple

from cotforge.answers.cleaning import own_turn, replace_box_tokens, without_controls
from cotforge.answers.finding import NOTHING, STAND_INS, Found, agreed_answer, answers_in, placeholders_of_call
from cotforge.answers.json_reply import JsonReply, read_json
from cotforge.answers.task import Task
from cotforge.answers.text import LONGEST, clean_text, normal_form
from cotforge.answers.thoughts import ANSWER_TAG, find_marks, split_thoughts
from cotforge.answers.written_tags import with_plain_tags
from cotforge.records import Call, OutcomeKind, ReadingFault, Reply, Trace

_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)
_EXACT = re.compile(r"\s*<think>([^<]*)</think>(\s*)<answer>([^<\[◁]*)</answer>\s*")
_CHARACTERS_PER_TOKEN = 4
_SHORT = 100
"""Characters of a content that is looked at for whether it says anything."""


class Reading(NamedTuple):
    """What a Reply says."""

    reasoning: str
    answer: str | None
    """Canonical label or comparable free answer; None where none could be read, or the reply was cut off before it."""
    fault: ReadingFault | None
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


def read_reply(reply: Reply, call: Call, task: Task, *, refused: frozenset[str] | None = None) -> Trace:
    """The Trace of a reply that came: `read_text` with the Call's options and, but for `refused`, the placeholders in its messages."""
    found = read_text(reply, call.sample.options, task, placeholders_of_call(call.messages) if refused is None else refused)
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
        unread_field="" if found.reasoning else reply.unread_field,
        probability=None if found.answer is None else reply.probability,
    )


def why_lost(reply: Reply, trace: Trace | None, *, needs_reasoning: bool) -> str | None:
    """Why a Call came to nothing, as `losses.parquet` has it: the error, why the Reply was not read, or `no_reasoning`; else None."""
    if trace is None:
        return reply.error
    return "no_reasoning" if trace.fault is None and needs_reasoning and not trace.reasoning else trace.fault


def read_text(reply: Reply, options: tuple[str, ...], task: Task, placeholders: frozenset[str] = frozenset()) -> Reading:
    """What a reply says; `fault` says why it cannot be used, and is None where it can.

    The reasoning is the reply's own field, else what stands between the marks of any family in `marks.THOUGHTS`; the opening mark may
    have stood in the prompt. Only what follows the last thought can hold the answer, and nothing in a thought that is open: the tags,
    else a `\\boxed{}` or box tokens, else at most five words that are one label. A free answer without a form of its own (`exact`,
    `math`) is read bare only after a reasoning. Control tokens, and turns of the user that a model made up, are no part of a reply.

    `read_as` is `tags`, or those of these that were needed, joined by `+`: `whole_field` (all of it stood in the field of the
    reasoning), `reasoning_field`, `open_think` (the prompt had opened the thought), the name of the family of marks (`kimi`, `mistral`,
    ...), `json` (an object with a reasoning and an answer), `bare`, `boxed`.

    A reply cut off by `length` has the fault `truncated` and is never well formed, but keeps its answer, as a ballot, where the answer
    tag was closed after a closed thought or with nothing before it. Everything else with a fault has no answer. `placeholders` are
    refused as answers, but for options (fault `placeholder`).
    """
    parts = _split_reply(reply)
    answer, fault, found = None, _why_unusable(reply), NOTHING
    if fault is None or fault == "truncated":
        found = answers_in(parts.rest, bare=_may_be_bare(task, parts.reasoning))
        answer, unread = agreed_answer(found, options, task, placeholders)
        if fault == "truncated":
            answer = answer if found.reading == "tags" and (parts.closed or _answer_comes_first(parts.rest)) else None
        else:
            fault = unread
    how = parts.how if answer is None else (*parts.how, *_ways_of_reading(found))
    return Reading(parts.reasoning, answer, fault, "+".join(how) or "tags", parts.sound and found.alone and fault != "truncated")


def reads_well(text: str) -> bool:
    """Whether a text is exactly `<think>R</think><answer>A</answer>`, R and A not blank, with only space around and between."""
    tags = list(_TAG.finditer(text))
    if [tag.group().lower() for tag in tags] != ["<think>", "</think>", "<answer>", "</answer>"]:
        return False
    outside = text[: tags[0].start()] + text[tags[1].end() : tags[2].start()] + text[tags[3].end() :]
    inside = text[tags[0].end() : tags[1].start()], text[tags[2].end() : tags[3].start()]
    return not outside.strip() and all(part.strip() for part in inside)


def _why_unusable(reply: Reply) -> ReadingFault | None:
    if reply.outcome.kind is OutcomeKind.FILTERED or reply.finish_reason == "content_filter":
        return "content_filter"
    if reply.outcome.kind is OutcomeKind.CUT_OFF or reply.finish_reason == "length":
        return "truncated"
    return None if reply.content.strip() or reply.reasoning.strip() else "empty"


def _split_reply(reply: Reply) -> _Parts:
    field = reply.reasoning.strip()
    if not field and (exact := _EXACT.fullmatch(reply.content)):  # what most replies are, and what the rest of this finds in 20 us
        reasoning = clean_text(exact[1])
        return _Parts(reasoning, reply.content[exact.start(2) :], bool(reasoning))
    if (said := read_json(reply.content)) is not None and (parts := _of_json(said, field)) is not None:
        return parts
    whole = reply.finish_reason != "length"
    if field and whole and _is_blank(reply.content) and (parts := _whole_field(field)):
        return parts
    content = own_turn(with_plain_tags(reply.content.lstrip("\ufeff")))
    cut = split_thoughts(content, whole=whole)
    rest = replace_box_tokens(content[cut.start : cut.end])
    if not field:
        reasoning = clean_text(cut.thought)
        how = (("open_think",) if cut.opened else ()) + cut.names
        return _Parts(reasoning, rest, cut.sound and bool(reasoning), how, cut.start > 0)
    reasoning, sound = _of_field(field)
    again = cut.sound and clean_text(cut.thought) == reasoning
    return _Parts(reasoning, rest, sound and (again or cut.start == 0) and cut.end == len(content), ("reasoning_field",))


def _of_json(said: JsonReply, field: str) -> _Parts | None:
    """The parts of an object with a reasoning and an answer; the field of the reasoning is before its own. None where tags stand in it."""
    if normal_form(said.answer) in STAND_INS or ANSWER_TAG.search(said.answer) or next(find_marks(said.answer), None) is not None:
        return None
    reasoning, sound = _of_field(field or said.reasoning)
    how = ("reasoning_field", "json") if field else ("json",)
    return _Parts(reasoning, f"<answer>{said.answer}</answer>", sound and (said.in_order or bool(field)), how)


def _is_blank(content: str) -> bool:
    """Whether a content says nothing: blank, but for control tokens and what cannot be seen."""
    return not content.strip() or (len(content) <= _SHORT and not without_controls(clean_text(content)))


def _of_field(field: str) -> tuple[str, bool]:
    """A reasoning from its own field, without the marks around it and what follows them, and whether it has none in it."""
    if next(find_marks(field), None) is not None:
        cut = split_thoughts(field)
        if cut.sound and (whole := _rest_is_blank(field[cut.start :])) is not None:
            return clean_text(cut.thought), whole
        return clean_text(field), False
    reasoning = clean_text(field)
    return reasoning, bool(reasoning) and not ANSWER_TAG.search(field)


def _rest_is_blank(rest: str) -> bool | None:
    """Of what follows a thought in its own field: True where it is blank, False where it is one answer, None where it is more."""
    return True if not rest.strip() else False if answers_in(replace_box_tokens(rest), bare=False).alone else None


def _whole_field(field: str) -> _Parts | None:
    """A thought with its marks, and one answer after it, that all stand in the field of the reasoning; None for anything else."""
    cut = split_thoughts(field)
    if not cut.sound:
        return None
    rest = replace_box_tokens(field[cut.start :])
    found = answers_in(rest, bare=False)
    how = ("whole_field", *(("open_think",) if cut.opened else ()), *cut.names)
    return _Parts(clean_text(cut.thought), rest, True, how) if found.alone and len(found.texts) == 1 else None


def _answer_comes_first(rest: str) -> bool:
    """Whether the answer stands first: in a text without marks that was cut off, one further on may stand in a thought."""
    first = ANSWER_TAG.search(rest)
    return first is not None and not without_controls(rest[: first.start()])


def _may_be_bare(task: Task, reasoning: str) -> bool:
    """Whether a short content may be the answer: "I cannot help" would pass for a free answer, never for a label or a number."""
    closed = task.kind == "classify" or task.verifier in ("number", "choice")
    return closed or bool(reasoning)


def _ways_of_reading(found: Found) -> tuple[str, ...]:
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


class Span(NamedTuple):
    """A part of a text."""

    text: str
    start: int
    end: int
    """The place behind its last character."""


def answer_span(reply: Reply) -> Span | None:
    """Where a reply gives its final answer, whatever that is; None where it gives none, or one that is not found again as it stands."""
    parts = _split_reply(reply)
    if "json" in parts.how and not parts.sound:  # there its answer need not be the last that stands in it
        return None
    texts = answers_in(parts.rest, bare=True).texts
    raw = texts[-1].strip() if texts else ""
    text = reply.reasoning if _is_blank(reply.content) else reply.content
    if not raw or len(raw) > LONGEST:
        return None
    # The words of an answer may stand in the text more than once: it is the last between marks, else the last.
    *_, last = [None, *re.finditer(rf"(?<=[>{{\]])\s*+({re.escape(raw)})\s*+(?=[<}}\[])", text)]
    start = last.start(1) if last is not None else text.rfind(raw)
    return Span(text, start, start + len(raw)) if start >= 0 else None
