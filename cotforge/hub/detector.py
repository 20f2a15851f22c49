"""Finds credentials, local paths and names in one text, and shows where without showing them."""

import hashlib
import html
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from cotforge.hub.machine import PATH, PERSONAL, Machine
from cotforge.hub.secret_rules import HINTS, RULES
from cotforge.redaction import MARK, Redactor
from cotforge.visible import show_invisible

KNOWN = "known-key"
"""Kind of a key that this process knows, in whatever spelling it stands there."""
_BEFORE, _AFTER = 40, 12
"""Characters of an excerpt on both sides of what was found."""
_AROUND = 2**12
"""Characters on both sides in which other findings are looked for, before an excerpt is cut out of them."""
_OF_TOKENS = re.compile(r"[A-Za-z0-9_+/=.~-]*")
_TOKEN_BEFORE = re.compile(r"[A-Za-z0-9_+/=.~-]*\Z")
_ESCAPED = re.compile(r"\\(?:([nrt])|([^A-Za-z0-9\s]))")


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something in a text that should not be published."""

    kind: str
    value: str
    """What it is known by; never shown."""
    start: int
    end: int
    """What is covered in an excerpt."""

    @property
    def name(self) -> str:
        return leak_name(self.kind, self.value)


class LeakDetector:
    """Looks at one text at a time."""

    def __init__(self, secrets: Iterable[str], machine: Machine, allow: Collection[str] = ()) -> None:
        """`allow`: names of leaks, kinds of PERSONAL, or names of users and hosts as they are."""
        self._known = Redactor(secrets)
        self._each = {value: Redactor([value]) for value in sorted(self._known.values)}
        self._allow = frozenset(allow)
        self._rules = [(rule.words, rule) for rule in RULES]
        self._personal = list(machine.rules())
        self.hints = f"{HINTS}|{machine.hints()}"
        """A pattern, of RE2 too, that stands in every text with a sighting, known keys apart."""

    @property
    def knows_keys(self) -> bool:
        """Whether there is any known key to look for."""
        return bool(self._known.values)

    def holds_known(self, text: str) -> bool:
        """Whether a known key stands in a text, in whatever spelling."""
        return self.knows_keys and self._known.redact(text) != text

    def sightings(self, text: str) -> list[Sighting]:
        """All of a text, in order, but those that are allowed, and known keys; what lies within another one is left out."""
        kept: list[Sighting] = []
        for found in self._all(text):
            if not any(other.start <= found.start and found.end <= other.end for other in kept):
                kept.append(found)
        return sorted((found for found in kept if not self._is_allowed(found)), key=lambda found: found.start)

    def known_sightings(self, text: str) -> Iterator[Sighting]:
        """One for each known key in a text; `start` is where the first one begins, and is also its `end`."""
        for value, redactor in self._each.items():
            clean = redactor.redact(text)
            found = Sighting(KNOWN, value, *2 * (_first_difference(text, clean),))
            if clean != text and not self._is_allowed(found):
                yield found

    def excerpt(self, text: str, found: Sighting) -> str:
        """What stands around it, on one line, with MARK in its place; other sightings and known keys are covered too."""
        begin, end = max(0, found.start - _AROUND), found.end + _AROUND
        if found.kind == KNOWN:
            clean = self._known.redact(text[begin:])
            at = _first_difference(text[begin:], clean)
            before, after = clean[:at], ""
        else:
            before, after = text[begin : found.start], text[found.end : end]
        return self._line(f"{self._covered(before)[-_BEFORE:]}{MARK}{self._covered(after)[:_AFTER]}")

    def _line(self, text: str) -> str:
        return show_invisible(" ".join(self._known.redact(text).split()))

    def _all(self, text: str) -> Iterator[Sighting]:
        small = text.lower()
        for words, rule in self._rules:
            if any(word in small for word in words):
                for match in rule.pattern.finditer(text):
                    if rule.is_likely(match[1]):
                        yield Sighting(rule.kind, match[1], *_whole_token(text, *match.span(1)))
        for kind, word, pattern, is_meant in self._personal:
            if word in text:
                for match in pattern.finditer(text):
                    if is_meant(match[1]):
                        yield Sighting(kind, match[1], *match.span(kind != PATH))

    def _is_allowed(self, found: Sighting) -> bool:
        return found.name in self._allow or (found.kind in PERSONAL and not self._allow.isdisjoint({found.kind, found.value}))

    def _covered(self, text: str) -> str:
        """The text with MARK for everything in it that a rule finds, also what is allowed."""
        parts: list[str] = []
        at = 0
        for found in sorted(self._all(text), key=lambda found: found.start):
            if found.end > at:
                parts += [text[at : max(at, found.start)], MARK]
                at = found.end
        return "".join([*parts, text[at:]])


@lru_cache(maxsize=1_000)
def leak_name(kind: str, value: str) -> str:
    """What `--allow` takes: the same for the same thing, wherever and whenever it is found."""
    return f"{kind}-{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()[:8]}"


def plain_form(text: str) -> str:
    """The text without the backslashes of Markdown and JSON and the entities of HTML; it has as many lines."""
    bare = _ESCAPED.sub(lambda found: found[2] or " ", text) if "\\" in text else text
    return html.unescape(bare) if "&" in bare else bare


def _whole_token(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with what stands on both sides of the same token: a key may be longer than its rule says."""
    behind = _OF_TOKENS.match(text, end)
    before = _TOKEN_BEFORE.search(text[max(0, start - 200) : start])
    return start - (len(before[0]) if before else 0), behind.end() if behind else end


def _first_difference(text: str, clean: str) -> int:
    """Where a redacted text begins to differ from the text: at a MARK."""
    at = clean.find(MARK)
    while at >= 0 and text.startswith(clean[at : at + 64], at):
        at = clean.find(MARK, at + 1)
    return max(0, at)
