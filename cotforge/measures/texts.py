"""A reasoning seen as words, as lower case, as sentences: taken once for all measures of a trace."""

import functools

from cotforge.measures.mentions import last_named

_WIDE = "\u3002\uff01\uff1f"
"""The full stop, exclamation and question mark of Chinese and Japanese, which no space follows."""

TEXTS_KEPT = 64
"""Texts of which is kept what one measure found out, for the next."""


@functools.lru_cache(maxsize=TEXTS_KEPT)
def words_of(text: str) -> list[str]:
    """What stands between spaces; split once for all measures of a trace, so that the list must not be changed."""
    return text.split()


@functools.lru_cache(maxsize=TEXTS_KEPT)
def lower_case(text: str) -> str:
    """The text in lower case."""
    return text.lower()


@functools.lru_cache(maxsize=TEXTS_KEPT)
def split_sentences(text: str) -> list[str]:
    """The sentences of a text as they stand, the last with its stop, others mostly without; a decimal point ends none, a line break does.

    The list is kept for the next measure: it must not be changed.
    """
    if "!" in text:
        text = text.replace("! ", ". ")
    if "?" in text:
        text = text.replace("? ", ". ")
    if "\n" in text:
        text = text.replace("\n", ". ")
    if not text.isascii():
        for stop in _WIDE:
            text = text.replace(stop, ". ")
    return text.split(". ")


def sentences_of(text: str) -> list[str]:
    """The sentences of a text without their stops and the space around them."""
    return list(filter(None, (sentence.strip(" .!?\t\r") for sentence in split_sentences(text))))


def last_sentences(text: str, most: int) -> list[str]:
    """Of the last `most` sentences those that have words, last first, without their stops."""
    last = split_sentences(text)[-most - 1 :]
    return [bare for sentence in reversed(last) if (bare := sentence.strip(" .!?\t\r"))][:most]


def names_answer(text: str, answer: str) -> bool:
    """Whether a lower-case text names an answer as whole words."""
    return bool(answer) and last_named(text, answer) >= 0


_SPACED = bytes(byte if (chr(byte).isalnum() and byte < 128) or byte == 95 else 32 for byte in range(256))
"""Turns what is no letter, digit or underscore into a space."""


def parts_of(sentence: str) -> list[str]:
    """The words of a sentence, divided also where a hyphen, an apostrophe or a letter beyond ASCII stands."""
    # Six times as quick as `str.translate`.
    return sentence.encode("ascii", "replace").translate(_SPACED).decode("ascii").split()


def mark_answer(text: str, answer: str) -> str:
    """A lower-case text with "@" for each whole-word mention of an answer."""
    if not answer or answer not in text:
        return text
    parts = text.split(answer)
    marked = parts[0]
    for part in parts[1:]:
        whole = not marked[-1:].isalnum() and not part[:1].isalnum()
        marked += ("@" if whole else answer) + part
    return marked
