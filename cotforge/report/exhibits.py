"""A sample as the page shows it: pictures, votes, and its traces side by side, each cut to its size."""

from collections.abc import Sequence
from dataclasses import dataclass

from cotforge.reasons import UNPROMISED, counted_reason, short_fate
from cotforge.records import CuratedSample, Judged
from cotforge.report.excerpts import PICTURES, Excerpt, text_excerpt, thumbnail_uris
from cotforge.report.gallery import KINDS, GalleryCandidate, Kind

PICTURE_BYTES = 36_000
"""Characters of one sample's pictures on the page."""
TEXT_BYTES = 18_000
"""Bytes of one sample's traces on the page; of one trace at most a third of that."""
WORDS = 500
"""Bytes of a question."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer, and who gave it."""

    answer: str
    voters: Sequence[str]
    leads: bool
    is_label: bool


@dataclass(frozen=True, slots=True)
class ShownTrace:
    """A trace as the page shows it."""

    teacher: str
    answer: str | None
    style: str
    """`good`, `bad` or empty."""
    fate: str
    text: Excerpt
    tokens: int
    origin: str = "solve"
    segments: Sequence[tuple[str, str]] = ()
    """(kind, text) of each part of a woven text; empty where it is cut or not woven."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A sample as the page shows it."""

    kind: Kind
    name: str
    """Of the kind."""
    id: str
    where: str
    question: str
    label: str | None
    answer: str | None
    accepted: bool
    confidence: float
    rejected: str
    """Why there is no lesson, in words; empty where there is one."""
    pictures: Sequence[str]
    pictures_left_out: int
    votes: Sequence[Vote]
    traces: Sequence[ShownTrace]
    traces_left_out: int
    failed: Sequence[tuple[str, str]]


def make_exhibit(kind: Kind, candidate: GalleryCandidate) -> Exhibit:
    """What the page shows of a sample; its pictures are read now."""
    outcome = candidate.outcome
    sample, verdict = outcome.sample, outcome.verdict
    most = min(TEXT_BYTES // max(1, len(outcome.traces)), TEXT_BYTES // 3)
    return Exhibit(
        kind=kind,
        name=KINDS[kind][0],
        id=sample.id,
        where=sample.where,
        question=text_excerpt(sample.question, WORDS).text,
        label=sample.label,
        answer=verdict.answer,
        accepted=verdict.accepted,
        confidence=verdict.confidence,
        rejected=UNPROMISED if verdict.unpromised else counted_reason(outcome.rejected) if outcome.rejected else "",
        pictures=thumbnail_uris(sample.pictures, PICTURE_BYTES),
        pictures_left_out=max(0, len(sample.pictures) - PICTURES),
        votes=votes_of(outcome),
        traces=[_shown_trace(judged, most) for judged in outcome.traces],
        traces_left_out=candidate.traces - len(outcome.traces),
        failed=[(teacher, reply.error or "") for teacher, reply in outcome.failed],
    )


def votes_of(outcome: CuratedSample) -> list[Vote]:
    """Each answer with who gave it, the one with the most weight first."""
    given: dict[str, list[str]] = {}
    weights: dict[str, float] = {}
    for ballot in outcome.verdict.ballots:
        given.setdefault(ballot.answer, []).append(ballot.teacher)
        weights[ballot.answer] = weights.get(ballot.answer, 0.0) + ballot.weight
    leads, label = outcome.verdict.answer, outcome.sample.label
    ranked = sorted(given.items(), key=lambda one: (one[0] != leads, -weights[one[0]], one[0]))
    return [Vote(answer, voters, answer == leads, answer == label) for answer, voters in ranked]


def _shown_trace(judged: Judged, most: int) -> ShownTrace:
    trace = judged.trace
    value = "" if judged.fate_value is None else f" ({judged.fate_value:,.4g})"
    fate = f"{short_fate(judged.fate_word)}{value}"
    style = "good" if judged.fate in ("lesson", "surplus") else "bad" if judged.fate in ("wrong", "unread", "filter", "gate") else ""
    text = text_excerpt(trace.reasoning or judged.said, most)
    segments = () if text.left_out else judged.segments
    return ShownTrace(trace.teacher, trace.answer, style, fate, text, trace.output_tokens, trace.origin, segments)
