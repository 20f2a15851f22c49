"""A reasoning seen as words, as lower case, as sentences: taken once for all measures of a trace."""

import functools
import re

from cotforge.measures.mentions import last_named

_WIDE = "\u3002\uff01\uff1f"
"""The full stop, exclamation and question mark of Chinese and Japanese, which no space follows."""


@functools.lru_cache(maxsize=64)
def words_of(text: str) -> tuple[str, ...]:
    """What stands between spaces; split once for all measures of a trace."""
    return tuple(text.split())


@functools.lru_cache(maxsize=64)
def lower_case(text: str) -> str:
    """The text in lower case."""
    return text.lower()


@functools.lru_cache(maxsize=64)
def split_sentences(text: str) -> list[str]:
    """The sentences of a text as they stand, the last with its stop, others mostly without; a decimal point ends none, a line break does.

    The list is kept for the next measure: it must not be changed.
    """
    text = text.replace("! ", ". ").replace("? ", ". ").replace("\n", ". ")
    if not text.isascii():
        for stop in _WIDE:
            text = text.replace(stop, ". ")
    return text.split(". ")


def sentences_of(text: str) -> list[str]:
    """The sentences of a text without their stops and the space around them."""
    return list(filter(None, (sentence.strip(" .!?\t\r") for sentence in split_sentences(text))))


@functools.lru_cache(maxsize=64)
def count_ngrams(text: str, n: int) -> tuple[int, int]:
    """(word n-grams of a text, distinct ones among them); (0, 0) below n words."""
    words = words_of(text)
    return max(0, len(words) - n + 1), len(set(zip(*(words[i:] for i in range(n)), strict=False)))


def last_sentences(text: str, most: int) -> list[str]:
    """Of the last `most` sentences those that have words, last first, without their stops."""
    last = (sentence.strip(" .!?\t\r") for sentence in reversed(split_sentences(text)[-most - 1 :]))
    return list(filter(None, last))[:most]


def names_answer(text: str, answer: str) -> bool:
    """Whether a lower-case text names an answer as whole words."""
    return bool(answer) and last_named(text, answer) >= 0


def mark_answer(text: str, answer: str) -> str:
    """A lower-case text with "@" for each whole-word mention of an answer."""
    if not answer or answer not in text:
        return text
    return re.sub(rf"(?<![^\W_]){re.escape(answer)}(?![^\W_])", "@", text)
