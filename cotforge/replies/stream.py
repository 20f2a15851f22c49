"""A chat completion that came as a stream of events, or line by line, though nobody asked for that.

Source: the event stream format of the HTML standard (html.spec.whatwg.org, 9.2), and OpenAI's `chat.completion.chunk`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

DONE = "[DONE]"
"""The last event of a stream that came whole."""
LABELS = ("role", "type", "id", "name")
"""Fields of a delta that are repeated, and not continued."""
_BEFORE = re.compile(r"(?:[\ufeff \t\r\n]++|:[^\n]*+(?:\n|\Z))*+")
_BLANK = re.compile(r"[\s\ufeff]*")


class Broken(ValueError):
    """The stream ended before the answer did."""


def strip_prefix(text: str) -> str:
    """The body without what may stand before it: a byte order mark, blank lines, keep-alive comments (`: ...`)."""
    before = _BEFORE.match(text)
    return text[before.end() :] if before else text


def is_stream(text: str) -> bool:
    """Whether a body without its preamble (`strip_prefix`) is a stream of events."""
    return text.startswith(("data:", "event:", "id:", "retry:"))


def is_in_pieces(body: str) -> bool:
    """Whether a body may be several chunks: a stream, a list, or JSON texts one behind the other."""
    return body[:1] != "{" or "}\n{" in body or "}\r\n{" in body


def join_stream(text: str) -> dict[str, Any]:
    """The chunks of a stream as one chat completion; the first choice alone.

    Raises Broken where it ends without a finish reason and without `[DONE]`, ValueError where an event is cut or no JSON.
    """
    chunks: list[Any] = []
    events = _stream_events(text)
    for number, event in enumerate(events):
        if event == DONE:
            return complete_chunks(chunks, done=True)
        try:
            chunks.append(json.loads(event))
        except ValueError:
            if number < len(events) - 1:
                raise
            raise Broken("the stream ended before its answer did") from None
    return complete_chunks(chunks, done=False)


def stream_texts(body: str) -> list[str]:
    """Every field of a body of many chunks as one text, put together from its pieces, whether or not it is read. Never raises."""
    fields: dict[str, list[str]] = {}
    text = strip_prefix(body)
    with suppress(ValueError, RecursionError):
        for found in map(json.loads, _stream_events(text)) if is_stream(text) else json_documents(text):
            for chunk in found if isinstance(found, list) else [found]:
                _collect_fields(chunk, "", fields)
    return ["".join(pieces) for pieces in fields.values()]


def _collect_fields(value: Any, place: str, fields: dict[str, list[str]]) -> None:
    if isinstance(value, str):
        fields.setdefault(place, []).append(value)
    elif isinstance(value, dict | list):
        place = f"{place}#{value['index']}" if isinstance(value, dict) and "index" in value else place
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            _collect_fields(part, f"{place}.{name}", fields)


def json_documents(text: str) -> list[Any]:
    """The JSON texts of a body that holds several, one behind the other, as NDJSON does; `[DONE]` ends them.

    Raises ValueError where anything else stands between them or behind them.
    """
    found: list[Any] = []
    decoder, place = json.JSONDecoder(), _next_nonblank(text, 0)
    while place < len(text) and not text.startswith((DONE, f"data: {DONE}"), place):
        one, place = decoder.raw_decode(text, place)
        place = _next_nonblank(text, place)
        found.append(one)
    return found


def _next_nonblank(text: str, place: int) -> int:
    """Where the next character stands that is not blank."""
    blank = _BLANK.match(text, place)
    return blank.end() if blank else place


def complete_chunks(chunks: Iterable[Any], *, done: bool) -> dict[str, Any]:
    """One chat completion out of its chunks. What is no object (`null`, a number) keeps the connection alive and says nothing.

    Raises Broken where they are not `done` and none has a finish reason or an error.
    """
    parts: dict[str, list[Any]] = {}
    whole: dict[str, Any] = {"choices": [{"index": 0, "finish_reason": None, "message": {}}]}
    for chunk in chunks:
        if isinstance(chunk, dict):
            _add_chunk(whole, parts, chunk)
    whole["choices"][0]["message"] = {"role": "assistant"} | {name: _join_parts(found) for name, found in parts.items()}
    if not done and not whole["choices"][0]["finish_reason"] and "error" not in whole:
        raise Broken("the stream ended before its answer did")
    return whole


def _stream_events(text: str) -> list[str]:
    """The data of each event; lines of one event are joined, but where each is a JSON object of its own."""
    events: list[str] = []
    lines: list[str] = []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line.strip() and lines:
            apart = len(lines) > 1 and all(_is_whole(line.strip()) for line in lines)
            events += lines if apart else ["\n".join(lines)]
            lines = []
    return [stripped for event in events if (stripped := event.strip())]


def _is_whole(line: str) -> bool:
    """Whether a line may be an event of its own: some servers leave out the blank line between two."""
    return line in ("", DONE) or (line.startswith("{") and line.endswith("}"))


def _join_parts(parts: list[Any]) -> str | list[Any]:
    """Texts, or lists, that continue one another; each of another type than the one before begins anew."""
    first = next((place for place in range(len(parts) - 1, 0, -1) if type(parts[place]) is not type(parts[place - 1])), 0)
    last = parts[first:]
    return "".join(last) if isinstance(last[0], str) else list(chain.from_iterable(last))


def _add_chunk(whole: dict[str, Any], parts: dict[str, list[Any]], chunk: dict[str, Any]) -> None:
    for name in ("error", "usage", "model", "base_resp"):
        if chunk.get(name):
            whole[name] = chunk[name]
    if "choices" not in chunk and "done" not in chunk and any(isinstance(chunk.get(name), str) for name in ("message", "msg")):
        whole["error"] = chunk  # DashScope's events of an error are the error itself
    choice = _first_choice(chunk)
    for name in ("finish_reason", "native_finish_reason", "error"):
        if choice.get(name):
            whole["choices"][0][name] = choice[name]
    delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
    if not isinstance(delta, dict):
        return
    if not choice.get("delta") and choice.get("message") and chunk.get("object") == "chat.completion":
        parts.clear()  # MiniMax ends a stream with all of the message once more (platform.minimax.io/docs)
    for name, part in _delta_parts(delta):
        parts.setdefault(name, []).append(part)


def _first_choice(chunk: dict[str, Any]) -> dict[str, Any]:
    """What a chunk says of the first choice; empty where it says nothing of it. Ollama's own form has no choices, but `done`."""
    choices = chunk.get("choices")
    if choices is None and "done" in chunk:
        return {"delta": chunk.get("message"), "finish_reason": (chunk.get("done_reason") or "stop") if chunk["done"] else None}
    found = [one for one in choices if isinstance(one, dict) and one.get("index") in (None, 0)] if isinstance(choices, list) else []
    return found[0] if found else {}


def _delta_parts(delta: dict[str, Any]) -> Iterator[tuple[str, str | list[Any]]]:
    """The fields of a delta that continue: texts and lists."""
    for name, part in delta.items():
        if isinstance(part, str | list) and name not in LABELS:
            yield name, part
