"""The OpenAI chat protocol: the bytes of a request, and the Attempt that its answer makes."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from cotforge.records import Call
from cotforge.replies.attempt import Attempt, answered
from cotforge.replies.usage import ANY_INPUT, CHARACTERS_PER_TOKEN, Most
from cotforge.teachers.teacher import Teacher

UNBOUNDED_OUTPUT = 8192
"""Output tokens that a Call is expected to take at most where its teacher has no `max_tokens` (default chosen by us)."""
LONGEST_OUTPUT = 131_072
"""Output tokens that are believed there: the longest that models of today write."""
MOST_OFF = 32
"""Times our own count of the input that a server's count is believed (default chosen by us): a token is a byte of text at least."""
_HERE = secrets.token_hex(16)
"""Stands where a picture goes while the request is JSON; not to be guessed by any text."""


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


def attempt_of(body: str, *, number: int, call: Call, teacher: Teacher, seconds: float, content_type: str = "application/json") -> Attempt:
    """How a 200 is recorded: never raises, whatever the body is."""
    return answered(
        call.key, body, number=number, max_tokens=teacher.max_tokens, usd=teacher.price.usd, estimate=lambda: input_tokens(call),
        most=Most(lambda: most_input(call), longest_output(teacher)), seconds=seconds, content_type=content_type,
    )  # fmt: skip


def input_tokens(call: Call) -> int:
    """About how many tokens a teacher reads: characters / 4, and one per 28 x 28 pixels of each picture (Qwen2.5-VL's patch)."""
    letters = sum(len(part["text"]) for message in call.messages for part in message["content"] if part["type"] == "text")
    return letters // CHARACTERS_PER_TOKEN + sum(-(-picture.width // 28) * -(-picture.height // 28) for picture in call.sample.pictures)


def most_input(call: Call) -> int:
    """Tokens that a teacher can read at most, whoever counts them: what is sent can weigh no more."""
    return believable_input(input_tokens(call), pictures=len(call.sample.pictures))


def believable_input(estimated: int, *, pictures: int = 1) -> int:
    """The same from our own count of the input: ANY_INPUT for each picture beside it."""
    return MOST_OFF * estimated + ANY_INPUT * max(1, pictures)


def most_output(teacher: Teacher) -> int:
    """Output tokens of one Call, at most: `max_tokens`, or the name that newer servers have for it, else a bound chosen by us."""
    return _output_limit(teacher) or UNBOUNDED_OUTPUT


def longest_output(teacher: Teacher) -> int:
    """Output tokens of one Call that a server's count is believed up to."""
    return _output_limit(teacher) or LONGEST_OUTPUT


def _output_limit(teacher: Teacher) -> int | None:
    limit = teacher.max_tokens or teacher.body.get("max_completion_tokens")
    return limit if isinstance(limit, int) and limit > 0 else None
