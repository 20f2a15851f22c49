"""The OpenAI chat protocol: the bytes of a request, and the Attempt that its answer makes."""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from cotforge.answers import answer_span
from cotforge.records import Call
from cotforge.replies.attempt import Attempt, answered_attempt
from cotforge.replies.text import LOOKED_AT
from cotforge.replies.usage import ANY_INPUT, CHARACTERS_PER_TOKEN, Most
from cotforge.teachers.teacher import Teacher

UNBOUNDED_OUTPUT = 8192
"""Output tokens that a Call is expected to take at most where its teacher has no `max_tokens` (default chosen by us)."""
LONGEST_OUTPUT = 131_072
"""Output tokens that are believed there: the longest that models of today write."""
MOST_OFF = 32
"""Times our own count of the input that a server's count is believed (default chosen by us): a token is a byte of text at least."""
LOGPROBS = "logprobs"
"""The field that asks for log probabilities. A request that has it begins with it."""
_ASKS = f'{{"{LOGPROBS}": true, '.encode()
_NAMES = re.compile(r"log[ _-]?prob", re.IGNORECASE)
_NAMES_NONE = re.compile(
    r"(?:unknown|unsupported|unrecogni[sz]ed|extra|additional)[ _](?:\w+[ _]){0,2}(?:field|param|arg|input|key|propert)|extra_forbidden",
    re.IGNORECASE,
)
_HERE = secrets.token_hex(16)
"""Stands where a picture goes while the request is JSON; not to be guessed by any text."""


def build_request(call: Call, teacher: Teacher, images: Mapping[str, bytes], *, logprobs: bool = True) -> list[bytes]:
    """The body of a chat completion request in pieces; `images` maps digests to URLs (`images.Sending`), which are not copied.

    Without `logprobs` none are asked for, though the teacher may ask for them.
    """
    digests: list[str] = []
    messages = [
        {"role": message["role"], "content": [_wire_part(part, digests) for part in message["content"]]} for message in call.messages
    ]
    fields: dict[str, Any] = {LOGPROBS: True} if logprobs and teacher.asks_logprobs else {}
    fields |= {"model": teacher.model, "messages": messages, **teacher.body}
    for name in ("temperature", "top_p", "max_tokens"):
        if (value := getattr(teacher, name)) is not None:
            fields[name] = value
    texts = json.dumps(fields, ensure_ascii=False).encode().split(_HERE.encode())
    pieces = [texts[0]]
    for digest, text in zip(digests, texts[1:], strict=True):
        pieces += (images[digest], text)
    return pieces


def without_logprobs(sent: bytes) -> bytes:
    """A request that asks for no log probabilities; one that never did stays as it is."""
    return b"{" + sent[len(_ASKS) :] if sent.startswith(_ASKS) else sent


def refuses_logprobs(told: str) -> bool:
    """Whether an error may mean that the server does not know the field `logprobs`, or does not allow it."""
    told = told[:LOOKED_AT]
    return bool(_NAMES.search(told) or _NAMES_NONE.search(told))


def _wire_part(part: Mapping[str, Any], digests: list[str]) -> Mapping[str, Any]:
    if part["type"] != "image":
        return part
    digests.append(part["digest"])
    return {"type": "image_url", "image_url": {"url": _HERE}}


def attempt_of(body: str, *, number: int, call: Call, teacher: Teacher, seconds: float, content_type: str = "application/json") -> Attempt:
    """How a 200 is recorded: never raises, whatever the body is."""
    return answered_attempt(
        call.key, body, number=number, max_tokens=teacher.max_tokens, usd=teacher.price.usd, estimate=lambda: input_tokens(call),
        most=Most(lambda: most_input(call), longest_output(teacher)), seconds=seconds, content_type=content_type,
        span=answer_span, keeps_logprobs=not teacher.asks_logprobs,
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
