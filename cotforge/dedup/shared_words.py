"""Texts that share 13 words in a row with a benchmark.

Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: 13-grams, and those that occur often are not counted.
"""

from collections.abc import Iterable

import numpy as np

from cotforge.dedup.words import Hashes, hash_sequences, hash_words

LENGTH = 13
OFTEN = 10
"""Texts of one reference that have a sequence, from which on it is taken for its template."""


class SharedWords:
    """The sequences of 13 words of all texts of all references: 12 bytes each."""

    def __init__(self) -> None:
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._owners = np.empty(0, np.uint32)
        self._names: list[str] = []

    def add(self, texts: Iterable[tuple[str, str]]) -> int:
        """Take (name, text) of one reference; returns how many texts were long enough to be compared."""
        found, owners, start = [self._hashes], [self._owners], len(self._names)
        for name, text in texts:
            sequences = np.unique(hash_sequences(hash_words(text), LENGTH))
            if len(sequences):
                found.append(sequences)
                owners.append(np.full(len(sequences), len(self._names), np.uint32))
                self._names.append(name)
        hashes, owner = np.concatenate(found), np.concatenate(owners)
        order = np.argsort(hashes, kind="stable")  # the first text that has a sequence stands first
        hashes, owner = hashes[order], owner[order]
        own = owner >= start
        _, first, counts = np.unique(hashes[own], return_index=True, return_counts=True)
        rare = first[counts < OFTEN]
        self._hashes = np.concatenate([hashes[~own], hashes[own][rare]])
        self._owners = np.concatenate([owner[~own], owner[own][rare]])
        order = np.argsort(self._hashes, kind="stable")
        self._hashes, self._owners = self._hashes[order], self._owners[order]
        return len(self._names) - start

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, text: str) -> str | None:
        """The name of a text that shares a sequence with this one; None where none does."""
        if not len(self._hashes):
            return None
        sequences = hash_sequences(hash_words(text), LENGTH)
        if not len(sequences):
            return None
        places = np.minimum(np.searchsorted(self._hashes, sequences), len(self._hashes) - 1)
        met = np.flatnonzero(self._hashes[places] == sequences)
        return self._names[int(self._owners[places[met[0]]])] if len(met) else None
