"""The OpenAI chat protocol: the bytes of a request, and what a body says."""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from cotforge.journal import Stored
from cotforge.records import Call, Picture, Reply
from cotforge.teachers.teacher import Teacher

_HERE = secrets.token_hex(16)
"""Stands where a picture goes while the request is JSON; not to be guessed by any text."""

MOST_TOKENS = 10_000_000
"""A count beyond it, or below zero, is nonsense (ours) and replaced by an estimate."""
CHARACTERS_PER_TOKEN = 4
"""For estimates where a server does not count (ours)."""


def data_url(picture: Picture) -> bytes:
    """The picture as a `data:` URL. Raises Fault where its file has changed."""
    return b"data:" + picture.mime.encode() + b";base64," + base64.b64encode(picture.load())


def request(call: Call, teacher: Teacher, images: Mapping[str, bytes]) -> list[bytes]:
    """The body of a chat completion request in pieces; `images` maps digests to data URLs, which are not copied."""
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
    finish, tokens_in, tokens_out, error, detail = "", 0, 0, None, ""
    try:
        answer = json.loads(body)
        reply = reply_of_answer(answer)
        finish, tokens_in, tokens_out = one_line(reply.finish_reason), reply.input_tokens, reply.output_tokens
        detail = "" if answer.get("usage") else "tokens are estimated: the server did not count"
        tokens_in = tokens_in or input_tokens(call)
    except _Unreadable as fault:
        error, detail = map(one_line, fault.args)
    except Exception as fault:  # a body is a stranger's: whatever is wrong with it, what was paid for is kept
        error, detail = "bad_body", f"not a chat completion: {type(fault).__name__}"
    return Stored(
        attempt=attempt,
        key=bytes.fromhex(call.key),
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
    usage = answer.get("usage") or {}
    details = usage.get("completion_tokens_details") or {}
    if not kept:
        kept = {
            "finish_reason": str(choice.get("finish_reason") or ""),
            "input_tokens": _count(usage.get("prompt_tokens")) or 0,
            "output_tokens": _count(usage.get("completion_tokens")) or (len(content) + len(reasoning)) // CHARACTERS_PER_TOKEN,
        }
    return Reply(key, content, reasoning, reasoning_tokens=_count(details.get("reasoning_tokens")) or None, **kept)


def reply_of(stored: Stored) -> Reply:
    """The Reply that a row of the journal holds."""
    kept: dict[str, Any] = {
        "input_tokens": stored.input_tokens, "output_tokens": stored.output_tokens, "cost_usd": stored.cost_usd,
        "seconds": stored.seconds, "max_tokens": stored.max_tokens,
    }  # fmt: skip
    if stored.error is not None:
        return Reply(stored.key.hex(), error=stored.error, detail=stored.detail, passing=stored.passing, **kept)
    return reply_of_answer(json.loads(stored.body), stored.key.hex(), finish_reason=stored.finish_reason, **kept)


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
