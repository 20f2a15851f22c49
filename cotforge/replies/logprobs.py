"""Log probabilities of a reply's tokens: cut out of the body, and what they say of a part of the text.

A token takes 100 bytes and more in the form in which servers send it, so a body is kept without them.

Source: OpenAI's chat completion object (platform.openai.com/docs/api-reference/chat/object), shared by vLLM, SGLang and llama.cpp; and the
form of the older completions (`tokens` beside `token_logprobs`), which Together and Fireworks send in chats too.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from math import exp, fsum, isfinite
from typing import Any, NamedTuple

NEAR = 12
"""Characters on either side of a part by which it is found where the whole text is not in the tokens: of a thought the text has none."""
_FIELD = re.compile(r'"logprobs"\s*:\s*(?=[\[{])')
_STEP = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_ROUNDED = 1e-3
"""Log probabilities up to which a positive one is taken for a 0 that was rounded."""


class Token(NamedTuple):
    """One token of a reply."""

    text: bytes
    logprob: float | None
    """At most 0; None where the server gave nothing that could be one."""


def cut_logprobs(body: str) -> tuple[str, list[Any]]:
    """(a body with `null` in every field `logprobs`, what stood there in turn): of one completion, or of the chunks of a stream.

    What is no JSON is cut out all the same, and left out of the list. Never raises; a body without such a field stays as it is.
    """
    if '"logprobs"' not in body:
        return body, []
    parts, values, place = list[str](), list[Any](), 0
    while found := _FIELD.search(body, place):
        end, value = _json_value_end(body, found.end())
        if end < 0:
            break
        parts += (body[place : found.end()], "null")
        place = end
        if value is not None:
            values.append(value)
    return "".join([*parts, body[place:]]), values


def _json_value_end(body: str, start: int) -> tuple[int, Any]:
    """(where the list or object ends that begins here, what it is); its end is -1 where it has none."""
    try:
        value, end = json.JSONDecoder().raw_decode(body, start)
        return end, value
    except (ValueError, RecursionError):
        depth = 0
        for step in _STEP.finditer(body, start):
            depth += (step[0] in "[{") - (step[0] in "]}")
            if not depth:
                return step.end(), None
        return -1, None


def logprob_tokens(values: Iterable[Any]) -> list[Token]:
    """The tokens of all `logprobs` of a reply, in turn. Never raises; what is malformed has no log probability."""
    return [token for value in values for token in _walk_tokens(value)]


def _walk_tokens(value: Any) -> Iterator[Token]:
    if isinstance(value, dict):
        entries = value.get("content")
        texts, numbers = value.get("tokens"), value.get("token_logprobs")
        if not isinstance(entries, list) and isinstance(texts, list) and isinstance(numbers, list):
            entries = [{"token": text, "logprob": number} for text, number in zip_longest(texts, numbers)]
        value = entries
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict):
            yield Token(_token_bytes(entry), _read_logprob(entry.get("logprob")))


def _token_bytes(entry: dict[str, Any]) -> bytes:
    parts, text = entry.get("bytes"), entry.get("token")
    if isinstance(parts, list) and parts and all(type(part) is int and 0 <= part < 256 for part in parts):
        return bytes(parts)
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""


def _read_logprob(said: Any) -> float | None:
    known = isinstance(said, int | float) and not isinstance(said, bool) and abs(said) < 1e9 and isfinite(said) and said <= _ROUNDED
    return min(float(said), 0.0) if known else None


def text_probability(found: list[Token], text: str, start: int, end: int) -> float | None:
    """The probability, in [0, 1], with which a part of a text was said, given all before it; None where the tokens do not tell.

    It is the product over all tokens that hold a character of it. `text` is looked for among the tokens as a whole, then the part with a
    few characters around it: a server may send tokens of a thought that it has taken out of the text.
    """
    said = b"".join(token.text for token in found)
    for before, after in ((0, len(text)), (max(0, start - NEAR), end + NEAR), (max(0, start - 1), end + 1)):
        if (place := said.rfind(_encode_text(text[before:after]))) >= 0:
            place += len(_encode_text(text[before:start]))
            return _token_product(found, place, place + len(_encode_text(text[start:end])))
    return None


def _token_product(found: list[Token], start: int, end: int) -> float | None:
    """Over the tokens that hold one of these bytes."""
    place, parts = 0, list[float | None]()
    for token in found:
        place, begun = place + len(token.text), place
        if begun < end and place > start:
            parts.append(token.logprob)
    known = [part for part in parts if part is not None]
    return exp(fsum(known)) if known and len(known) == len(parts) else None


def _encode_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
