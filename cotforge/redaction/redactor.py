"""Finding credentials in a text, however a server has spelt them, and cutting them out.

A text is compared by its ASCII letters and digits alone, without case. So spaces, line ends, zero-width characters, `\\/`, Markdown's
backslashes and the two alphabets of base64 make no difference. Escapes that hide a letter (`\\u0041`, `%41`, `&#65;`, `\\x41`) are decoded
first, also where one lies in another. Each value is looked for as it is, in base64 (at all three alignments, so within `user:KEY` and
`Bearer KEY` too) and in hex; a part of it is as good as all of it, for whoever repeats a key may cut it off anywhere.
Prior art: github.com/actions/runner masks values that were encoded as a whole (`ValueEncoders`).
"""

import re
import struct
from array import array
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

MARK = "***"
"""What stands in the place of a credential."""
SHORTEST = 8
"""Letters and digits that a value needs to be found in other spellings and in part. A shorter one would tear words: it is cut out where it
stands as it is, as a word of its own."""
PART = 15
"""Letters and digits in a row that are cut out of a longer value; of one that has fewer, all but the first or the last."""
PLACEHOLDERS = frozenset(
    {"empty", "none", "null", "dummy", "fake", "test", "local", "ollama", "lm-studio", "vllm", "token-abc123", "sk-no-key-required"}
)
"""What the documentation of servers that want no key has in its place (vLLM, Ollama, LM Studio, llama.cpp): no secrets, and words."""
LEVELS = 3
"""Escapes within escapes that are decoded, one kind in another; the same kind may be repeated at will."""
WINDOW = 2**16
"""Characters that are looked at together, so that memory does not grow with the text."""
MOST, MOST_ESCAPES = 1000, 300_000
"""Credentials, and characters that may begin an escape, in one text; no reply has as many."""
_GRAM = 8
_DROPPED = bytes(code for code in range(256) if not (chr(code).isascii() and chr(code).isalnum()))
_LOWER = bytes(range(256)).lower()
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"\\(?<!\\\\)\\*+(?:u({_HEX}{{4}})|u\{{0*({_HEX}{{1,6}})\}}|x({_HEX}{{2}})|([0-3][0-7]{{2}})|[nrtbf])"
    rf"|%(?:25)*({_HEX}{{2}})|&(?:amp;)*(?:#[xX]0*({_HEX}{{1,6}})|#0*([0-9]{{1,7}})|[A-Za-z]{{2,8}});"
)
"""Each starts at one place only (a run of backslashes at its first), so that no text takes more than a few steps per character."""
_HINTS = ("\\u0", "\\u{", "\\x", "\\0", "\\1")
"""One of these stands in every text in which a backslash hides a letter."""
_LINE_ENDS = ("\\n", "\\r", "\\t")
_BASES = (16, 16, 16, 8, 16, 16, 10)
_RUN = re.compile(r"[A-Za-z0-9]+")
_TORN = re.compile(r"\\+(?:u[0-9a-fA-F]{0,3}|x[0-9a-fA-F]?|[0-7]{0,2})?\Z")
"""An escape that ends in the middle."""


class DecodedText(NamedTuple):
    """A text, and where each of its characters stands in the text that it was decoded from."""

    text: str
    begins: Sequence[int]
    ends: Sequence[int]


class Redactor:
    """Cuts values out of texts. It never changes; making one takes about 1 ms per value."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Empty values, and PLACEHOLDERS, are left out."""
        self.values = frozenset(value for each in values if (value := each.strip()) and value.casefold() not in PLACEHOLDERS)
        spelt = {spelling for value in self.values for spelling in _value_spellings(value)}
        self._long = sorted(one for one in spelt if len(one) >= PART)
        self._short = sorted({part for one in spelt if SHORTEST <= len(one) < PART for part in (one[:-1], one[1:])})
        self._grams: dict[int, list[tuple[bytes, int]]] = {}
        for one in self._long:
            for place in range(len(one) - _GRAM + 1):
                at = self._grams.setdefault(int.from_bytes(one[place : place + _GRAM], "little"), [])
                if len(at) < 4:  # a value that repeats itself would take a step for each of its characters at each place
                    at.append((one, place))
        self._keys = frozenset(self._grams)
        self._weak = sorted((value for value in self.values if len(value) > 3 and is_weak(value)), key=len, reverse=True)
        self._words = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, self._weak))})(?![A-Za-z0-9])")

    def redact(self, text: str) -> str:
        """The text with MARK in the place of each credential; JSON stays JSON. Doing it again changes nothing.

        A text without any costs about 50 us per 8 kB, however many values there are. One with more than MOST credentials, or
        MOST_ESCAPES, becomes MARK: both only cost time.
        """
        if not self.values:
            return text
        if len(text) > MOST_ESCAPES and sum(map(text.count, "%&\\")) > MOST_ESCAPES:
            return MARK
        if self._weak and any(word in text for word in self._weak):
            text = self._words.sub(MARK, text)
        spans: list[tuple[int, int]] = []
        for start, stop in self._text_windows(len(text)):
            if self._may_hold(part := text[start:stop]):
                spans += ((start + begin, start + end) for begin, end in self._secret_spans(part))
            if len(spans) > MOST:
                return MARK
        return _cut_spans(text, sorted(spans)) if spans else text

    def _text_windows(self, size: int) -> Iterator[tuple[int, int]]:
        """What is looked at together; a value may begin in one and end in the next."""
        if size <= WINDOW:
            yield 0, size
            return
        lap = min(WINDOW // 2, 32 * max(map(len, self._long), default=64))
        for start in range(0, size - lap, WINDOW - lap):
            yield start, start + WINDOW

    def _may_hold(self, text: str) -> bool:
        """Whether it should be looked at closely."""
        for _ in range(LEVELS):
            if not _may_hide(text):
                for line_end in _LINE_ENDS:
                    text = text.replace(line_end, "")
                break
            if self._has_gram(_plain_letters(text)):
                return True
            text = _ESCAPE.sub(_escaped_character, text)
        return self._has_gram(_plain_letters(text))

    def _has_gram(self, letters: bytes) -> bool:
        """Any part of PART letters holds a whole gram at a place that is a multiple of its size."""
        if not self._keys.isdisjoint(struct.unpack_from(f"<{len(letters) // _GRAM}Q", letters)):
            return True
        return any(short in letters for short in self._short)

    def _secret_spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where credentials stand in the text."""
        reading = DecodedText(text, range(len(text)), range(1, len(text) + 1))
        for level in range(LEVELS + 1):
            yield from self._match_spans(reading)
            decoded = _decode_escapes(reading)
            if level == LEVELS or decoded.text == reading.text:
                return
            reading = decoded

    def _match_spans(self, reading: DecodedText) -> Iterator[tuple[int, int]]:
        letters = _plain_letters(reading.text)
        found = list(self._found_values(letters))
        places = array("q")
        for run in _RUN.finditer(reading.text) if found else ():
            places.extend(range(*run.span()))
        for begin, end in found:
            yield reading.begins[places[begin]], reading.ends[places[end - 1]]

    def _found_values(self, letters: bytes) -> Iterator[tuple[int, int]]:
        """(begin, end) of each value, or part of one, among the letters."""
        done = 0
        for number, gram in enumerate(struct.unpack_from(f"<{len(letters) // _GRAM}Q", letters)):
            at = number * _GRAM
            if at + _GRAM <= done or gram not in self._keys:
                continue
            begin, end = max((_grow_match(letters, at, *one) for one in self._grams[gram]), key=lambda span: span[1] - span[0])
            if end - begin >= PART:
                yield begin, end
                done = end
        for short in self._short:
            at = letters.find(short)
            while at >= 0:
                yield at, at + len(short)
                at = letters.find(short, at + len(short))


def _cut_spans(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with MARK in the place of each span, and of what would be left of an escape; spans that touch have one MARK."""
    parts: list[str] = []
    at = 0
    for begin, end in spans:
        if torn := _TORN.search(text, max(0, begin - 64), begin):
            begin -= len(torn.group())
        if end > at:
            parts += [text[at:begin], MARK] if begin > at or not parts else []
            at = end
    return "".join([*parts, text[at:]])


def _value_spellings(value: str) -> Iterator[bytes]:
    """The letters of a value as it is, in hex and in base64."""
    raw = value.encode("utf-8", "surrogateescape")
    if len(_plain_letters(value)) < SHORTEST:
        return
    yield _plain_letters(value)
    yield raw.hex().encode()
    for shift, skipped in enumerate((0, 2, 3)):  # what stands before it fills so many characters, or shares them with it
        whole = b64encode(bytes(shift) + raw).rstrip(b"=")
        shared = (shift + len(raw)) % 3 > 0  # with what stands behind it
        yield _plain_letters(whole[skipped : len(whole) - shared].decode())


def _plain_letters(text: str) -> bytes:
    """The ASCII letters and digits of a text, in lower case."""
    return text.encode("ascii", "ignore").translate(_LOWER, _DROPPED)


def _grow_match(letters: bytes, at: int, value: bytes, place: int) -> tuple[int, int]:
    """How far the value is the same to the left and right, where both hold the same gram."""
    begin, left = at, place
    while begin > 0 and left > 0 and letters[begin - 1] == value[left - 1]:
        begin, left = begin - 1, left - 1
    end, right = at + _GRAM, place + _GRAM
    while end < len(letters) and right < len(value) and letters[end] == value[right]:
        end, right = end + 1, right + 1
    return begin, end


def _escaped_character(escape: re.Match[str]) -> str:
    """What an escape stands for; a line end, a sign by its name, and what is no character are a space."""
    if (number := escape.lastindex) is None:
        return " "
    code = int(escape.group(number), _BASES[number - 1])
    return chr(code) if code < 128 else " "


def _may_hide(text: str) -> bool:
    """Whether an escape in it may stand for a letter."""
    return "%" in text or "&" in text or ("\\" in text and any(hint in text for hint in _HINTS))


def _decode_escapes(reading: DecodedText) -> DecodedText:
    """One level of escapes less."""
    text: list[str] = []
    begins, ends, at = array("q"), array("q"), 0
    for escape in _ESCAPE.finditer(reading.text):
        start, end = escape.span()
        text += [reading.text[at:start], _escaped_character(escape)]
        begins.extend(reading.begins[at:start])
        ends.extend(reading.ends[at:start])
        begins.append(reading.begins[start])
        ends.append(reading.ends[end - 1])
        at = end
    text.append(reading.text[at:])
    begins.extend(reading.begins[at:])
    ends.extend(reading.ends[at:])
    return DecodedText("".join(text), begins, ends)


def is_weak(value: str) -> bool:
    """Whether a value is too short to be found in other spellings than its own."""
    return len(_plain_letters(value)) < SHORTEST and value.casefold() not in PLACEHOLDERS
