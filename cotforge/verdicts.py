"""The verdicts of a sequential vote, from what a run's journal holds: the same whatever the order in which it came there.

All Samples are looked at first, equal ones counted once; then the vote is replayed, and every Sample's verdict looked up.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cotforge.consensus.claim import Bin, Claim
from cotforge.gold import Gold
from cotforge.order import rank
from cotforge.records import Ballot, Sample, Verdict, VoteReason
from cotforge.sequence import SHORT, Guide, prices, voters

FOLDED = 1 << 10
"""Numbers by which gold Samples are parted for cross-validation."""


class Heard(NamedTuple):
    """What came of one Call."""

    voter: str
    """The teacher's name, with `:short` behind it where it was asked for its answer alone."""
    answer: str | None
    """None where it could not be read, or did not come."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    replied: bool = True
    passing: bool = False
    """Whether it did not come for a reason that may pass."""


class Fate(NamedTuple):
    """What the vote makes of Samples that were answered alike."""

    column: int
    """Of a voter that says the leading answer; -1 where none does."""
    confidence: float
    accepted: bool
    asked: tuple[int, ...]
    """Columns of the voters asked, in no order."""
    lacking: tuple[int, ...]
    """Columns of those whose replies would be asked for and are not there."""


_UNSEEN = Fate(-1, 0.0, False, (), (0,))
"""Of answers that no Sample had when the vote was decided: the source or the journal has changed since. The next run tells."""


@dataclass(frozen=True)
class Verdicts:
    """The vote, decided: it looks a Sample's verdict up by what was said of it."""

    coding: "Coding"
    fates: Mapping[bytes, Fate]
    gold: Gold
    label: str
    """`vote`, `gate` or `ignore`."""
    claim: Claim
    bins: Sequence[Bin]
    accuracies: Mapping[str, float]
    """Estimated, by teacher."""
    twins: Mapping[str, str]
    """Teachers that are another one behind a second name, with that name."""

    def of(self, sample: Sample, heard: Iterable[Heard]) -> tuple[Verdict, frozenset[str]]:
        """(the verdict on one Sample, the voters who would be asked about it next)."""
        said = {one.voter: one.answer for one in heard}
        fate = self.fates.get(self.coding.key(sample, said), _UNSEEN)
        return self._verdict(sample, said, fate), frozenset(self.coding.names[column] for column in fate.lacking)

    def _verdict(self, sample: Sample, said: Mapping[str, str | None], fate: Fate) -> Verdict:
        names = self.coding.names
        cast = [(names[column], said[names[column]]) for column in fate.asked]
        ballots = tuple(Ballot(name.removesuffix(SHORT), answer) for name, answer in cast if answer is not None)
        if sample.id in self.gold.ambiguous:
            return Verdict(None, 0.0, False, "ambiguous", ballots)
        answer = said[names[fate.column]] if fate.column >= 0 else None
        reason: VoteReason = "" if fate.accepted else self._why(sample, fate, ballots)
        if not reason and self.label == "gate" and sample.label != answer:
            reason = "label_missing" if sample.label is None else "label_gate"
        conflict = not reason and sample.label is not None and sample.label != answer
        return Verdict(answer, fate.confidence, not reason, reason, ballots, conflict)

    def _why(self, sample: Sample, fate: Fate, ballots: Sequence[Ballot]) -> VoteReason:
        if fate.lacking:
            return "not_asked"
        if not fate.asked:
            return "not_wanted"
        if not ballots:
            return "no_ballots"
        return "gold_unsaid" if sample.id in self.gold.answers else "below_target"


class Coding:
    """Samples and what was said of them, as numbers. It travels to other processes."""

    def __init__(self, guide: Guide) -> None:
        self.names = voters(guide.pipeline)
        self._terms, self._gold, self._waves = guide.terms({}), guide.gold.answers, guide.waves
        self._columns = {name: column for column, name in enumerate(self.names)}
        self._places = {option: place for place, option in enumerate(sorted(self._terms.options))}

    def key(self, sample: Sample, said: Mapping[str, str | None]) -> bytes:
        """[wave, everybody, fold, gold, answers..., label]: see `consensus.sequential.table`."""
        from cotforge.consensus.sequential.table import coded

        gold = self._gold.get(sample.id)
        fold = rank(sample.id) % FOLDED if gold is not None else -1
        symbols, true = coded(self._terms, sample.label, said, gold, self._columns, self._places)
        return array("h", (self._waves.wave(sample.id), self._waves.everybody(sample.id), fold, true, *symbols)).tobytes()


class Rows:
    """All Samples of a run, equal ones counted once: memory follows the distinct ways of answering."""

    def __init__(self, guide: Guide) -> None:
        self._guide, self._coding = guide, Coding(guide)
        self._counts: dict[bytes, int] = {}
        self._took: dict[str, list[tuple[float, float]]] = {name: [] for name in self._coding.names}

    def add(self, sample: Sample, heard: Sequence[Heard]) -> None:
        """One more, with what was said of it."""
        key = self._coding.key(sample, {one.voter: one.answer for one in heard})
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._guide.waves.wave(sample.id) == 0:
            for one in heard:
                if one.replied:
                    self._took[one.voter].append((one.cost_usd, one.seconds))

    def decided(self) -> Verdicts:
        """The vote, replayed. Takes seconds."""
        import numpy as np  # where something is learned

        from cotforge.consensus.sequential.replay import replay
        from cotforge.consensus.sequential.table import table

        pipeline = self._guide.pipeline
        about = self._guide.terms(prices(self._took))
        keys = list(self._counts)
        packed = np.frombuffer(b"".join(keys), np.int16).reshape(len(keys), -1).astype(np.int64)
        rows, places = table(packed, np.array(list(self._counts.values()), float))
        found = replay(about, rows, self._guide.waves)
        walked = found.walk
        asked, lacking = ([tuple(np.flatnonzero(row).tolist()) for row in part] for part in (walked.asked_NK, walked.lacking_NK))
        columns = (part.tolist() for part in (found.column_N, found.confidence_N, found.accepted_N))
        fates = [Fate(*one) for one in zip(*columns, asked, lacking, strict=True)]
        accuracies = found.belief.model.accuracy().tolist()
        twins = {about.voters[one].teacher: about.voters[other].teacher for one, other in found.belief.twins.items()}
        return Verdicts(
            self._coding,
            {key: fates[place] for key, place in zip(keys, places.tolist(), strict=True)},
            self._guide.gold,
            pipeline.consensus.label,
            found.claim,
            found.held.bins() if found.held is not None else [],
            {voter.teacher: accuracy for voter, accuracy in zip(about.voters, accuracies, strict=False) if not voter.short},
            twins,
        )
