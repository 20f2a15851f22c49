"""Answers as numbers, equal ones counted once: what models learn from and policies walk through.

Shapes: N rows, V columns (the voters in the order of the terms, then the raw label).
"""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cotforge.consensus.sequential.bins import assign_bins, with_cuts
from cotforge.consensus.sequential.terms import Terms

NONE, ABSTAINED = -1, -2
"""No answer in a column: it was not asked (or there is no label), or what it said cannot be read."""
UNKNOWN, UNNAMED, UNTOLD = -1, -2, -3
"""Of gold: nobody checked it; it is an answer that no voter gave; people could not tell."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """Distinct rows of answers with how often each was met; sorted, so that no order of arrival shows."""

    answers_NV: Ints
    """The code of an answer, `NONE` or `ABSTAINED`. A code is `bin * symbols + symbol`. The symbol, from 0, is a class by its place among
    the sorted options, or who agrees with whom. The bin is that of the voter's confidence; 0 where none is known."""
    gold_N: Ints
    """The true symbol, `UNKNOWN`, `UNNAMED` or `UNTOLD`."""
    wave_N: Ints
    everybody_N: Flags
    """Whether every voter was asked, whatever it said."""
    fold_N: Ints
    """Of gold rows: a number by which they are parted for cross-validation; -1 elsewhere."""
    times_N: Floats

    def __len__(self) -> int:
        return len(self.times_N)

    @property
    def checked_N(self) -> Flags:
        """Whether people looked at it, and could tell or not."""
        return np.asarray(self.gold_N != UNKNOWN)

    @property
    def told_N(self) -> Flags:
        """Whether people said what is true."""
        return np.asarray((self.gold_N != UNKNOWN) & (self.gold_N != UNTOLD))

    def where(self, rows: Flags) -> "AnswerTable":
        """Some of the rows."""
        return AnswerTable(
            self.answers_NV[rows], self.gold_N[rows], self.wave_N[rows], self.everybody_N[rows], self.fold_N[rows], self.times_N[rows]
        )

    def unfolded(self) -> "AnswerTable":
        """The same without folds: as a live run, which has none, adds them up."""
        packed = np.column_stack([self.wave_N, self.everybody_N, np.full(len(self), -1), self.gold_N, self.answers_NV])
        return make_table(packed, self.times_N)[0]

    def packed(self) -> Floats:
        """All of it, a row for each: [wave, everybody, fold, gold, answers..., times]."""
        return np.column_stack([self.wave_N, self.everybody_N, self.fold_N, self.gold_N, self.answers_NV, self.times_N])

    def with_answers(self, answers_NV: Ints) -> "AnswerTable":
        """The same rows with other answers; symbols that only say who agrees with whom are numbered anew with their gold by the caller."""
        return AnswerTable(answers_NV, self.gold_N, self.wave_N, self.everybody_N, self.fold_N, self.times_N)


def make_table(rows: Ints, times: Floats | None = None) -> tuple[AnswerTable, Ints]:
    """The Table of packed rows [wave, everybody, fold, gold, answers...], and each row's place in it."""
    distinct, place_N = unique_rows(rows)
    times_N = np.bincount(place_N, times, len(distinct)).astype(float)
    return _from_rows(distinct, times_N), place_N


def unpack_table(rows: Floats) -> AnswerTable:
    """The Table that was `packed`."""
    return _from_rows(rows[:, :-1].astype(np.int64), rows[:, -1].copy())


def _from_rows(rows: Ints, times_N: Floats) -> AnswerTable:
    return AnswerTable(rows[:, 4:], rows[:, 3], rows[:, 0], rows[:, 1].astype(bool), rows[:, 2], times_N)


def unique_rows(rows: Ints) -> tuple[Ints, Ints]:
    """The distinct rows, sorted, and each row's place among them."""
    if not len(rows):
        return rows, np.zeros(0, np.int64)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    fresh = np.empty(len(rows), bool)
    fresh[0] = True
    np.any(ordered[1:] != ordered[:-1], axis=1, out=fresh[1:])
    place = np.empty(len(rows), np.int64)
    place[order] = np.cumsum(fresh) - 1
    return ordered[fresh], place


def symbols_of(codes_NV: Ints, terms: Terms) -> Ints:
    """The codes without their bins; `NONE` and `ABSTAINED` stay."""
    return np.where(codes_NV < 0, codes_NV, codes_NV % terms.symbols) if terms.binned else codes_NV


def with_bins(symbols_NV: Ints, bins_NV: Ints, terms: Terms) -> Ints:
    """Codes from symbols and the bins of confidence they were said with."""
    return np.where(symbols_NV < 0, symbols_NV, symbols_NV + terms.symbols * bins_NV)


def regroup_codes(codes_NV: Ints, gold_N: Ints | None = None, terms: Terms | None = None) -> tuple[Ints, Ints | None]:
    """Symbols that only say who agrees with whom, numbered by first appearance, the label's first; gold follows its answer.

    Without terms that have bins any numbers may stand for the answers, so long as they differ as these do.
    """
    if terms is None or not terms.binned:
        return _renumber_groups(codes_NV, gold_N)
    symbols_NV, gold_N = _renumber_groups(symbols_of(codes_NV, terms), gold_N)
    return with_bins(symbols_NV, codes_NV // terms.symbols, terms), gold_N


def _renumber_groups(answers_NV: Ints, gold_N: Ints | None) -> tuple[Ints, Ints | None]:
    n, v = answers_NV.shape
    new_NV = np.where(answers_NV < 0, answers_NV, -9)
    new_gold_N = None if gold_N is None else np.where(gold_N >= 0, UNNAMED, gold_N)
    groups_N = np.zeros(n, np.int64)
    for column in (v - 1, *range(v - 1)):
        fresh_N = new_NV[:, column] == -9
        same_NV = (answers_NV == answers_NV[:, column][:, None]) & fresh_N[:, None]
        new_NV = np.where(same_NV, groups_N[:, None], new_NV)
        if gold_N is not None and new_gold_N is not None:
            new_gold_N = np.where(fresh_N & (gold_N == answers_NV[:, column]), groups_N, new_gold_N)
        groups_N += fresh_N
    return new_NV, new_gold_N


class Evidence:
    """Answers of Samples, added one at a time; memory follows the distinct ways of answering, and Samples that have probabilities."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._columns = {voter.name: column for column, voter in enumerate(terms.voters)}
        self._places = {option: place for place, option in enumerate(sorted(terms.options))}
        self._counts: Counter[tuple[int, ...]] = Counter()
        self._rows, self._probabilities = array("i"), array("d")
        """Samples of which a probability is known: without its cuts a row has no code, and cuts are known once all are there."""

    def add(
        self,
        wave: int,
        *,
        label: str | None,
        answers: Mapping[str, str | None],
        gold: str | None = None,
        untold: bool = False,
        everybody: bool = False,
        fold: int = -1,
        probabilities: Mapping[str, float] | None = None,
        id: str = "",
    ) -> None:
        """One Sample: what each voter asked said, by its name; None where that could not be read. `untold`: people could not tell.

        `probabilities`: of the answers, in [0, 1], as the voters themselves gave them, as far as they did; `id`: of use where
        Samples have pictures.
        """
        row = self._wave_row(wave, label=label, answers=answers, gold=gold, untold=untold, everybody=everybody, fold=fold)
        if probabilities:
            self._one_by_one(row, probabilities)
        else:
            self._counts[row] += 1

    def _wave_row(
        self,
        wave: int,
        *,
        label: str | None,
        answers: Mapping[str, str | None],
        gold: str | None,
        untold: bool,
        everybody: bool,
        fold: int,
    ) -> tuple[int, ...]:
        symbols, true = code_sample(self.terms, label, answers, gold, self._columns, self._places)
        return (wave, everybody, fold if gold is not None or untold else -1, UNTOLD if untold else true, *symbols)

    def _one_by_one(self, row: tuple[int, ...], probabilities: Mapping[str, float]) -> None:
        """Keeps a row of its own for one Sample."""
        self._rows.extend(row)
        self._probabilities.extend(probabilities.get(voter.name, np.nan) for voter in self.terms.voters)

    def parted(self, terms: Terms) -> Terms:
        """The terms with the cuts of confidence that the warm-up, wave 0, suggests."""
        rows, probability_NK = self._known_rows()
        return with_cuts(terms, probability_NK[rows[:, 0] == 0]) if len(rows) else terms

    def table(self, terms: Terms | None = None) -> AnswerTable:
        """What was added, whatever the order, in bins of confidence by the cuts of these terms."""
        width = 5 + len(self.terms.voters)
        rows, times = np.array(list(self._counts), np.int64).reshape(-1, width), np.array(list(self._counts.values()), float)
        if len(self._rows):
            known = self._binned_rows(terms)
            rows, times = np.concatenate([rows, known]), np.append(times, np.ones(len(known)))
        return make_table(rows, times)[0]

    def _binned_rows(self, terms: Terms | None) -> Ints:
        """The rows of their own, in bins of confidence."""
        known, probability_NK = self._known_rows()
        if terms is not None and terms.binned:
            known[:, 4:-1] = with_bins(known[:, 4:-1], assign_bins(probability_NK, terms), terms)
        return known

    def _known_rows(self) -> tuple[Ints, Floats]:
        rows = np.array(self._rows, np.int64).reshape(-1, 5 + len(self.terms.voters))
        return rows, np.array(self._probabilities, float).reshape(len(rows), len(self.terms.voters))


def code_sample(
    terms: Terms,
    label: str | None,
    answers: Mapping[str, str | None],
    gold: str | None,
    columns: Mapping[str, int],
    places: Mapping[str, int],
) -> tuple[Sequence[int], int]:
    """(symbols by column, the label's last; the gold symbol) of one Sample."""
    said: list[str | None] = [None] * (len(terms.voters) + 1)
    symbols = [NONE] * len(said)
    for name, answer in answers.items():
        said[columns[name]] = answer
        symbols[columns[name]] = ABSTAINED if answer is None else NONE
    said[-1] = label if terms.label else None
    if terms.by_class:
        known = places
    else:
        known = {}
        for answer in (said[-1], *said[:-1]):
            if answer is not None and (not places or answer in places):
                known.setdefault(answer, len(known))
    for column, answer in enumerate(said):
        if answer is not None:
            symbols[column] = known.get(answer, ABSTAINED if column < len(said) - 1 else NONE)
    true = UNKNOWN if gold is None else known.get(gold, UNKNOWN if terms.by_class else UNNAMED)
    return symbols, true
