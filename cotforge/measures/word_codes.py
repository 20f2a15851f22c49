"""What the words of a text may set off: each distinct word is looked at once, and most words of a text set off nothing.

A substring costs 0.5 us in a trace of 200 words, and there would be some two hundred; comparing all its words with those that are known to
set off nothing costs 1 to 3.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cotforge.measures import cues
from cotforge.measures.small_words import FOREIGN
from cotforge.measures.texts import TEXTS_KEPT
from cotforge.measures.word_hashes import HashedWords, hash_ngrams, hash_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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
_SLOT_BITS = 17
"""Of the number of a slot: a megabyte for all."""
_MOST_KEPT = 100_000
"""Words of which is remembered what they set off; some ten megabytes."""
_MOST_TOGETHER = 1 << 18
"""Characters that are read together (ours), so that many long texts take no more memory than one: 50 bytes for each meanwhile."""


class Codes(NamedTuple):
    """What a word, or all words of a text, may set off."""

    cues: frozenset[str]
    """Words of `cues`, in lower case and without the punctuation around them."""
    prompt: frozenset[str]
    """Stems of `cues.PROMPT` by which it may talk about its prompt."""
    markup: bool
    """Whether it may be markup."""


_NOTHING = Codes(frozenset(), frozenset(), markup=False)


class TextWords(NamedTuple):
    """The words of a text, without the words themselves."""

    total: int
    codes: Codes
    hashes: npt.NDArray[np.uint64]
    fours: npt.NDArray[np.uint64]
    """A number for each run of four words."""


class _Known:
    """The words that were met: what they set off, and the hashes of those that set off nothing, each in a slot by its first bits."""

    def __init__(self) -> None:
        import numpy as np

        self.codes: dict[bytes, Codes] = {}
        self.plain = np.zeros(1 << _SLOT_BITS, np.uint64)
        self.shift = np.uint64(64 - _SLOT_BITS)

    def codes_of(self, words: HashedWords) -> list[list[Codes]]:
        """What the words of each text set off, one after another."""
        slots = words.hashes >> self.shift
        # Others are words that set something off, that are new, or whose slot another word took.
        others = (self.plain[slots] != words.hashes).nonzero()[0]
        found: list[list[Codes]] = [[] for _ in words.borders]
        for at, begin, end in zip(others.tolist(), words.begins[others].tolist(), words.ends[others].tolist(), strict=True):
            word = words.raw[begin:end]
            codes = self.codes.get(word) or self._look_at(word)
            if codes is _NOTHING:
                self.plain[slots[at]] = words.hashes[at]
            else:
                found[bisect_right(words.borders, at)].append(codes)
        return found

    def _look_at(self, word: bytes) -> Codes:
        if len(self.codes) >= _MOST_KEPT:
            self.codes.clear()
        return self.codes.setdefault(word, _look_at(word.decode("utf-8", "surrogatepass")))


@functools.cache
def _known() -> _Known:
    return _Known()


_together: dict[str, TextWords | None] = {}
"""The texts that are read together, and what was read once one of them was asked for."""


def read_together(texts: Iterable[str]) -> None:
    """From now on the words of these texts are read all at once, when one of them is asked for: in a third of the time."""
    global _together
    _together = dict.fromkeys(texts)


def read_words(text: str) -> TextWords:
    """The words of a text."""
    texts = _together
    if (words := texts.get(text)) is not None:
        return words
    if text not in texts:
        return _read_alone(text)
    texts.update(zip(texts, _read_texts(list(texts)), strict=True))
    return texts[text] or _read_alone(text)


def find_codes(text: str) -> Codes:
    """What the words of a text may set off."""
    return read_words(text).codes


@functools.lru_cache(maxsize=TEXTS_KEPT)
def _read_alone(text: str) -> TextWords:
    return _read_texts([text])[0]


def _read_texts(texts: Sequence[str]) -> list[TextWords]:
    return [words for group in _in_groups(texts) for words in _read_group(group)]


def _in_groups(texts: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) > _MOST_TOGETHER:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    yield group


def _read_group(texts: Sequence[str]) -> list[TextWords]:
    words = hash_words(texts)
    codes = _known().codes_of(words)
    fours = hash_ngrams(words.hashes, 4)
    read, begin = [], 0
    for border, found in zip(words.borders, codes, strict=True):
        read.append(TextWords(border - begin, _unite(found), words.hashes[begin:border], fours[begin : max(begin, border - 3)]))
        begin = border
    return read


def _unite(found: Sequence[Codes]) -> Codes:
    if len(found) < 2:
        return found[0] if found else _NOTHING
    return Codes(
        frozenset().union(*[codes.cues for codes in found]),
        frozenset().union(*[codes.prompt for codes in found]),
        markup=any(codes.markup for codes in found),
    )


def _look_at(word: str) -> Codes:
    """What a word may set off that was not met before."""
    lowered = word.lower()
    parts = {lowered, *_PART.findall(lowered)} & _CUES
    if word in _CUE_OF_FORM:
        parts.add(_CUE_OF_FORM[word])
    stems = frozenset(filter(lowered.__contains__, cues.PROMPT))
    codes = Codes(frozenset(parts), stems, any(map(word.__contains__, _MARKUP)))
    return _NOTHING if codes == _NOTHING else codes
