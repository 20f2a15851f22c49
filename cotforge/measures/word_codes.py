"""What the words of a text may set off: each distinct word is looked at once, and most words of a text set off nothing.

A substring costs 0.5 us in a trace of 200 words, and there would be some two hundred; passing all its words through one set costs 5 us.
"""

import functools
import re
from collections.abc import Iterable
from itertools import filterfalse
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
_MOST_KEPT = 100_000
"""Words of which is remembered that they set off nothing; some ten megabytes."""


class Codes(NamedTuple):
    """What a word, or all words of a text, may set off."""

    cues: frozenset[str]
    """Words of `cues`, in lower case and without the punctuation around them."""
    prompt: bool
    """Whether it may talk about its prompt."""
    markup: bool
    """Whether it may be markup."""


_plain: set[str] = set()
_codes: dict[str, Codes] = {}
_NOTHING = Codes(frozenset(), prompt=False, markup=False)


@functools.lru_cache(maxsize=64)
def find_codes(text: str) -> Codes:
    """What the words of a text may set off."""
    found = [_codes.get(word) or _look_at(word) for word in filterfalse(_plain.__contains__, words_of(text))]
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
    codes = Codes(frozenset(parts), any(map(lowered.__contains__, cues.PROMPT)), any(map(word.__contains__, _MARKUP)))
    if len(_plain) + len(_codes) >= _MOST_KEPT:
        _plain.clear()
        _codes.clear()
    if codes == _NOTHING:
        _plain.add(word)
    else:
        _codes[word] = codes
    return codes
