"""Characters that nobody sees, shown as escapes: what a stranger's text holds is what a person reads of it."""

import re
import unicodedata

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that are drawn as nothing. Source: Unicode's Default_Ignorable_Code_Point, and the blank of Braille."""
_SELECTORS = re.compile("[\ufe00-\ufe0d\U000e0100-\U000e01ef]")
"""Variation selectors but those of emoji: any bytes can be hidden in them."""
_KEPT = "\n\t\r"
"""What may stand in a cell of a CSV file."""
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def show_invisible(text: str, *, keep: str = "\n\t") -> str:
    """The text with every invisible character as `\\x1b`, `\\u200b` or `\\U000e0041`: control, format, private and unassigned ones.

    Spaces of every width stay, and the controls in `keep`. Escape sequences of a terminal, changes of direction, zero-width characters and
    tags are thereby text.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(character if character in keep or _is_seen(character) else _escape_character(character) for character in text)


def spell_text(text: str) -> str:
    """As `show_invisible`, so that `unspell_text` finds the very text again: a backslash that could begin an escape is escaped too."""
    shown = show_invisible(text, keep=_KEPT)
    if shown == text and not _ESCAPE.search(text):
        return text
    return "".join(r"\x5c" if character == "\\" else show_invisible(character, keep=_KEPT) for character in text)


def unspell_text(text: str) -> str:
    """The text as it was before `spell_text`."""
    if "\\" not in text:
        return text

    def character(found: re.Match[str]) -> str:
        point = int(found[1] or found[2] or found[3], 16)
        made = chr(point) if point < 0x110000 else found[0]
        return made if made == "\\" or not (len(made) == 1 and _is_seen(made)) else found[0]

    return _ESCAPE.sub(character, text)


def _is_seen(character: str) -> bool:
    if character in _FILLERS or _SELECTORS.match(character):
        return False
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape_character(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
