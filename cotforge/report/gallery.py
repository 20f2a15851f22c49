"""Which samples a page shows: the most telling ones of each kind, the same whatever their order, in memory that does not grow."""

from bisect import insort
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from cotforge.records import CuratedSample, Judged

Kind = Literal["conflict", "split", "dissent", "filtered", "unheard", "rescued", "woven", "lesson"]
QUOTAS: dict[Kind, int] = {
    **{"conflict": 16, "split": 14, "dissent": 10, "filtered": 6},
    **{"unheard": 2, "rescued": 2, "woven": 2, "lesson": 8},
}
"""How many samples of each kind a page shows, 60 in all; a kind with fewer leaves its places to the others, in this order."""
KINDS: dict[Kind, tuple[str, str]] = {
    "conflict": ("against the label", "The teachers agree on another answer than the label: perhaps the label is wrong."),
    "split": ("not agreed on", "The teachers gave different answers, and none was sure enough."),
    "dissent": ("with dissent", "Accepted, though at least one teacher gave another answer."),
    "filtered": ("dropped", "The teachers agree, but no text passed the filters."),
    "unheard": ("not answered", "No reply could be read."),
    "rescued": ("rescued", "No agreement; a teacher that was told the label explained it, and others derived it again."),
    "woven": ("woven", "Its text was put together from the traces of several teachers, right and wrong."),
    "lesson": ("unanimous", "All teachers gave the answer that was accepted."),
}
"""Name and meaning of each kind."""
SHOWN = sum(QUOTAS.values())
HELD = 2 * SHOWN
"""Samples of one kind that are held while the run is read."""
TRACES = 6
"""Traces of one sample that are shown."""
LONGEST = 6_000
"""Characters of one trace, or question, that are held."""
_GOOD = ("lesson", "surplus", "filter", "wrong", "undecided", "vote", "unread", "gate", "check")


class GalleryCandidate(NamedTuple):
    """A sample that may be shown, and what it is ranked by."""

    score: float
    """The more telling, the lower."""
    rank: bytes
    """By chance, but the same for the same sample."""
    outcome: CuratedSample
    traces: int
    """How many it has in all."""


class Gallery:
    """The samples that a page shows."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, list[GalleryCandidate]] = {kind: [] for kind in QUOTAS}

    def add(self, outcome: CuratedSample, rank: bytes) -> None:
        """Look at one sample; `rank` is eight bytes that are drawn from its id."""
        kind = kind_of(outcome)
        kept, score = self._kinds[kind], _telling_score(kind, outcome)
        if len(kept) < HELD or (score, rank) < kept[-1][:2]:
            insort(kept, GalleryCandidate(score, rank, _trim_outcome(outcome), len(outcome.traces)), key=lambda one: one[:2])
            del kept[HELD:]

    def chosen(self) -> list[tuple[Kind, GalleryCandidate]]:
        """At most 60, by kind, with as many different classes and reasons as there are."""
        ordered = {kind: _mix_groups(kind, kept) for kind, kept in self._kinds.items()}
        places = {kind: min(most, len(ordered[kind])) for kind, most in QUOTAS.items()}
        for kind in QUOTAS:
            places[kind] += min(SHOWN - sum(places.values()), len(ordered[kind]) - places[kind])
        return [(kind, one) for kind, found in ordered.items() for one in found[: places[kind]]]


def kind_of(outcome: CuratedSample) -> Kind:
    """Why a sample may be worth a look."""
    verdict, origins = outcome.verdict, {lesson.judged.trace.origin for lesson in outcome.lessons}
    if "rescue" in origins:
        return "rescued"
    if not verdict.accepted:
        return "split" if verdict.ballots else "unheard"
    if not outcome.lessons:
        return "filtered"
    if verdict.label_conflict:
        return "conflict"
    if "woven" in origins:
        return "woven"
    return "dissent" if any(ballot.answer != verdict.answer for ballot in verdict.ballots) else "lesson"


def _telling_score(kind: Kind, outcome: CuratedSample) -> float:
    """Sure conflicts first, and close races; in steps, so that chance decides among equals."""
    sure = round(20 * outcome.verdict.confidence)
    return {"conflict": -sure, "split": sure, "dissent": sure}.get(kind, 0)


def _mix_groups(kind: Kind, kept: Sequence[GalleryCandidate]) -> list[GalleryCandidate]:
    """The same candidates, those of a class or reason that was there already after all new ones."""
    met: Counter[Hashable] = Counter()
    turns = []
    for candidate in kept:
        group = _group_of(kind, candidate.outcome)
        turns.append(met[group])
        met[group] += 1
    return [candidate for _, candidate in sorted(zip(turns, kept, strict=True), key=lambda one: one[0])]


def _group_of(kind: Kind, outcome: CuratedSample) -> Hashable:
    verdict = outcome.verdict
    if kind == "conflict":
        return outcome.sample.label, verdict.answer
    if kind in ("filtered", "unheard"):
        return outcome.rejected
    return frozenset(ballot.answer for ballot in verdict.ballots)


def _trim_outcome(outcome: CuratedSample) -> CuratedSample:
    """Without what a page does not show: long texts, and all but a few traces (those that differ most in fate and answer first)."""
    seen: Counter[tuple[str, str | None]] = Counter()
    turns: list[tuple[int, int, int, Judged]] = []
    for place, judged in enumerate(outcome.traces):
        known = (judged.fate, judged.trace.answer)
        turns.append((seen[known], _GOOD.index(judged.fate), place, judged))
        seen[known] += 1
    few = sorted(sorted(turns, key=lambda one: one[:3])[:TRACES], key=lambda one: one[2])
    cut = tuple(replace(judged, trace=replace(judged.trace, reasoning=_cut_text(judged.trace.reasoning))) for *_, judged in few)
    sample = replace(outcome.sample, question=outcome.sample.question[:LONGEST], meta={})
    return replace(outcome, sample=sample, traces=cut, lessons=outcome.lessons[:1], prompt="", pair=None, failed=outcome.failed[:TRACES])


def _cut_text(text: str) -> str:
    return text if len(text) <= 2 * LONGEST else text[: 2 * LONGEST]
