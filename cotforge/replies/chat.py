"""A chat completion, read once: its texts, its counts, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cotforge.records import ANSWERED, Outcome, OutcomeKind
from cotforge.replies.finish_reasons import Finish, read_finish
from cotforge.replies.refusals import inside_ok
from cotforge.replies.stream import Broken, complete_chunks, is_stream, join_stream, json_documents, strip_prefix
from cotforge.replies.text import one_line

LONG_FIELD = 200
"""Characters from which on a text in a field of the message that is not known is taken for a reasoning that was paid for."""
MOST_TOKENS = 10_000_000
"""A count beyond it, or below zero, is nonsense and replaced by an estimate. No model of today has such a context."""
SHOWN = 100
"""Characters of a body nobody can read that its error shows."""
REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "thinking", "reasoning_text")
"""Fields of a message that hold a reasoning; the first that holds any is read. vLLM, SGLang and DeepSeek: the first two; OpenRouter: the
second and third (openrouter.ai/docs, reasoning tokens); LiteLLM: the fourth (docs.litellm.ai, reasoning content); Ollama: the fifth."""
WRAPPERS = ("data", "result", "output", "response", "body")
"""Fields in which some gateways put the whole completion: DashScope's own protocol has `output`, others answer {"code", "data"}."""
_THINKING = frozenset(
    {"thinking", "reasoning", "redacted_thinking", "reasoning.text", "reasoning.summary", "reasoning_text", "reasoning_content", "thought"}
)
_TEXTS = ("text", "thinking", "reasoning", "reasoning_content", "summary", "content", "value", "refusal")
_ERRORS = ("code", "message", "msg", "detail", "errors", "error_code", "error_msg", "errorCode", "errorMessage", "statusCode")
"""Fields of a body without choices that make it an error: Baidu, FastAPI, Spring, and gateways of their own form."""
_KNOWN_FIELDS = frozenset(
    {"content", "text", "refusal", "role", "message", "delta", "logprobs", "token_ids", "prompt_token_ids", "prompt_logprobs", "audio"}
    | {"annotations", "tool_calls", "function_call", "provider_specific_fields", "content_filter_results", "error", *REASONING_FIELDS}
)
"""Fields of a message or a choice that are read, or hold no reasoning."""
LONGEST_NAME = 60
_DEEPEST = 8
_OK = (None, "", 0, "0", 200, "200", 1000)


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
    unread_field: str = ""
    """A field of the message that is not known, with a long text in it, where no reasoning was found; empty where there is none."""


def read_completion(body: str, content_type: str = "") -> Completion:
    """A body that came with status 200, read: never raises, whatever it is."""
    try:
        answer, problem = _parse_body(body)
        return _unreadable_body(body, content_type, problem) if problem else _read_answer(_unwrap_answer(answer))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return _unreadable_body(body, content_type, "")


def refused_in(body: str) -> Outcome | None:
    """What an error means that came with status 200, whatever was asked for; None where the body holds none."""
    try:
        answer = _parse_body(body)[0]
        answer = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
        refused = _error_object(answer, {}, {}) if isinstance(answer, dict) else None
        return inside_ok(refused) if refused and (answer.get("error") or not answer.get("data")) else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _parse_body(body: str) -> tuple[Any, str]:
    """(the JSON of a body, "") or (None, what is wrong with it)."""
    try:
        return json.loads(body), ""
    except ValueError:
        text = strip_prefix(body)
    try:
        return (join_stream(text) if is_stream(text) else _single_completion(json_documents(text))), ""
    except Broken as broken:
        return None, str(broken)
    except ValueError:
        return None, "the events of its stream are no chat completion" if is_stream(text) else "not a chat completion"


def _single_completion(found: list[Any]) -> Any:
    """The completion that several JSON texts are: the same one sent twice, or the chunks of one. Raises ValueError where there is none."""
    if not found:
        raise ValueError("an empty body")
    return found[0] if found.count(found[0]) == len(found) else complete_chunks(found, done=False)


def _unwrap_answer(answer: Any) -> Any:
    """The completion itself, out of a list or a wrapper around it."""
    if isinstance(answer, list) and answer:
        return answer[0] if len(answer) == 1 else complete_chunks(answer, done=False)
    if isinstance(answer, dict) and not answer.get("choices"):
        inner = [answer[name] for name in WRAPPERS if isinstance(answer.get(name), dict) and answer[name].get("choices")]
        if inner:
            return {"usage": answer.get("usage"), **inner[0]}
        if isinstance(answer.get("message"), dict) and answer.get("done") is True:
            return complete_chunks([answer], done=True)
    return answer


def _unreadable_body(body: str, content_type: str, problem: str) -> Completion:
    kind = one_line(content_type.partition(";")[0]) or "no content type"
    shown = one_line(body)[:SHOWN]
    detail = f"{problem or 'not a chat completion'}: {kind}, {f'beginning {shown!r}' if shown else 'and nothing in it'}"
    return Completion(Outcome(OutcomeKind.PASSING, "bad_body", detail, retry=True))


def _read_answer(answer: Any) -> Completion:
    if not isinstance(answer, dict):
        raise TypeError
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    message = choice.get("message") or choice.get("delta") or {}
    message = {"content": message} if isinstance(message, str) else message
    if refused := _error_object(answer, choice, message):
        return _with_counts(answer, inside_ok(refused), "", "", "")
    if not choice:
        raise LookupError
    content, thoughts = _content_parts(message.get("content", choice.get("text")))
    reasoning = _reasoning_text(message, choice) or thoughts
    if not content and message.get("refusal"):
        content = _part_text(message["refusal"])
    reason, outcome = _finish_reason(choice)
    if not message and not content and outcome.kind is OutcomeKind.ANSWERED:
        raise LookupError
    unread = "" if reasoning else _unread_field(message, choice)
    return _with_counts(answer, outcome, content, reasoning, reason, unread)


def _unread_field(message: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    """The name of the field with the longest text that is read by nobody, from LONG_FIELD characters on; empty where there is none."""
    own = message.get("provider_specific_fields")
    found = {
        str(name): len(_part_text(value))
        for place in (choice, own if isinstance(own, dict) else {}, message)
        for name, value in place.items()
        if name not in _KNOWN_FIELDS
    }
    name = max(found, key=found.__getitem__, default="")
    return one_line(name)[:LONGEST_NAME] if name and found[name] >= LONG_FIELD else ""


def _reasoning_text(message: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    """The reasoning apart from the content; some gateways put it beside the message, or with what is their provider's own."""
    own = message.get("provider_specific_fields")
    for place in (message, own if isinstance(own, dict) else {}, choice):
        for name in REASONING_FIELDS:
            if name in place and (text := _part_text(place[name])):
                return text
    return ""


def _error_object(answer: Mapping[str, Any], choice: Mapping[str, Any], message: Mapping[str, Any]) -> Any:
    """The error object that stands in a body, beside its choices or inside one; None where there is none."""
    for place in (answer, choice, message):
        if (error := place.get("error")) and not _is_hollow(error):
            return error
    told = answer.get("base_resp")
    if isinstance(told, dict) and told.get("status_code") not in _OK:  # MiniMax answers 200 to everything
        return {"code": told["status_code"], "message": told.get("status_msg")}
    return answer if not answer.get("choices") and any(answer.get(name) for name in _ERRORS) else None


def _is_hollow(error: Any) -> bool:
    """Whether an error object says that there is none: {"code": 0, "message": ""}."""
    return isinstance(error, dict) and error.get("code") in _OK and not any(value for name, value in error.items() if name != "code")


def _finish_reason(choice: Mapping[str, Any]) -> tuple[str, Outcome]:
    """(the finish reason in its common form, what it says about the text)."""
    said = _reason_word(choice.get("finish_reason", choice.get("finishReason")))
    known = read_finish(said or None)
    for name in ("native_finish_reason", "stop_reason", "finish_details"):  # OpenRouter's; vLLM's and Anthropic's; OpenAI's of 2023
        own = _reason_word(choice.get(name))
        if own and known in (Finish.STOP, Finish.UNKNOWN) and read_finish(own) in (Finish.LENGTH, Finish.FILTERED, Finish.ERROR):
            said, known = own, read_finish(own)
    if known == Finish.ERROR:
        detail = f"finish_reason {said!r}: the server gave up before the end"
        return known.value, Outcome(OutcomeKind.PASSING, "error", detail, retry=True)
    return (known.value if known != Finish.UNKNOWN else said) if said else "", outcome_of(known)


def _reason_word(reason: Any) -> str:
    """A finish reason as a word; SGLang's own form, and OpenAI's of 2023, is a mapping with the word under `type`."""
    if isinstance(reason, str) and len(reason) < 60 and reason.isidentifier():  # nearly always
        return reason
    reason = reason.get("type") if isinstance(reason, dict) else reason
    return "" if reason is None else one_line(str(reason))  # as it is kept


def outcome_of(known: Finish) -> Outcome:
    """What a finish reason says about a text that came."""
    kind = {Finish.LENGTH: OutcomeKind.CUT_OFF, Finish.FILTERED: OutcomeKind.FILTERED}.get(known)
    return ANSWERED if kind is None else Outcome(kind)


def _with_counts(answer: Mapping[str, Any], outcome: Outcome, content: str, reasoning: str, reason: str, unread: str = "") -> Completion:
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}  # a reply is not lost for it
    details = usage.get("completion_tokens_details")
    return Completion(
        outcome, content, reasoning, reason,
        input_tokens=_token_count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=_token_count(usage.get("completion_tokens", usage.get("output_tokens"))),
        reasoning_tokens=(_token_count(details.get("reasoning_tokens")) if isinstance(details, dict) else None) or None,
        counted=bool(usage), unread_field=unread,
    )  # fmt: skip


def _content_parts(content: Any) -> tuple[str, str]:
    """(text, thoughts) of a content: a text, or a list of parts of which some are thoughts (Gemini's have `thought: true`)."""
    if not isinstance(content, list):
        return _part_text(content), ""
    parts = [part for part in content if isinstance(part, dict | str)]
    thoughts = [part for part in parts if isinstance(part, dict) and _is_thought(part)]
    texts = [part for part in parts if not (isinstance(part, dict) and _is_thought(part))]
    return "".join(map(_part_text, texts)), "".join(map(_part_text, thoughts))


def _is_thought(part: Mapping[str, Any]) -> bool:
    """Whether a part of a content is a thought; Gemini marks it by a field of its own."""
    return part.get("type") in _THINKING or part.get("thought") is True


def _part_text(value: Any, depth: int = 0) -> str:
    """The text of a string, of a part, or of a list of such; empty for everything else."""
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join(_part_text(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return next((text for name in _TEXTS if (text := _part_text(value.get(name), depth + 1))), "")
    return ""


def _token_count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
