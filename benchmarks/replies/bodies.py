"""Random bodies of chat completions around random texts: every form that servers give them, and every way in which they break.

A part of the bodies is mutated, in its JSON (any value becomes another one) or in its bytes. Of the others it is known what they say.
"""

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.replies.texts import Text, random_text
from cotforge.replies.chat import REASONING_FIELDS
from cotforge.replies.finish_reasons import REASONS, Finish

NAMES = {known: tuple(reason.name for reason in REASONS if reason.finish is known) for known in Finish}
THOUGHT = "It may be <answer>fear</answer> or \\boxed{fear}."
STRAY: tuple[Any, ...] = (
    None, True, False, -1, 0, 7, 10**30, 1e308, float("nan"), float("inf"), "", "\0", "\ud800", "st\0op", "leng\0th", "\u2028", "x" * 5_000,
    [], {}, [None], ["<answer>fear</answer>"], {"text": "awe"}, {"text": {"text": 1}}, [{"type": "thinking"}], {"error": {}},
    {"type": "length"}, {"code": 429, "message": "too many"}, {"code": 10**30, "message": ["no"]}, {"message": {}, "code": []}, [[["no"]]],
)  # fmt: skip
"""What may stand where something else belongs."""
ERRORS: tuple[Any, ...] = (
    "overloaded", ["no"], {"message": "no", "code": 500}, {"message": "Rate limit exceeded", "code": 429}, {"code": "insufficient_quota"},
    {"message": "No endpoints found", "code": 404}, {"message": "flagged by moderation", "code": 403}, {"message": None, "code": "x"},
    {"message": "too long", "code": "context_length_exceeded"}, {"code": True}, {"code": -1, "message": 3},
)  # fmt: skip
USAGES: tuple[Any, ...] = (
    {"prompt_tokens": 9, "completion_tokens": 5}, {"prompt_tokens": -9, "completion_tokens": 10**30}, {"prompt_tokens": "9"}, [], 3,
    {"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}}, {"prompt_tokens": float("nan")},
    {"completion_tokens": 5.5, "completion_tokens_details": [1]}, {"completion_tokens_details": {"reasoning_tokens": -1}},
)  # fmt: skip
BYTES = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"\\", b"\\ud800", b"{", b"}", b"]", b",", b"\n\n", b"data: ", b"[DONE]",
    b"[" * 100_000, b'{"a":' * 2_000, b"9" * 5_000, b"1e999", b"NaN", b"-Infinity", b'"error":{},', b"<html>", b": comment\n",
)  # fmt: skip
"""What may get into a body."""


STATUSES = (400, 401, 402, 403, 404, 408, 413, 422, 429, 451, 500, 502, 503, 529)
"""Of a server that says no."""


class Body(NamedTuple):
    """What a server answered, and what is known of it."""

    data: bytes
    content_type: str
    form: str
    """How it was made, for whoever looks at one."""
    answered: bool | None
    """Whether "awe" follows its last thought; None of one that is mutated, of which nothing is known."""
    unusable: bool
    """Whether an error stands in it, or its text was ended by an error or a filter, or broke off."""
    must: bool
    """Whether its answer has to be found."""
    status: int = 200


def random_body(draw: random.Random) -> Body:
    """A body as a server might send it, or broken; one in twenty with a status that says no."""
    if draw.random() < 0.05:
        return _random_body(draw)._replace(status=draw.choice(STATUSES), unusable=True, must=False)
    return _random_body(draw)


def _random_body(draw: random.Random) -> Body:
    if draw.random() < 0.01:
        return Body(draw.randbytes(draw.randrange(300)), "text/html", "noise", None, False, False)
    text = random_text(draw)
    known, reason = _reason(text, draw)
    message = _message(text, draw)
    refused = draw.random() < 0.1
    streamed = draw.random() < 0.25
    answer = _answer(message, reason, refused, draw)
    harm = draw.choice(("none", "none", "none", "json", "bytes"))
    if harm == "json":
        answer = json.loads(json.dumps(answer))  # parts of it are shared
        for _ in range(draw.randint(1, 3)):
            _replace(answer, draw)
    broken_off = streamed and harm == "none" and draw.random() < 0.1
    data = _stream(answer, draw, broken_off=broken_off) if streamed else _plain(answer, draw)
    if harm == "bytes":
        for _ in range(draw.randint(1, 4)):
            data = _broken(data, draw)
    form = f"{'stream' if streamed else 'plain'}, {known}, {harm}"
    if harm != "none":
        return Body(data, "application/json", form, None, False, False)
    unusable = refused or broken_off or known in (Finish.FILTERED, Finish.ERROR)
    must = known is Finish.STOP and not unusable and text.answered is True and isinstance(message["content"], str)
    return Body(data, "text/event-stream" if streamed else "application/json", form, text.answered, unusable, must)


def _reason(text: Text, draw: random.Random) -> tuple[Finish, dict[str, Any]]:
    """Why the model stopped, and the fields that say so."""
    known = Finish.LENGTH if text.cut else draw.choice([Finish.STOP] * 9 + list(Finish))
    if known is Finish.UNKNOWN:
        return known, {"finish_reason": draw.choice(("because", "st op", "x" * 400, 7))}
    if known is Finish.STOP and draw.random() < 0.2:
        return known, draw.choice(({}, {"finish_reason": None}, {"finish_reason": ""}))
    name = draw.choice(NAMES[known])
    name = draw.choice((name, name.upper(), name.lower()))
    forms: list[dict[str, Any]] = [
        {"finish_reason": name},
        {"finish_reason": {"type": name}},
        {"finish_reason": "stop", "native_finish_reason": name},
    ]
    return known, draw.choice(forms[:2] if known is Finish.TOOLS else forms)


def _message(text: Text, draw: random.Random) -> dict[str, Any]:
    """The text in one of the forms in which servers send it, perhaps beside a reasoning of its own."""
    half = len(text.text) // 2
    forms: list[Any] = [
        *[text.text] * 5,
        [{"type": "text", "text": text.text}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": text.text}],
        [text.text[:half], {"type": "output_text", "text": text.text[half:]}],
        {"type": "text", "text": text.text},
    ]
    message: dict[str, Any] = {"role": "assistant", "content": draw.choice(forms)}
    if draw.random() < 0.3:
        thoughts = ("", None, THOUGHT, THOUGHT, [{"type": "reasoning.text", "text": THOUGHT}], [{"type": "thinking", "thinking": THOUGHT}])
        message[draw.choice(REASONING_FIELDS)] = draw.choice(thoughts)
    if draw.random() < 0.1:
        message["tool_calls"] = draw.choice(([], None, [{"function": {"name": "answer", "arguments": "{}"}}]))
    if text.answered is None and draw.random() < 0.3:
        message = draw.choice(({"content": "", draw.choice(REASONING_FIELDS): text.text}, {"content": None, "refusal": text.text}))
    return message


def _answer(message: dict[str, Any], reason: dict[str, Any], refused: bool, draw: random.Random) -> dict[str, Any]:
    choice = {"index": 0, "message": message, **reason}
    answer: dict[str, Any] = {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}
    if draw.random() < 0.8:
        answer["usage"] = draw.choice(USAGES)
    if refused:
        place: dict[str, Any] = draw.choice((answer, choice, answer))
        place["error"] = draw.choice(ERRORS)
        if draw.random() < 0.2:
            del place["error"]
            answer["base_resp"] = {"status_code": 1002, "status_msg": "rate limit"}
    return answer


def _plain(answer: dict[str, Any], draw: random.Random) -> bytes:
    before = draw.choice(("", "", "", "\ufeff", "\n \n", ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"))
    return _encoded(before + json.dumps(answer, ensure_ascii=draw.random() < 0.5, indent=draw.choice((None, 2))))


def _stream(answer: dict[str, Any], draw: random.Random, *, broken_off: bool) -> bytes:
    """The same as server-sent events; what is not as a server writes it goes whole into one of them."""
    rest = {name: value for name, value in answer.items() if name != "choices"}
    chunks: list[Any] = []
    try:
        choice = dict(answer["choices"][0])
        message = choice.pop("message")
        last = {name: choice.pop(name) for name in ("finish_reason", "native_finish_reason", "error") if name in choice}
        for name, value in message.items():
            size = draw.randint(1, 60)
            pieces = [value[at : at + size] for at in range(0, len(value), size)] if isinstance(value, str) else [value]
            chunks += [{"choices": [{"index": 0, "delta": {name: piece}}]} for piece in pieces]
        if not broken_off:
            chunks += [{"choices": [{"index": 0, "delta": {}, **last}]}, {"choices": [], **rest}]
    except (LookupError, TypeError, AttributeError, ValueError):
        chunks = [answer]
    end = draw.choice(("\n", "\r\n"))
    before = draw.choice(("", "\ufeff", f": keep-alive{end}{end}", f"event: message{end}"))
    events = "".join(f"data: {json.dumps(chunk, ensure_ascii=draw.random() < 0.5)}{end}{end}" for chunk in chunks)
    return _encoded(before + events + ("" if broken_off else f"data: [DONE]{end}{end}"))


def _encoded(text: str) -> bytes:
    """As bytes, also halves of a surrogate pair: some servers write them so."""
    return text.encode("utf-8", "surrogatepass")


def _replace(answer: dict[str, Any], draw: random.Random) -> None:
    """Any value of the JSON becomes another one, a copy of one that stands elsewhere, or goes."""
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [answer]
    while todo:
        node = todo.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        places += [(node, key) for key in keys]
        todo += [node[key] for key in keys if isinstance(node[key], dict | list)]
    if not places:
        return
    node, key = draw.choice(places)
    other, there = draw.choice(places)
    how = draw.random()
    if how < 0.1:
        del node[key]
    elif how < 0.3:
        node[key] = json.loads(json.dumps(other[there]))
    else:
        node[key] = json.loads(json.dumps(draw.choice(STRAY)))


def _broken(data: bytes, draw: random.Random) -> bytes:
    """A bit turned, a part cut out, doubled or put elsewhere, the end lost, or something in it that does not belong there."""
    one, two = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    place = draw.randrange(len(data) + 1)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: data[:place] + bytes(byte ^ 1 << draw.randrange(8) for byte in data[place : place + 1]) + data[place + 1 :],
        lambda: data[:one] + data[two:],
        lambda: data[:two] + data[one:],
        lambda: data[:place] + data[one:two] + data[place:],
        lambda: data[:place],
        lambda: data[:place] + draw.choice(BYTES) + data[place:],
    )
    return draw.choice(ways)()[:300_000]
