"""The report of a run: one self-contained page, without scripts and without anything from elsewhere."""

import hashlib
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from cotforge.images.small import data_uri
from cotforge.pages import About, page_environment
from cotforge.records import CuratedSample, Fault
from cotforge.tally import Tally, claims
from cotforge.tally.counts import share_of

BEGIN, END = "<!-- training -->", "<!-- /training -->"
"""Around what a page tells of a training."""
SHOWN = {"conflict": 8, "rejected": 6, "lesson": 6}
"""How many Samples of each kind a page shows, 20 in all; a kind with fewer leaves its places to the others, in this order."""
SIDE = 512
"""Pixels of the longer side of a picture on the page."""


class Gallery:
    """Samples for the page: the same ones whatever their order, label conflicts and rejected ones first, at most 60 held."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[tuple[str, str, CuratedSample]]] = {kind: [] for kind in SHOWN}

    def watch(self, stream: Iterable[CuratedSample | Fault]) -> Iterator[CuratedSample | Fault]:
        """The stream as it is, having looked at it in passing."""
        for item in stream:
            if isinstance(item, CuratedSample):
                self.add(item)
            yield item

    def add(self, outcome: CuratedSample) -> None:
        """Look at one CuratedSample; those whose ids have the least hashes stay."""
        kept = self._kinds[_outcome_kind(outcome)]
        rank = hashlib.sha256(outcome.sample.id.encode("utf-8", "replace")).hexdigest()
        if len(kept) < sum(SHOWN.values()) or rank < kept[-1][0]:
            insort(kept, (rank, outcome.sample.id, outcome), key=lambda entry: entry[:2])
            del kept[sum(SHOWN.values()) :]

    def chosen(self) -> list[CuratedSample]:
        """At most 20 Outcomes to show."""
        first = [entry for kind, most in SHOWN.items() for entry in self._kinds[kind][:most]]
        spare = [entry for kind, most in SHOWN.items() for entry in self._kinds[kind][most:]]
        return [outcome for _, _, outcome in (first + spare)[: sum(SHOWN.values())]]


@dataclass(frozen=True, slots=True)
class Shown:
    """One Sample on the page."""

    outcome: CuratedSample
    kind: str
    pictures: tuple[str, ...]
    """Data URIs; empty for a picture that can no longer be read."""


def report_page(about: About, tally: Tally, gallery: Gallery, *, before: str = "") -> str:
    """The text of `report.html`. All that data and models say stands in it as text.

    What the page `before` it told of a training stays.
    """
    shown = [
        Shown(outcome, _outcome_kind(outcome), tuple(data_uri(picture, SIDE) for picture in outcome.sample.pictures))
        for outcome in gallery.chosen()
    ]
    names = sorted(tally.teachers)
    page = page_environment(autoescape=True).get_template("report.html")
    told = {"shown": shown, "names": names, "models": _model_names(about), "training": _training_section(before)}
    return page.render(about=about, tally=tally, share=share_of, claims=claims, **told)


def with_training(page: str | None, training: Markup, *, title: str) -> str:
    """The page with a training's part, in the place of an earlier one; without a page, one that has nothing else."""
    if page is None:
        return page_environment(autoescape=True).get_template("trained.html").render(title=title, training=training)
    begin, found, rest = page.partition(BEGIN)
    if not found:  # written before there were trainings
        begin, found, rest = page.rpartition("</body>")[0], BEGIN, f"{END}\n</body>\n</html>\n"
    return f"{begin}{BEGIN}{training}{END}{rest.partition(END)[2]}"


def _training_section(page: str) -> Markup:
    """A training's part of a page that was written here; text from elsewhere cannot hold these marks, `<` is never left in it."""
    return Markup(page.partition(BEGIN)[2].partition(END)[0])


def _model_names(about: About) -> Mapping[str, str]:
    return {teacher.name: teacher.model for teacher in about.teachers}


def _outcome_kind(outcome: CuratedSample) -> str:
    if outcome.verdict.label_conflict:
        return "conflict"
    return "lesson" if outcome.lessons else "rejected"
