"""A chat completion that came as a stream of server-sent events, though nobody asked for one.

Source: the event stream format of the HTML standard (html.spec.whatwg.org, 9.2), and OpenAI's `chat.completion.chunk`.
"""

import json
from typing import Any

CONTINUED = ("content", "reasoning_content", "reasoning", "refusal")
"""Fields of a delta whose texts are joined."""
LISTED = ("reasoning_details", "thinking_blocks")
"""Fields of a delta whose lists are joined."""


class Broken(ValueError):
    """The stream ended before the answer did."""


def plain(text: str) -> str:
    """The body without what may stand before it: a byte order mark, blank lines, keep-alive comments (`: ...`)."""
    text = text.lstrip("\ufeff \t\r\n")
    while text.startswith(":"):
        text = text.partition("\n")[2].lstrip("\ufeff \t\r\n")
    return text


def is_stream(text: str) -> bool:
    """Whether a body without its preamble (`plain`) is a stream of events."""
    return text.startswith(("data:", "event:", "id:", "retry:"))


def joined(text: str) -> dict[str, Any]:
    """The chunks of a stream as one chat completion; the first choice alone.

    Raises Broken where it ends without a finish reason and without `[DONE]`, ValueError where an event is no JSON object.
    """
    message: dict[str, Any] = {"role": "assistant"}
    whole: dict[str, Any] = {"choices": [{"index": 0, "finish_reason": None, "message": message}]}
    done = False
    for event in _events(text):
        if event == "[DONE]":
            done = True
            break
        chunk = json.loads(event)
        if not isinstance(chunk, dict):
            raise ValueError("an event is no JSON object")
        _add(whole, message, chunk)
    if not done and not whole["choices"][0]["finish_reason"] and "error" not in whole:
        raise Broken("the stream ended before its answer did")
    return whole


def _events(text: str) -> list[str]:
    """The data of each event; lines of one event are joined."""
    events: list[str] = []
    lines: list[str] = []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line.strip() and lines:
            events.append("\n".join(lines).strip())
            lines = []
    return [event for event in events if event]


def _add(whole: dict[str, Any], message: dict[str, Any], chunk: dict[str, Any]) -> None:
    for name in ("error", "usage", "model", "base_resp"):
        if chunk.get(name):
            whole[name] = chunk[name]
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if choice.get("index") not in (None, 0):
        return
    for name in ("finish_reason", "native_finish_reason", "error"):
        if choice.get(name):
            whole["choices"][0][name] = choice[name]
    delta = choice.get("delta") or choice.get("message") or {}
    if not isinstance(delta, dict):
        return
    for name in CONTINUED:
        if isinstance(part := delta.get(name), str):
            message[name] = message.get(name, "") + part if isinstance(message.get(name, ""), str) else part
        elif isinstance(part, list):
            message[name] = [*(message[name] if isinstance(message.get(name), list) else ()), *part]
    for name in LISTED:
        if isinstance(part := delta.get(name), list):
            message[name] = [*message.get(name, ()), *part]
