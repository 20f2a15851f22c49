"""The labels that are likeliest wrong, the likeliest first: `audit.csv`, and the same samples on the page on which people answer."""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cotforge.gold.drawing import Doubt
from cotforge.gold.sheet import picture_files
from cotforge.records import Gold, Sample

LISTED = 0.1
"""Posterior that a label is wrong from which on it is listed, however many there are; below, only those on the page are."""
MOST_ODDS = 1e6
"""Odds are told up to here: no model of teachers knows better."""

Key = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A Sample whose label may be wrong."""

    id: str
    label: str
    suggested: str
    """The likeliest other answer, as the vote has it."""
    odds: float
    """Posterior odds that the label is wrong: how many times likelier that is than that it is right."""
    votes: str
    image: str = ""
    """Where its pictures lie."""

    @property
    def key(self) -> Key:
        """The likeliest first."""
        return -self.odds, self.id


@dataclass(slots=True)
class Audit:
    """Looks at all Samples in passing; holds those that it lists, and `count` of them whole, for the page."""

    gold: Gold
    count: int
    listed: list[Suspect] = field(default_factory=list)
    first: list[tuple[Key, Suspect, Sample]] = field(default_factory=list)
    """The likeliest, in order."""
    likelier: int = 0
    """Labels that are likelier wrong than right."""
    labelled: int = 0
    """Samples with a label and an answer, those that people checked among them."""
    _checked: dict[str, float] = field(default_factory=dict)

    def add(self, sample: Sample, doubt: Doubt) -> None:
        """One more; those that people checked are settled, and not listed."""
        if sample.label is None or doubt.label is None or doubt.answer is None:
            return
        self.labelled += 1
        odds = min(doubt.wrong / doubt.label, MOST_ODDS) if doubt.label > 0 else MOST_ODDS
        if sample.id in self.gold.answers or sample.id in self.gold.ambiguous:
            self._checked[sample.id] = odds
            return
        suggested = doubt.answer if doubt.answer != sample.label else ""
        is_first = len(self.first) < self.count or (-odds, sample.id) < self.first[-1][0]
        self.likelier += odds > 1
        if not is_first and doubt.wrong < LISTED:
            return
        suspect = Suspect(sample.id, sample.label, suggested, odds, doubt.votes, picture_files(sample.pictures))
        if doubt.wrong >= LISTED:
            self.listed.append(suspect)
        if is_first:
            insort(self.first, (suspect.key, suspect, sample), key=lambda one: one[0])
            del self.first[self.count :]

    def notes(self) -> Iterator[str]:
        """How many labels look wrong; and where none does, that there is little to find."""
        settled = len(self._checked)
        left_out = f"; {settled:,} that people checked are left out" if settled else ""
        yield f"{self.likelier:,} of {self.labelled - settled:,} labels are likelier wrong than right{left_out}"
        if self.first and not self.likelier:
            yield f"there is little to find: even the label that is likeliest wrong has odds of only {self.first[0][1].odds:.2g}"

    @property
    def picked(self) -> list[Sample]:
        """The samples for the page."""
        return [sample for _, _, sample in self.first]

    def suspects(self) -> list[Suspect]:
        """All that are listed, the likeliest first."""
        every = {suspect.id: suspect for suspect in [*self.listed, *(suspect for _, suspect, _ in self.first)]}
        return sorted(every.values(), key=lambda suspect: suspect.key)

    def drawn(self) -> dict[str, float]:
        """1 for those on the page, and those checked before that would be there: they are chosen by no chance, and stand for no other."""
        if not self.first:
            return {}
        least = self.first[-1][1].odds
        return {sample.id: 1.0 for sample in self.picked} | {id: 1.0 for id, odds in self._checked.items() if odds >= least}


def audit_rows(suspects: Iterable[Suspect]) -> list[Sequence[str]]:
    """The lines of `audit.csv`; its column `answer` is left for a person, and `--read` takes it."""
    lines = [(one.id, one.image, one.label, f"{one.odds:.4g}", one.suggested, one.votes, "1", "") for one in suspects]
    return [("id", "image", "label", "odds", "suggested", "votes", "drawn", "answer"), *lines]
