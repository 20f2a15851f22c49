"""Texts that repeat an earlier lesson, or share words with a benchmark: found among lessons in the order of the source."""

from typing import NamedTuple

from cotforge.dedup.found import Duplicate, DuplicateKind, FoundDuplicates
from cotforge.dedup.minhash import EarlierTexts
from cotforge.dedup.shared_words import SharedWords
from cotforge.records import Sample, Trace


class Objection(NamedTuple):
    """Why a text does not become a lesson."""

    reason: str
    """`duplicate` or `contaminated`."""
    similarity: float | None
    """To the earlier lesson, from 0 to 1; None where 13 words in a row are shared."""
    detail: str
    """One line that names what it repeats."""


class LessonRule:
    """Judges the texts of one curating, each once. Memory stays flat but for the words of the references."""

    def __init__(self, least: float | None, references: SharedWords | None) -> None:
        """`least`: similarity from which a text repeats an earlier lesson with the same answer; None: any may."""
        self.found = FoundDuplicates("text")
        self._earlier = None if least is None else EarlierTexts(least)
        self._references = references

    def judge(self, sample: Sample, answer: str, trace: Trace) -> Objection | None:
        """Why the text does not become a lesson; None where it does, and later texts are compared with it."""
        place = self._references.find(trace.reasoning) if self._references is not None else None
        if place is not None:
            self._note(sample, place, "contaminated", None)
            return Objection("contaminated", None, f"shares 13 words in a row with {place}")
        if self._earlier is None:
            return None
        repeated, signature = self._earlier.find(trace.call, answer, trace.reasoning)
        if repeated is not None:
            self._note(sample, repeated.id, "reasoning", repeated.similarity)
            return Objection("duplicate", repeated.similarity, f"repeats the lesson of {repeated.id!r}: {repeated.similarity:.2f} alike")
        if signature is not None:
            self._earlier.keep(sample.id, trace.call, answer, signature)
        return None

    def _note(self, sample: Sample, kept: str, kind: DuplicateKind, similarity: float | None) -> None:
        self.found.add(Duplicate(sample.id, kept, kind, "reasoning", similarity, "dropped", sample.label or "", "", sample.where))
