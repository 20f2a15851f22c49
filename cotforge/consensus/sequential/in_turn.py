"""A sequential vote over Samples one by one: they are counted by what was said of them, and looked up by it afterwards."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cotforge.consensus.claim import Expected
from cotforge.consensus.decider import Decider, Heard, Opinion, Rows, Setting, with_label
from cotforge.consensus.image.admitted import Admission
from cotforge.consensus.sequential.terms import SHORT, Terms, mean_prices
from cotforge.records import Ballot, Sample, VoteReason

if TYPE_CHECKING:
    from cotforge.consensus.sequential.replay import Replayed


class VoterAnswers(NamedTuple):
    """What was said of a Sample, by voter."""

    answers: Mapping[str, str | None]
    """None of one that gave none."""
    probabilities: Mapping[str, float]
    """Of those answers of which it is known."""

    @classmethod
    def of(cls, heard: Sequence[Heard]) -> "VoterAnswers":
        """The last that each voter said."""
        last = {one.voter: one for one in heard}
        known = {name: one.probability for name, one in last.items() if one.probability is not None and one.answer is not None}
        return cls({name: one.answer for name, one in last.items()}, known)


class TurnFate(NamedTuple):
    """What the vote makes of Samples that were answered alike."""

    column: int
    """Of a voter that says the leading answer; -1 where none does."""
    confidence: float
    accepted: bool
    asked: tuple[int, ...]
    """Columns of the voters asked, in turn."""
    lacking: tuple[int, ...]
    """Columns of those whose replies would be asked for and are not there."""
    said: tuple[float, ...] = ()
    """Posterior of what each column says, the label's last; 0 where it says nothing."""
    apart: tuple[int, float, bool] | None = None
    """(column, confidence, accepted) where what people said of these Samples was kept from the vote; None where they said nothing."""


_UNSEEN = TurnFate(-1, 0.0, False, (), (0,))
"""Of answers that no Sample had when the vote was decided: the source or the journal has changed since. The next run tells."""


class Coding:
    """Samples and what was said of them, as numbers. It travels to other processes."""

    def __init__(self, setting: Setting) -> None:
        self._setting = replace(setting, pictures=None)
        self._pictured = None if setting.pictures is None else setting.pictures.places
        self.names = tuple(voter.name for voter in setting.terms.voters)
        self._columns = {name: column for column, name in enumerate(self.names)}
        self._places = {option: place for place, option in enumerate(sorted(setting.terms.options))}

    def row(self, sample: Sample, said: VoterAnswers) -> "array[int]":
        """[wave, everybody, fold, gold, answers..., label]: see `table`; with pictures, the place of the Sample's own before that."""
        from cotforge.consensus.sequential.answer_table import UNTOLD, code_sample

        terms, waves, gold = self._setting.terms, self._setting.waves, self._setting.gold.answers.get(sample.id)
        fold = waves.fold(sample.id) if self._setting.checked(sample.id) else -1
        symbols, true = code_sample(terms, sample.label, said.answers, gold, self._columns, self._places)
        true = UNTOLD if sample.id in self._setting.gold.ambiguous else true
        if terms.binned and said.probabilities:
            bins = [voter.bin(said.probabilities.get(voter.name)) for voter in terms.voters]
            symbols = [symbol + terms.symbols * bin if symbol >= 0 else symbol for symbol, bin in zip(symbols, (*bins, 0), strict=True)]
        front = () if self._pictured is None else (self._pictured.get(sample.id, -1),)
        return array("i", (*front, *waves.place(sample.id), fold, true, *symbols))


class CodedRows(Rows):
    """All Samples by their codes."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.coding = Coding(setting)
        self.counts: dict[bytes, int] = {}
        """Of those of which no probability is known, by their rows as bytes."""
        self._rows, self._probabilities, self._times = array("i"), array("d"), array("q")
        """Of all others: they have no codes before the cuts of confidence are known."""
        self._width = 5 + len(self.coding.names)
        self._took: dict[str, list[tuple[float, float]]] = {name: [] for name in self.coding.names}

    def count(self, sample: Sample, heard: Sequence[Heard], times: int) -> None:
        said = VoterAnswers.of(heard)
        row = self.coding.row(sample, said)
        self._width = len(row)
        if said.probabilities:
            self._rows.extend(row)
            self._probabilities.extend(said.probabilities.get(name, nan) for name in self.coding.names)
            self._times.append(times)
        else:
            key = row.tobytes()
            self.counts[key] = self.counts.get(key, 0) + times
        if not self.setting.priced and self.setting.waves.wave(sample.id) == 0:
            for one in heard:
                if one.replied:
                    self._took[one.voter].append((one.cost_usd, one.seconds))

    def packed(self, terms: Terms) -> tuple[Any, Any, Terms]:
        """(rows as `Coding.row` has them, how often each was met, the terms with cuts of confidence)."""
        import numpy as np

        from cotforge.consensus.sequential.answer_table import with_bins
        from cotforge.consensus.sequential.bins import assign_bins, with_cuts

        k = len(terms.voters)
        rows = np.frombuffer(b"".join(self.counts), np.int32).reshape(-1, self._width).astype(np.int64)
        times = np.array(list(self.counts.values()), float)
        if not self._times:
            return rows, times, terms
        known, often = np.array(self._rows, np.int64).reshape(-1, self._width), np.array(self._times)
        probability_NK, warm_N = np.array(self._probabilities, float).reshape(-1, k), known[:, -5 - k] == 0
        terms = with_cuts(terms, np.repeat(probability_NK[warm_N], often[warm_N], axis=0))
        known[:, -1 - k : -1] = with_bins(known[:, -1 - k : -1], assign_bins(probability_NK, terms), terms)
        return np.concatenate([rows, known]), np.append(times, often), terms

    @property
    def terms(self) -> Terms:
        """Those of the setting, with the voters' prices."""
        about = self.setting.terms
        if self.setting.priced:
            return about
        found = mean_prices(self._took)
        return replace(about, voters=tuple(replace(voter, price=found[voter.name]) for voter in about.voters))


@dataclass(frozen=True)
class FoldFigures:
    """What is known of a vote beside its verdicts."""

    target: float
    """By which teachers were asked."""
    expected: Expected | None
    estimates: Mapping[str, float]
    twins: Mapping[str, str]
    admission: Admission | None = None
    remarks: Sequence[str] = ()


class TurnDecider(Decider):
    """The vote, decided: it looks up what was said of a Sample."""

    def __init__(self, rows: CodedRows, coding: Coding, fates: Mapping[bytes, TurnFate], figures: FoldFigures) -> None:
        super().__init__(rows)
        self._coding, self._fates, self._figures = coding, fates, figures

    def opinion(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        return self._opinion(sample, heard)

    def opinion_apart(self, sample: Sample, heard: Sequence[Heard]) -> Opinion:
        return self._opinion(sample, heard, apart=True)

    def _opinion(self, sample: Sample, heard: Sequence[Heard], *, apart: bool = False) -> Opinion:
        told, names = VoterAnswers.of(heard), self._coding.names
        said, fate = told.answers, self._fates.get(self._coding.row(sample, told).tobytes(), _UNSEEN)
        if apart and fate.apart is not None:
            fate = TurnFate(*fate.apart, fate.asked, fate.lacking)
        cast = [(names[column], said[names[column]]) for column in sorted(fate.asked)]
        ballots = tuple(Ballot(name.removesuffix(SHORT), answer) for name, answer in cast if answer is not None)
        return Opinion(
            said[names[fate.column]] if fate.column >= 0 else None,
            fate.confidence,
            "" if fate.accepted else _reason_of_fate(fate, ballots),
            ballots,
            tuple(names[column] for column in fate.asked),
            tuple(names[column] for column in fate.lacking),
        )

    def posterior(self, sample: Sample, heard: Sequence[Heard]) -> Mapping[str, float]:
        told = VoterAnswers.of(heard)
        said, fate = told.answers, self._fates.get(self._coding.row(sample, told).tobytes(), _UNSEEN)
        shares: dict[str, float] = {}
        for column in fate.asked:
            answer = said.get(self._coding.names[column])
            if answer is not None:
                shares[answer] = max(fate.said[column], shares.get(answer, 0.0))
        if shares and sample.label is not None and self.setting.terms.label:
            shares.setdefault(sample.label, fate.said[-1])
        return with_label(shares, sample)

    def answer_shares(self, sample: Sample, heard: Sequence[Heard]) -> Mapping[str, float]:
        return self.posterior(sample, heard)

    @property
    def least(self) -> float:
        return self._figures.target

    @property
    def expected(self) -> Expected | None:
        return self._figures.expected

    def expect(self, expected: Expected) -> None:
        """Of the answers that are accepted under the promise."""
        self._figures = replace(self._figures, expected=expected)

    @property
    def estimates(self) -> Mapping[str, float]:
        return self._figures.estimates

    @property
    def twins(self) -> Mapping[str, str]:
        return self._figures.twins

    @property
    def admission(self) -> Admission | None:
        return self._figures.admission

    @property
    def remarks(self) -> Sequence[str]:
        return self._figures.remarks


def _reason_of_fate(fate: TurnFate, ballots: Sequence[Ballot]) -> VoteReason:
    if fate.lacking:
        return "not_asked"
    if not fate.asked:
        return "not_wanted"
    return "below_target" if ballots else "no_ballots"


def decide_in_turn(rows: CodedRows, run: Path | None = None) -> TurnDecider:
    """The vote over all rows, replayed. Takes seconds, but for what the cache of the run folder knows."""
    import numpy as np  # where something is learned

    from cotforge.consensus.sequential.answer_table import make_table
    from cotforge.consensus.sequential.learning_cache import cache_of
    from cotforge.consensus.sequential.replay import replay_waves

    packed, times, about = rows.packed(rows.terms)
    if (pictures := rows.setting.pictures) is None:
        distinct, places = make_table(packed, times)
        found = replay_waves(about, distinct, rows.setting.waves, memory=cache_of(run))
    else:
        distinct, places = pictures.table(packed[:, 0], packed[:, 1:], times)
        found = replay_waves(about, distinct, rows.setting.waves, pictures.padded(len(distinct)), memory=cache_of(run))
    walked = found.walk
    turns = [tuple(column for column in np.argsort(turn, kind="stable").tolist() if turn[column]) for turn in walked.turn_NK]
    lacking = [tuple(np.flatnonzero(row).tolist()) for row in walked.lacking_NK]
    columns, sure, accepted, said = (part.tolist() for part in (found.column_N, found.confidence_N, found.accepted_N, found.said_NV))
    apart = found.held.by_row() if found.held is not None else {}
    fates = [
        TurnFate(columns[row], sure[row], accepted[row], turn, lacking[row], tuple(said[row]), apart.get(row))
        for row, turn in enumerate(turns)
    ]
    keys = (row.tobytes() for row in packed.astype(np.int32))
    by_key = {key: fates[place] for key, place in zip(keys, places.tolist(), strict=True)}
    coding = Coding(replace(rows.setting, terms=about))
    rows.setting = replace(rows.setting, pictures=None)  # whoever judges a Sample needs its place, and no features
    decider = TurnDecider(rows, coding, by_key, _fold_figures(about, found))
    if decider.promised is not None and found.expected is not None:
        decider.expect(found.expected(inf if decider.promised.target is None else decider.promised.target))
    return decider


def _fold_figures(about: Terms, found: "Replayed") -> FoldFigures:
    accuracies = found.belief.model.accuracy().tolist()
    return FoldFigures(
        found.belief.terms.target,
        found.expected(0.0) if found.expected is not None else None,
        {voter.teacher: accuracy for voter, accuracy in zip(about.voters, accuracies, strict=False) if not voter.short},
        {about.voters[one].teacher: about.voters[other].teacher for one, other in found.belief.twins.items()},
        found.admission,
        found.belief.remarks,
    )
