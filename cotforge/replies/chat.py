"""A chat completion, read once: its texts, its counts, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cotforge.records import ANSWERED, Outcome, OutcomeKind
from cotforge.replies.finish_reasons import Finish, finish
from cotforge.replies.refusal_codes import codes_and_message
from cotforge.replies.refusals import inside_ok
from cotforge.replies.stream import Broken, is_stream, joined, plain
from cotforge.replies.text import one_line

MOST_TOKENS = 10_000_000
"""A count beyond it, or below zero, is nonsense and replaced by an estimate. No model of today has such a context."""
SHOWN = 100
"""Characters of a body nobody can read that its error shows."""
REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "thinking", "reasoning_text")
"""Fields of a message that hold a reasoning; the first that holds any is read. vLLM, SGLang and DeepSeek: the first two; OpenRouter: the
second and third (openrouter.ai/docs, reasoning tokens); LiteLLM: the fourth (docs.litellm.ai, reasoning content); Ollama: the fifth."""
_THINKING = ("thinking", "reasoning", "redacted_thinking", "reasoning.text", "reasoning.summary")
_TEXTS = ("text", "thinking", "reasoning", "summary", "content")
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Completion:
    """What a body says."""

    outcome: Outcome
    content: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    """`stop`, `length`, `content_filter`, `tool_calls` or `error`; the server's own word where it is unknown; empty where it is absent."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    """None where the server did not count, or counted nonsense."""
    reasoning_tokens: int | None = None
    counted: bool = False
    """Whether the server said anything about tokens at all."""


def completion(body: str, content_type: str = "") -> Completion:
    """A body that came with status 200, read: never raises, whatever it is."""
    try:
        answer, problem = _parsed(body)
        return _unreadable(body, content_type, problem) if problem else _read(answer, body)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return _unreadable(body, content_type, "")


def _parsed(body: str) -> tuple[Any, str]:
    """(the JSON of a body, "") or (None, what is wrong with it)."""
    try:
        return json.loads(body), ""
    except ValueError:
        text = plain(body)
    try:
        return (joined(text) if is_stream(text) else json.loads(text)), ""
    except Broken as broken:
        return None, str(broken)
    except ValueError:
        return None, "the events of its stream are no chat completion" if is_stream(text) else "not a chat completion"


def _unreadable(body: str, content_type: str, problem: str) -> Completion:
    kind = one_line(content_type.partition(";")[0]) or "no content type"
    shown = one_line(body)[:SHOWN]
    detail = f"{problem or 'not a chat completion'}: {kind}, {f'beginning {shown!r}' if shown else 'and nothing in it'}"
    return Completion(Outcome(OutcomeKind.PASSING, "bad_body", detail, retry=True))


def _read(answer: Any, body: str) -> Completion:
    if not isinstance(answer, dict):
        raise TypeError
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    message = choice.get("message") or {}
    if refused := _error(answer, choice, message):
        return _with_counts(answer, inside_ok(refused), "", "", "")
    if not choice:
        raise LookupError
    content, thoughts = _parts(message.get("content", choice.get("text")))
    reasoning = next((text for name in REASONING_FIELDS if (text := _text(message.get(name)))), "") or thoughts
    if not content and message.get("refusal"):
        content = _text(message["refusal"])
    if not message and not content:
        raise LookupError
    reason, outcome = _finished(choice)
    return _with_counts(answer, outcome, content, reasoning, reason)


def _error(answer: Mapping[str, Any], choice: Mapping[str, Any], message: Mapping[str, Any]) -> Any:
    """The error object that stands in a body, beside its choices or inside one; None where there is none."""
    for place in (answer, choice, message):
        if place.get("error"):
            return place["error"]
    if (status := (answer.get("base_resp") or {}).get("status_code")) and status != 1000:  # MiniMax answers 200 to everything
        return {"code": status, "message": answer["base_resp"].get("status_msg")}
    return None if "choices" in answer or not ("code" in answer or "message" in answer) else answer


def _finished(choice: Mapping[str, Any]) -> tuple[str, Outcome]:
    """(the finish reason in its common form, what it says about the text)."""
    said = choice.get("finish_reason")
    said = said.get("type") if isinstance(said, dict) else said  # SGLang's own form
    known, own = finish(said if isinstance(said, str) else None), choice.get("native_finish_reason")
    if known in (Finish.STOP, Finish.UNKNOWN) and isinstance(own, str) and finish(own) in (Finish.LENGTH, Finish.FILTERED, Finish.ERROR):
        said, known = own, finish(own)
    if known == Finish.ERROR:
        detail = f"finish_reason {one_line(str(said))!r}: the server gave up before the end"
        return known.value, Outcome(OutcomeKind.PASSING, "error", detail, retry=True)
    return (known.value if known != Finish.UNKNOWN else one_line(str(said or ""))) if said else "", outcome_of(known)


def outcome_of(known: Finish) -> Outcome:
    """What a finish reason says about a text that came."""
    kind = {Finish.LENGTH: OutcomeKind.CUT_OFF, Finish.FILTERED: OutcomeKind.FILTERED}.get(known)
    return ANSWERED if kind is None else Outcome(kind)


def _with_counts(answer: Mapping[str, Any], outcome: Outcome, content: str, reasoning: str, reason: str) -> Completion:
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}  # a reply is not lost for it
    details = usage.get("completion_tokens_details")
    return Completion(
        outcome, content, reasoning, reason,
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        reasoning_tokens=(_count(details.get("reasoning_tokens")) if isinstance(details, dict) else None) or None,
        counted=bool(usage),
    )  # fmt: skip


def _parts(content: Any) -> tuple[str, str]:
    """(text, thoughts) of a content: a text, or a list of parts of which some are thoughts (Gemini's have `thought: true`)."""
    if not isinstance(content, list):
        return _text(content), ""
    parts = [part for part in content if isinstance(part, dict | str)]
    thoughts = [part for part in parts if isinstance(part, dict) and (part.get("type") in _THINKING or part.get("thought") is True)]
    texts = [part for part in parts if part not in thoughts]
    return "".join(map(_text, texts)), "".join(map(_text, thoughts))


def _text(value: Any, depth: int = 0) -> str:
    """The text of a string, of a part, or of a list of such; empty for everything else."""
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join(_text(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return next((text for name in _TEXTS if (text := _text(value.get(name), depth + 1))), "")
    return ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


def error_of(value: Any) -> tuple[str, str]:
    """(code words, message) of an error object that stood in a body."""
    return codes_and_message(json.dumps({"error": value}))
