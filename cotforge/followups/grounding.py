"""Whether an answer and its reasoning outlive the picture: what is shown instead, and what the new answer says."""

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from cotforge.answers import Task
from cotforge.images.blank import blank_picture
from cotforge.records import Reply, Sample, Trace

ALIKE = 0.5
"""Share of word trigrams that two free answers' reasonings have in common from which on they are one (default chosen by us)."""

_PICTURE = r"(?:image|picture|photo|photograph|frame|canvas|figure)"
_EMPTY = r"(?:blank|empty|gr[ae]y|featureless|uniform|monochrome|solid|plain)"
_IS_EMPTY = rf"(?:is|was|seems|appears|looks)(?: to be)?(?: just| only| simply| almost)?(?: an?)?(?: \w+ly)? {_EMPTY}"
_NO_PICTURE = re.compile(
    rf"\b{_PICTURE} (?:that (?:was|is) \w+ )?{_IS_EMPTY}\b|\b{_EMPTY} {_PICTURE}\b"
    r"|\b(?:surface|page|sheet|square|area) (?:is|was|seems|appears)(?: almost| nearly| completely)? (?:blank|empty|featureless)\b"
    r"|\b(?:solid|uniform|plain|blank|mid) gr[ae]y (?:square|rectangle|field|area|block|surface|screen|expanse|void)\b"
    rf"|\b(?:can ?not|can't|unable to|do not|don't) (?:actually )?(?:see|view|access|open) (?:an?|any|the|this|your) {_PICTURE}\b"
    r"|\bno (?:visible|discernible|recogni[sz]able|visual) (?:content|information|object|objects|features?|details?|elements?)\b"
    rf"|\b(?:no {_PICTURE}|nothing) (?:is|was|can be)(?: to be)? (?:seen|visible|shown|provided|attached)\b",
    re.IGNORECASE,
)
"""In English, that there is nothing to see: such a reply does not answer from the picture that it was shown, and says so."""
_NO_ANSWER = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't|unable to|not possible to|impossible to|not able to) (?:\w+ )?"
    r"(?:tell|say|determine|answer|identify|decide|see|know|be determined|be answered|classify|recogni[sz]e)\b"
    r"|\bnone of (?:the|these|them)\b|\bnot enough information\b|\binsufficient\b|\bno answer\b|\bunknown\b|\bn/a\b",
    re.IGNORECASE,
)
"""In English, that there is no answer; counts only where none could be read, for a long thought doubts now and then."""


def survives(trace: Trace, reply: Reply, probed: Trace, task: Task) -> bool | None:
    """Whether a trace came out the same without its picture; None where the new reply does not tell.

    It did not where the teacher answers otherwise, or says that it cannot tell or sees nothing. It did where the answer is the same. A free
    answer in other words is also the same where both reasonings share `ALIKE` of their word trigrams. Of a closed set the answer alone
    counts: teachers guess in the same words, so how often two answers agree by chance is told beside the rate.
    """
    said = f"{reply.reasoning}\n{reply.content}"
    if _NO_PICTURE.search(said) and not _NO_PICTURE.search(trace.reasoning):
        return False
    if probed.answer is None:
        return False if _NO_ANSWER.search(said) else None
    if probed.answer == trace.answer:
        return True
    return task.kind == "answer" and task.verifier == "exact" and shared_trigrams(trace.reasoning, probed.reasoning) >= ALIKE


def shared_trigrams(one: str, other: str) -> float:
    """Jaccard similarity of the word trigrams of two texts, in [0, 1]; 0 where one has none."""
    first, second = _trigrams(one), _trigrams(other)
    return len(first & second) / len(first | second) if first and second else 0.0


def _trigrams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return set(zip(words, words[1:], words[2:], strict=False))


def blanked(sample: Sample) -> Sample:
    """The Sample with blank pictures of the same sizes."""
    return replace(sample, pictures=tuple(map(blank_picture, sample.pictures)))


def swapped(sample: Sample, answer: str | None, partners: tuple[Sample, ...], gold: Mapping[str, str]) -> Sample | None:
    """The Sample with the pictures of another one, drawn by a hash of both; None where no other will do.

    Another one has as many pictures, none of them the same, and another answer, as far as people or its label tell one.
    """
    own = {picture.digest for picture in sample.pictures}
    fitting = [
        other
        for other in partners
        if len(other.pictures) == len(sample.pictures)
        and own.isdisjoint(picture.digest for picture in other.pictures)
        and _differs(gold.get(other.id, other.label), answer, sample.label)
    ]
    if not fitting:
        return None
    return replace(sample, pictures=min(fitting, key=lambda other: _pair_hash(sample, other)).pictures)


def _differs(known: str | None, *answers: str | None) -> bool:
    return known is None or known not in answers


def _pair_hash(sample: Sample, other: Sample) -> bytes:
    return sha256("\n".join(picture.digest for one in (sample, other) for picture in one.pictures).encode()).digest()
