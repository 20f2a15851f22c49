"""Spellings of a key: what servers, gateways and libraries make of it; and the key in a text, whoever has spelt it."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote

KEY = "sk-proj-Ab0cD1/eF2gH3+iJ4kL5_mN6oP7qR8sT9uV"
"""With all that is escaped somewhere."""
FRAGMENT = 16
"""Letters and digits in a row of a key that must stand nowhere."""


def escaped(text: str, form: str) -> str:
    """Each character by its number, as in `\\u{:04x}`."""
    return "".join(form.format(ord(character)) for character in text)


def with_base64(text: bytes) -> str:
    return base64.b64encode(text).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "without its last character": lambda key: key[:-1],
    "without its beginning": lambda key: key[8:],
    "JSON: slashes": lambda key: key.replace("/", "\\/"),
    "JSON: all": lambda key: escaped(key, "\\u{:04x}"),
    "JSON: all, in capitals": lambda key: escaped(key, "\\u{:04X}"),
    "JSON: every second": lambda key: "".join(escaped(c, "\\u{:04x}") if place % 2 else c for place, c in enumerate(key)),
    "JSON in JSON": lambda key: json.dumps(json.dumps(escaped(key, "\\u{:04x}")))[1:-1],
    "JavaScript": lambda key: escaped(key, "\\x{:02x}"),
    "JavaScript: braces": lambda key: escaped(key, "\\u{{{:x}}}"),
    "octal": lambda key: escaped(key, "\\{:03o}"),
    "URL": lambda key: quote(key, safe=""),
    "URL: all": lambda key: escaped(key, "%{:02x}"),
    "URL: all, in capitals": lambda key: escaped(key, "%{:02X}"),
    "URL: twice": lambda key: escaped(key, "%25{:02x}"),
    "URL: JSON": lambda key: quote(escaped(key, "\\u{:04x}"), safe=""),
    "JSON: URL": lambda key: escaped(escaped(key, "%{:02x}"), "\\u{:04x}"),
    "HTML: decimal": lambda key: escaped(key, "&#{};"),
    "HTML: hexadecimal": lambda key: escaped(key, "&#x{:04X};"),
    "HTML: twice": lambda key: escaped(key, "&amp;#{};"),
    "HTML: JSON": lambda key: html.escape(json.dumps(escaped(key, "&#{};"))),
    "base64": lambda key: with_base64(key.encode()),
    "base64 of Bearer": lambda key: with_base64(b"Bearer " + key.encode()),
    "base64 of a user": lambda key: with_base64(b"user:" + key.encode()),
    "base64 within more": lambda key: with_base64(b'{"k": "' + key.encode() + b'", "n": 1}'),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(b"x:" + key.encode()).decode().rstrip("="),
    "base64 in JSON": lambda key: with_base64(key.encode()).replace("/", "\\/"),
    "base64 in a URL": lambda key: quote(with_base64(key.encode()), safe=""),
    "base64 in lines": lambda key: re.sub("(.{20})", r"\1\n", with_base64(key.encode())),
    "base64, cut off": lambda key: with_base64(b"Bearer " + key.encode())[:40],
    "hex": lambda key: key.encode().hex(),
    "hex in capitals, apart": lambda key: key.encode().hex(":").upper(),
    "with spaces": " ".join,
    "with line ends": lambda key: f"{key[:9]}\n{key[9:20]}\r\n{key[20:]}",
    "with line ends of JSON": lambda key: f"{key[:9]}\\n{key[9:]}",
    "with characters of no width": "\u200b\u2060\ufeff".join,
    "with soft hyphens": "\u00ad".join,
    "in Markdown": lambda key: re.sub(r"([-_+*])", r"\\\1", key),
    "in a header": lambda key: f"Authorization: Bearer {key}",
    "in a URL": lambda key: f"https://user:{quote(key, safe='')}@host/v1?key={key}",
}


def decodings(text: str) -> Iterator[str]:
    """The text, and what Python's own libraries decode of it, again and again."""
    seen = {text}
    waiting = [text]
    while waiting and len(seen) < 60:
        now = waiting.pop(0)
        yield now
        for decoded in (unquote(now), html.unescape(now), _unescaped(now), *_from_base64(now), *_from_hex(now)):
            if decoded not in seen:
                seen.add(decoded)
                waiting.append(decoded)


def _unescaped(text: str) -> str:
    text = re.sub(r"\\+(?:u|x)(?:\{([0-9a-fA-F]+)\})", lambda found: chr(int(found[1], 16) % 0x110000), text)
    text = re.sub(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))", lambda found: chr(int(found[1] or found[2], 16)), text)
    return re.sub(r"\\+([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _from_base64(text: str) -> Iterator[str]:
    joined = re.sub(r"[\s\\]+", "", text).translate(str.maketrans("-_", "+/"))
    for run in re.findall(r"[A-Za-z0-9+/]{16,}", joined):
        for start in range(4):
            piece = run[start:]
            yield base64.b64decode(piece[: len(piece) // 4 * 4]).decode("latin-1")


def _from_hex(text: str) -> Iterator[str]:
    for run in re.findall(r"(?:[0-9a-fA-F]{2}[:\s]?){12,}", text):
        digits = re.sub(r"[^0-9a-fA-F]", "", run)
        yield bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1")


def letters(text: str) -> str:
    """ASCII letters and digits, without case."""
    return "".join(character for character in text if character.isascii() and character.isalnum()).lower()


def stands_in(key: str, text: str) -> str:
    """The fragment of the key that somebody who has the text could read in it; empty where there is none."""
    whole = letters(key)
    size = min(FRAGMENT, len(whole))
    fragments = [whole[place : place + size] for place in range(len(whole) - size + 1)]
    return next((fragment for decoded in decodings(text) for fragment in fragments if fragment in letters(decoded)), "")
