"""What a server's refusal is about: the key, the account, the model, a filter, this very request, or the server's own load."""

import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from html import unescape
from typing import Any

from cotforge.redaction import redact_text
from cotforge.replies.refusal_table import LINES, Meaning, RefusalLine

__all__ = ["LONGEST_MESSAGE", "Meaning", "codes_and_message", "refusal_meaning"]

LONGEST_MESSAGE = 300
"""Characters of a refusal's message that are read and shown."""
DEEPEST = 12
"""Levels of an error body that are looked at; the deepest known (a quota in a text in an error of a gateway) has nine."""
MOST_CODES = 40
LONGEST_CODE = 200
MOST_TEXT = 100_000
"""Characters of a page of HTML, or of plain text, that are looked at."""

_CODES = frozenset({"code", "type", "status", "reason", "errorcode", "errortype", "statuscode", "quotaid"})
_TEXTS = frozenset({"message", "msg", "errormsg", "errormessage", "statusmsg", "errordescription", "detail", "error", "raw", "title"})
_NESTED = frozenset(
    {"error", "errors", "detail", "details", "innererror", "baseresp", "response", "header", "metadata", "violations"}
    | {"providerspecificfields"}  # LiteLLM's, with what Azure's filter said
)
_TAGGED = ("<!doctype html", "<html", "<head", "<body", "<title", "<h1", "<center", "<p>", "<div", "<!--", "<?xml", "<error")
_SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")  # str.lower() may change a text's length


def refusal_meaning(status: int, codes: str, message: str) -> Meaning | None:
    """What a refusal is about, as `refusal_table.LINES` say; None where no line speaks of it.

    `codes` and `message` are those of `codes_and_message`. Codes are trusted before words of the message, and both before the bare
    status. Where a 200 brings an error, a status among its codes counts as the status. Never raises.
    """
    words = frozenset(bare_code(word) for word in codes.split())
    statuses = {status, *(int(word) for word in words if len(word) == 3 and word.isascii() and word.isdigit() and status < 400)}
    said = message.casefold()
    for line, code, parts in _ORDERED:
        if (line.status is None or line.status in statuses) and _is_among(code, words) and _in_turn(parts, said):
            return line.meaning
    return None


def bare_code(code: str) -> str:
    """A code without case, `_`, `-` and spaces: `InvalidApiKey` and `invalid_api_key` are one."""
    return "".join(character for character in code.casefold() if character not in "_- ")


def _is_among(code: str, words: frozenset[str]) -> bool:
    """Whether a line's code, with its `*`, is one of the words; a line without a code asks for none."""
    return not code or code in words or ("*" in code and any(fnmatchcase(word, code) for word in words))


def _in_turn(parts: Sequence[str], said: str) -> bool:
    """Whether every part stands in the text, one after the other; the first one behind `^` at its beginning, or behind a `;`."""
    at = 0
    if parts[0].startswith("^"):
        said, parts = f"; {said}", (parts[0].replace("^", "; ", 1), *parts[1:])
    for part in parts:
        found = said.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


_MEANINGS = (Meaning.FILTER, Meaning.KEY, Meaning.QUOTA, Meaning.MODEL, Meaning.HELP, Meaning.PROMPT, Meaning.BUSY)
"""Of two lines that are equally precise, the earlier here counts: "busy" is what a server says when it says nothing better."""


def _line_rank(line: RefusalLine) -> tuple[int, int]:
    precise = (bool(line.code), bool(line.words))
    return ((True, True), (True, False), (False, True), (False, False)).index(precise), _MEANINGS.index(line.meaning)


_ORDERED = tuple((line, bare_code(line.code), tuple(line.words.casefold().split("*"))) for line in sorted(LINES, key=_line_rank))
"""The most precise lines first, each with its code and words as they are compared."""


def codes_and_message(body: str) -> tuple[str, str]:
    """All codes of an error body (code, type, status and reason words) in one line, and its message, at most 300 characters.

    Any form is read: an object or a list of them, with the error inside or not, a JSON text in a JSON text, one event of a stream,
    HTML without its tags, plain text. A space inside a code becomes `_`, a credential MARK. Never raises.
    """
    body = redact_text(body)
    codes: list[str] = []
    texts: list[str] = []
    found = _parse_error(body)
    if found is None:
        return "", _one_line(_plain_page(body))
    for text, is_code in _error_texts(found, DEEPEST):
        if is_code:
            codes.append("_".join(_printable_text(text[:LONGEST_CODE]).split()))
        else:
            texts.append(_one_line(_plain_page(text)))
        if len(codes) + len(texts) >= 2 * MOST_CODES:
            break
    said = "; ".join(dict.fromkeys(text for text in texts if text))
    return " ".join(dict.fromkeys(code for code in codes if code)), _one_line(said or body)


def _parse_error(body: str) -> Any:
    """What a JSON text holds, where that is an object, a list or a text; None for everything else."""
    text = body.lstrip("\ufeff \t\r\n")
    if text.startswith(("data:", "event:", ":")):  # an error that came as one event of a stream
        events = (line.removeprefix("data:").strip() for line in text[:MOST_TEXT].splitlines() if line.startswith("data:"))
        text = next((event for event in events if event.startswith(("{", "["))), "")
    if not text.startswith(("{", "[", '"')):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # a stranger's brackets may go deeper than any parser
        return None
    return found if found and isinstance(found, dict | list | str) else None


def _error_texts(found: Any, depth: int) -> Iterator[tuple[str, bool]]:
    """Every text of an error, and whether it is a code."""
    if depth <= 0:
        return
    if isinstance(found, list):
        for part in found[:MOST_CODES]:
            yield from _error_texts(part, depth - 1)
    elif isinstance(found, str):
        inner = _parse_error(found)
        yield from [(found, False)] if inner is None else _error_texts(inner, depth - 1)
    elif isinstance(found, dict):
        for name, value in list(found.items())[:MOST_CODES]:
            yield from _field_texts(bare_code(str(name)), value, depth)


def _field_texts(name: str, value: Any, depth: int) -> Iterator[tuple[str, bool]]:
    if isinstance(value, dict | list):
        if name in _NESTED or name in _CODES or name in _TEXTS:
            yield from _error_texts(value, depth - 1)
    elif isinstance(value, str) and name in _TEXTS:
        if name == "error" and len(value.split()) == 1:
            yield value, True  # some write the code there: {"error": "insufficient_quota", "message": "..."}
        yield from _error_texts(value, depth - 1)
    elif isinstance(value, str | int) and not isinstance(value, bool) and name in _CODES:
        yield str(value), True


def _one_line(text: str) -> str:
    """The text in one line, at most 300 printable characters."""
    return " ".join(_printable_text(text[: 40 * LONGEST_MESSAGE]).split())[:LONGEST_MESSAGE].strip()


def _printable_text(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _plain_page(text: str) -> str:
    """The text of a page of HTML without tags, scripts and styles; any other text as it is."""
    text = text[:MOST_TEXT].lstrip("\ufeff \t\r\n")
    return " ".join(_page_texts(text)) if text.translate(_SMALL).startswith(_TAGGED) else text


def _page_texts(page: str) -> Iterator[str]:
    """The texts between the tags; one that repeats the one before it (a title as a heading) is left out."""
    small, at, last = page.translate(_SMALL), 0, ""
    while at < len(page):
        tag = page.find("<", at)
        tag = len(page) if tag < 0 else tag
        piece = " ".join(unescape(page[at:tag]).split())
        if piece and piece != last:
            yield piece
            last = piece
        at = _tag_end(small, tag)


def _tag_end(small: str, tag: int) -> int:
    """Where a tag ends: after its `>`, or after all that is hidden in it; the end of the page where nothing closes it."""
    end = ">"
    for opening, closing in (("<script", "</script"), ("<style", "</style"), ("<!--", "-->")):
        if small.startswith(opening, tag):
            tag, end = tag + len(opening), closing
    found = small.find(end, tag)
    if found >= 0 and end.startswith("</"):
        found, end = small.find(">", found), ">"
    return len(small) if found < 0 else found + len(end)
