"""What the words of a text may set off: each distinct word is looked at once, and most words of a text set off nothing.

A substring costs 0.5 us in a trace of 200 words, and there would be some two hundred; passing all its words through one dict costs 10 us.
What comes of it is a letter for each word: words that set something off are found among letters in 1 us, n-grams are counted in 3.
"""

import functools
import re
from collections.abc import Iterable
from itertools import count
from operator import itemgetter
from typing import NamedTuple

from cotforge.measures import cues
from cotforge.measures.small_words import FOREIGN
from cotforge.measures.texts import words_of

_ENDS = ("", ",", ".", ":", ";", "?", ")", '"', "'s", "\u2019s", "**", '."', '",')
_PAIRS = (
    ('"', ""),
    ('"', '"'),
    ('"', '",'),
    ("\u201c", ""),
    ("\u201c", "\u201d"),
    ("(", ""),
    ("'", "'"),
    ("*", "*"),
    ("**", "**"),
    ("[", "]"),
)
_AROUND = (*(("", end) for end in _ENDS), *_PAIRS)
"""Punctuation before and behind a word."""


def _forms(words: Iterable[str]) -> dict[str, str]:
    """How a word may stand in a text, with its case and the punctuation around it, and the word."""
    cases = {
        cased: word
        for word in words
        for cased in {word, word.capitalize(), word.upper() if len(word) < 5 else word.replace("-cot", "-CoT")}
    }
    return {f"{begun}{cased}{end}": word for cased, word in cases.items() for begun, end in _AROUND}


_CUES = frozenset(" ".join([*cues.LEAKS.values(), *cues.RESIDUE.values()]).split())
_CUE_OF_FORM = {form: word for word in FOREIGN for form in (word, word.capitalize(), f"{word},")} | _forms(_CUES)
_PART = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_MARKUP = ("<", "[", "#", "*", "_", "--", "==")
_PLAIN = 0x4000
"""The first letter of words that set off nothing; all letters are below U+D800, so that they have two bytes in UTF-16."""
_SET_OFF = re.compile(f"[\0-{chr(_PLAIN - 1)}]")
_MOST_PLAIN, _MOST_CODED = 38_000, 16_000
"""Words that are remembered with a letter of their own; some five megabytes."""
_MOST_WORDS = 10_000
"""Of a text that is read by letters."""


class Codes(NamedTuple):
    """What a word, or all words of a text, may set off."""

    cues: frozenset[str]
    """Words of `cues`, in lower case and without the punctuation around them."""
    prompt: bool
    """Whether it may talk about its prompt."""
    markup: bool
    """Whether it may be markup."""


_NOTHING = Codes(frozenset(), prompt=False, markup=False)


class _Letters(dict[str, str]):
    """By word its letter; a word that was not met before gets the next one, unless there is none left for it."""

    def __init__(self) -> None:
        super().__init__()
        self._plain, self._coded = count(_PLAIN), count()
        self.codes: dict[str, Codes] = {}
        """By letter, of words that set something off."""

    def __missing__(self, word: str) -> str:
        codes = _look_at(word)
        letter = chr(next(self._plain if codes == _NOTHING else self._coded))
        if codes != _NOTHING:
            self.codes[letter] = codes
        return self.setdefault(word, letter)

    def has_room(self, words: int) -> bool:
        """Whether so many more words have a letter."""
        return len(self) + words < _MOST_PLAIN and len(self.codes) + words < _MOST_CODED


_letters = _Letters()


@functools.lru_cache(maxsize=64)
def _read_words(text: str) -> tuple[str | None, Codes]:
    """A letter for each word of a text, and what its words may set off; no letters where it has too many words."""
    global _letters
    words = words_of(text)
    letters = _letters
    if len(words) < 2 or len(words) >= _MOST_WORDS:
        return None, _together(map(_look_at, words))
    # Another dict, not an empty one: a thread that reads a text at the same time keeps its letters.
    if not letters.has_room(len(words)):
        letters = _letters = _Letters()
    # `itemgetter` looks all words up in one call: 4 us less than `map`.
    said = "".join(itemgetter(*words)(letters))
    return said, _together(map(letters.codes.__getitem__, _SET_OFF.findall(said)))


def find_codes(text: str) -> Codes:
    """What the words of a text may set off."""
    return _read_words(text)[1]


def letters_of(text: str) -> str | None:
    """A letter for each word of a text: the same for the same word, another for another; None where it has too many, or too few."""
    return _read_words(text)[0]


def _together(found: Iterable[Codes]) -> Codes:
    found = list(found)
    if len(found) < 2:
        return found[0] if found else _NOTHING
    return Codes(
        frozenset().union(*[codes.cues for codes in found]),
        prompt=any(codes.prompt for codes in found),
        markup=any(codes.markup for codes in found),
    )


def _look_at(word: str) -> Codes:
    """What a word may set off that was not met before."""
    lowered = word.lower()
    parts = {lowered, *_PART.findall(lowered)} & _CUES
    if word in _CUE_OF_FORM:
        parts.add(_CUE_OF_FORM[word])
    return Codes(frozenset(parts), any(map(lowered.__contains__, cues.PROMPT)), any(map(word.__contains__, _MARKUP)))
