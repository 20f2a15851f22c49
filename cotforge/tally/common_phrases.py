"""The phrase that most texts have in common: whether what joins woven texts has become a set phrase."""

import re
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


class CommonPhrase(NamedTuple):
    """Words in a row, and how many texts have them."""

    words: str
    """In lower case, without punctuation."""
    texts: int
    share: float
    """Of all texts, in (0, 1]."""


class CommonPhrases:
    """Counts in how many texts each phrase of `words` words stands, in bounded memory.

    Exact for up to `exact` texts. Beyond that phrases that are rare so far are forgotten, so that a share may be too small by 1 / `exact`
    at most. Source: lossy counting, Manku and Motwani 2002.
    """

    def __init__(self, words: int = 5, *, exact: int = 1_000) -> None:
        self.texts = 0
        self._words, self._exact = words, exact
        self._counts: dict[str, tuple[int, int]] = {}
        """(texts, those in which it may have stood before it was counted) by phrase."""

    def add(self, text: str) -> None:
        """Count the phrases of a text, each once."""
        words = [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]
        missed = self.texts // self._exact
        self.texts += 1
        for phrase in {" ".join(words[place : place + self._words]) for place in range(len(words) - self._words + 1)}:
            count, before = self._counts.get(phrase, (0, missed))
            self._counts[phrase] = count + 1, before
        if self.texts % self._exact == 0:
            bound = self.texts // self._exact
            self._counts = {phrase: kept for phrase, kept in self._counts.items() if sum(kept) > bound}

    def commonest(self) -> CommonPhrase | None:
        """The phrase of most texts, of several the first in the alphabet; None where no text has so many words."""
        if not self._counts:
            return None
        phrase = min(self._counts, key=lambda one: (-self._counts[one][0], one))
        count = self._counts[phrase][0]
        return CommonPhrase(phrase, count, count / self.texts)
