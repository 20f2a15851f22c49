"""The OpenAI chat protocol: the bytes of a request, and what a body says."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from cotforge.journal import DAMAGED, Stored
from cotforge.records import Call, Reply
from cotforge.teachers.teacher import Teacher

_HERE = secrets.token_hex(16)
"""Stands where a picture goes while the request is JSON; not to be guessed by any text."""

MOST_TOKENS = 10_000_000
"""A count beyond it, or below zero, is nonsense (ours) and replaced by an estimate."""
CHARACTERS_PER_TOKEN = 4
"""For estimates where a server does not count (ours)."""


def request(call: Call, teacher: Teacher, images: Mapping[str, bytes]) -> list[bytes]:
    """The body of a chat completion request in pieces; `images` maps digests to URLs (`images.Sending`), which are not copied."""
    digests: list[str] = []
    messages = [{"role": message["role"], "content": [_part(part, digests) for part in message["content"]]} for message in call.messages]
    fields: dict[str, Any] = {"model": teacher.model, "messages": messages, **teacher.body}
    for name in ("temperature", "top_p", "max_tokens"):
        if (value := getattr(teacher, name)) is not None:
            fields[name] = value
    texts = json.dumps(fields, ensure_ascii=False).encode().split(_HERE.encode())
    pieces = [texts[0]]
    for digest, text in zip(digests, texts[1:], strict=True):
        pieces += (images[digest], text)
    return pieces


def _part(part: Mapping[str, Any], digests: list[str]) -> Mapping[str, Any]:
    if part["type"] != "image":
        return part
    digests.append(part["digest"])
    return {"type": "image_url", "image_url": {"url": _HERE}}


def stored_of(body: str, *, attempt: int, call: Call, teacher: Teacher, seconds: float) -> Stored:
    """How a 200 is recorded: never raises, whatever the body is. An unreadable body is a passing error that keeps the body."""
    return stored_under(call.key, body, attempt=attempt, teacher=teacher, seconds=seconds, estimate=lambda: input_tokens(call))


def stored_under(key: str, body: str, *, attempt: int, teacher: Teacher, seconds: float, estimate: Callable[[], int]) -> Stored:
    """The same where nothing but the Call's key is known any more; `estimate` is its input in tokens, for a server that does not count."""
    finish, tokens_in, tokens_out, error, detail = "", 0, 0, None, ""
    try:
        answer = json.loads(body)
        reply = reply_of_answer(answer)
        finish, tokens_in, tokens_out = one_line(reply.finish_reason), reply.input_tokens, reply.output_tokens
        detail = _estimated(_usage(answer))
        tokens_in = tokens_in or estimate()
    except _Unreadable as fault:
        error, detail = map(one_line, fault.args)
    except Exception as fault:  # a body is a stranger's: whatever is wrong with it, what was paid for is kept
        error, detail = "bad_body", f"not a chat completion: {type(fault).__name__}"
    return Stored(
        attempt=attempt,
        key=bytes.fromhex(key),
        status=200,
        error=error,
        detail=detail,
        passing=error is not None,
        final=error is None,
        finish_reason=finish,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=teacher.price.usd(tokens_in, tokens_out),
        seconds=seconds,
        max_tokens=teacher.max_tokens,
        body=body if error is None else body[:2000],
    )


def one_line(text: str) -> str:
    """The beginning of a stranger's message on one line: no control characters, no halves of characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:600]).split())[:300]


class _Unreadable(Exception):
    """(error, detail) of a body that is JSON but no answer."""


def reply_of_answer(answer: Any, key: str = "", **kept: Any) -> Reply:
    """A Reply from the JSON of a chat completion; `kept` are fields that the journal knows already. Raises where it is none."""
    if not isinstance(answer, dict):
        raise _Unreadable("bad_body", "not a JSON object")
    if "choices" not in answer and isinstance(answer.get("error"), dict):  # some gateways answer 200 and mean 500
        raise _Unreadable(str(answer["error"].get("code") or "error"), str(answer["error"].get("message", ""))[:300])
    choice = answer["choices"][0]
    message = choice["message"]
    content, reasoning = _text(message.get("content")), _text(message.get("reasoning_content") or message.get("reasoning"))
    if not content and message.get("refusal"):
        content = _text(message["refusal"])
    usage = _usage(answer)
    details = usage.get("completion_tokens_details")
    if not kept:
        kept = {
            "finish_reason": str(choice.get("finish_reason") or ""),
            "input_tokens": _count(usage.get("prompt_tokens")) or 0,
            "output_tokens": _count(usage.get("completion_tokens")) or (len(content) + len(reasoning)) // CHARACTERS_PER_TOKEN,
        }
    reasoning_tokens = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    return Reply(key, content, reasoning, reasoning_tokens=reasoning_tokens or None, **kept)


def reply_of(stored: Stored) -> Reply:
    """The Reply that a row of the journal holds; an error where the disk has spoilt its body, so that the others are not lost with it."""
    kept: dict[str, Any] = {
        "input_tokens": stored.input_tokens, "output_tokens": stored.output_tokens, "cost_usd": stored.cost_usd,
        "seconds": stored.seconds, "max_tokens": stored.max_tokens,
    }  # fmt: skip
    if stored.error is not None:
        return Reply(stored.key.hex(), error=stored.error, detail=stored.detail, passing=stored.passing, **kept)
    try:
        return reply_of_answer(json.loads(stored.body), stored.key.hex(), finish_reason=stored.finish_reason, **kept)
    except Exception as fault:  # it was read once, before it was kept: only the disk can have changed it
        return Reply(stored.key.hex(), error=DAMAGED, detail=f"its copy in the journal is damaged: {type(fault).__name__}", **kept)


def blank(stored: Stored) -> bool:
    """Whether a reply holds no word, and for no reason that another attempt would meet again: a filter, or too few tokens."""
    if stored.error is not None or stored.finish_reason in ("length", "content_filter"):
        return False
    reply = reply_of(stored)
    return not (reply.content.strip() or reply.reasoning.strip())


def _usage(answer: dict[str, Any]) -> dict[str, Any]:
    """What a server says of its tokens; nothing where that is no object: a reply is not lost for it."""
    usage = answer.get("usage")
    return usage if isinstance(usage, dict) else {}


def _estimated(usage: Mapping[str, Any]) -> str:
    """One line where tokens had to be estimated; empty where the server's counts can be believed."""
    if None not in (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))):
        return ""
    return f"tokens are estimated: the server {'counted what cannot be' if usage else 'did not count'}"


def _text(content: Any) -> str:
    if isinstance(content, list):  # content parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


def input_tokens(call: Call) -> int:
    """About how many tokens a teacher reads: characters / 4, and one per 28 x 28 pixels of each picture (Qwen2.5-VL's patch)."""
    letters = sum(len(part["text"]) for message in call.messages for part in message["content"] if part["type"] == "text")
    return letters // CHARACTERS_PER_TOKEN + sum(-(-picture.width // 28) * -(-picture.height // 28) for picture in call.sample.pictures)
