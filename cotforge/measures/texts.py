"""A reasoning seen as words, as lower case, as sentences: taken once for all measures of a trace."""

import functools

from cotforge.measures.mentions import last_named

_WIDE = "\u3002\uff01\uff1f"
"""The full stop, exclamation and question mark of Chinese and Japanese, which no space follows."""
_STOPS = ".!?\n" + _WIDE


@functools.lru_cache(maxsize=64)
def words_of(text: str) -> tuple[str, ...]:
    """What stands between spaces; split once for all measures of a trace."""
    return tuple(text.split())


@functools.lru_cache(maxsize=64)
def lower_case(text: str) -> str:
    """The text in lower case."""
    return text.lower()


@functools.lru_cache(maxsize=64)
def sentences_of(text: str) -> tuple[str, ...]:
    """The sentences of a text, without their stops and the space around them; a line break ends one, a decimal point does not."""
    text = text.replace("! ", ". ").replace("? ", ". ").replace("\n", ". ")
    if not text.isascii():
        for stop in _WIDE:
            text = text.replace(stop, ". ")
    return tuple(filter(None, (sentence.strip(" .!?\t\r") for sentence in text.split(". "))))


@functools.lru_cache(maxsize=64)
def count_ngrams(text: str, n: int) -> tuple[int, int]:
    """(word n-grams of a text, distinct ones among them); (0, 0) below n words."""
    words = words_of(text)
    return max(0, len(words) - n + 1), len(set(zip(*(words[i:] for i in range(n)), strict=False)))


def sentence_around(text: str, place: int) -> tuple[int, int]:
    """(start, end) of the sentence in which a character stands: it begins behind a stop or line break, and ends with one."""
    start = max(text.rfind(stop, 0, place) for stop in _STOPS) + 1
    ends = [found for found in (text.find(stop, place) for stop in _STOPS) if found >= 0]
    return start, min(ends, default=len(text) - 1) + 1


def names_answer(text: str, answer: str) -> bool:
    """Whether a lower-case text names an answer as whole words."""
    return bool(answer) and last_named(text, answer) >= 0
