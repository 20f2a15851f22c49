"""A table of answers as Samples, and what a rule makes of it: the same as of a run's journal."""

from array import array
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum, isnan, nan
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from cotforge.consensus.answer_rows import answer_rows
from cotforge.consensus.claim import FEW
from cotforge.consensus.decider import Decider, Heard, LabelRole, Rule, Setting
from cotforge.consensus.decisions import AnswersError, Decisions
from cotforge.consensus.image.admitted import LEAST, PICTURE, Admission
from cotforge.consensus.image.given import of_table
from cotforge.consensus.image.samples import SamplePictures, with_labels
from cotforge.consensus.image.voter import Pictures
from cotforge.consensus.promise import Wish
from cotforge.consensus.sequential.answer_table import ABSTAINED, NONE, Floats, Ints, regroup_codes, unique_rows
from cotforge.consensus.sequential.terms import WIDEST, Objective, Terms, Voter
from cotforge.consensus.sequential.waves import Waves
from cotforge.consensus.until_label import UntilLabel
from cotforge.records import Gold, Sample


class Tabled:
    """Answers of N ids by K teachers as numbers; symbols are classes, or in a free set any numbers that differ as the answers do."""

    def __init__(
        self,
        answers: Any,
        *,
        classes: Sequence[str] | None,
        labels: Mapping[Any, str | None],
        gold: Mapping[Any, str | None],
        drawn: Mapping[Any, float] | None = None,
        seed: int = 0,
        waves: Waves | None = None,
        own: Mapping[Any, tuple[str, ...]] | None = None,
        features: Any = None,
        pictures: SamplePictures | None = None,
    ) -> None:
        """`classes`: empty for free answers, None where they are to be found; `gold`: None for what people cannot tell; `drawn`: how likely
        each of them was drawn for people, by default all alike; `waves`: those of a run, else of the ids with `seed`; `own`: the
        closed set of each id, where they share none; `features`: see `decide`; `pictures`: those of a run in their place.
        """
        self.frame = answer_rows(answers)
        self.firsts = self.frame.unique(["id", "teacher"], keep="first", maintain_order=True)
        """What is read where a teacher is asked once."""
        self.ids = self.frame["id"].unique(maintain_order=True)
        self.teachers: list[str] = self.frame["teacher"].unique().sort().to_list()
        self._row_of = pl.DataFrame({"id": self.ids, "row": np.arange(self.ids.len())})
        self._id_list: list[Hashable] = self.ids.to_list()
        self.labels = [labels.get(id) for id in self._id_list] if labels else [None] * self.ids.len()
        told = {str(id): gold[id] for id in self._id_list if id in gold} if gold else {}
        known = {id: answer for id, answer in told.items() if answer is not None}
        likely = {str(id): float(share) for id, share in (drawn or {}).items() if str(id) in told}
        self.gold = Gold(known, frozenset(told.keys() - known.keys()), likely)
        self.checked_N = np.array([str(id) in told for id in self._id_list], bool)
        self.waves = Waves(self.ids.len(), self.gold.checked, seed) if waves is None else waves
        self.options = tuple(sorted(set(classes))) if classes is not None else self._met_options()
        self._symbols = self._option_numbers()
        self._texts: list[str] = self._symbols.sort("symbol")["answer"].to_list()
        self._own = own or {}
        self._pictures, self._given = pictures, None if features is None else self._picture_features(features)
        if classes and (strange := set(self.gold.answers.values()) - set(classes)):
            raise AnswersError(f"gold: {sorted(strange)[0]!r} is none of the classes; people must choose from the same set")

    def _picture_features(self, features: Any) -> Pictures:
        """Raises AnswersError where there are no classes that pictures could say, or no features."""
        if not 2 <= len(self.options) <= WIDEST or self._own:
            raise AnswersError(f"features: pictures vote for one of 2 to {WIDEST} classes that all ids share; give them as classes")
        return of_table(features, self._id_list, fold=self.waves.fold)

    @cached_property
    def _sets_N(self) -> Ints:
        """Ids with equal closed sets have equal numbers."""
        numbers: dict[tuple[str, ...], int] = {}
        return np.array([numbers.setdefault(self._own.get(id, ()), len(numbers)) for id in self._id_list], np.int64)

    @cached_property
    def place_N2(self) -> Ints:
        """(wave, whether everybody is asked) of each id."""
        return np.array([self.waves.place(str(id)) for id in self._id_list], np.int64).reshape(-1, 2)

    def _met_options(self) -> tuple[str, ...]:
        """The closed set that labels, gold and the warm-up show; nothing where they show many: then answers are free."""
        warm = self._row_of.filter(pl.Series(self.place_N2[:, 0] == 0))
        met = self.firsts.join(warm, on="id", how="semi")["answer"].drop_nulls().unique().to_list()
        known = {*met, *(label for label in self.labels if label is not None), *self.gold.answers.values()}
        return tuple(sorted(known)) if 2 <= len(known) <= WIDEST else ()

    def _option_numbers(self) -> pl.DataFrame:
        """A number for each option, or for each text where the set is free."""
        if self.options:
            texts = pl.Series("answer", list(self.options), dtype=pl.String)
        else:
            others = pl.Series("answer", self.labels, dtype=pl.String)
            texts = pl.concat([self.frame["answer"], others]).drop_nulls().unique().sort()
        return pl.DataFrame({"answer": texts, "symbol": np.arange(len(texts))})

    @cached_property
    def reliability(self) -> Mapping[str, float]:
        """How often each teacher is right, in [0, 1]: by gold where there is enough, else by labels, else by the other teachers."""
        answers_NV = self._in_turn.answers_NV
        known = [self.gold.answers.get(str(id)) for id in self._id_list] if len(self.gold.answers) >= FEW else self.labels
        true_N = self._answer_codes(known, NONE)
        if not (true_N >= 0).any():
            rivals = [np.delete(answers_NV[:, :-1], column, axis=1) for column in range(len(self.teachers))]
            return {name: _agreeing_share(answers_NV[:, [column]], rivals[column]) for column, name in enumerate(self.teachers)}
        return {name: _agreeing_share(answers_NV[:, [column]], true_N[:, None]) for column, name in enumerate(self.teachers)}

    def _answer_codes(self, answers: Any, strange: int) -> Ints:
        """Symbols of answers: places among the options, or any numbers where the set is free; nulls and strangers are `strange`."""
        column = pl.Series("answer", answers, dtype=pl.String).to_frame()
        return np.asarray(column.join(self._symbols, on="answer", how="left", maintain_order="left")["symbol"].fill_null(strange))

    def setting(
        self,
        *,
        target: float,
        label: LabelRole,
        prices: Mapping[str, float],
        objective: Objective = "balanced",
        max_calls: int | None = None,
        order: tuple[str, ...] = (),
        promise: Wish | None = None,
    ) -> Setting:
        """A vote over this table; `label` as in a pipeline file."""
        voters = tuple(Voter(teacher, price=float(prices.get(teacher, 1.0))) for teacher in self.teachers)
        votes, total, whole = label == "vote", self.waves.total, self.waves.whole
        terms = Terms(voters, self.options, target, objective, max_calls, votes, total, whole, order, promise)
        pictures = self._pictures
        if self._given is not None and len(self.gold.answers) >= LEAST:
            labels = self.labels if votes else [None] * len(self.labels)
            pictures = with_labels(self._given, [str(id) for id in self._id_list], labels, self.options)
        return Setting(replace(terms, image=pictures is not None), label, self.gold, self.waves, pictures=pictures)

    def ordered(self, rule: Rule, setting: Setting, order: Sequence[str] | None = None) -> Setting:
        """The setting with this order of asking; without one, with the usual one of a rule that waits for the label.

        Raises AnswersError where it names a teacher that is not there, or one twice, or under `sequential` not all.
        """
        if order is not None:
            if strange := [name for name in order if name not in self.teachers]:
                raise AnswersError(f"order: no teacher named {strange[0]!r}; there are {', '.join(self.teachers[:10])}")
            if len(set(order)) < len(order) or not order or (rule.targeted and len(order) < len(self.teachers)):
                raise AnswersError(f"order: {list(order)[:10]}; every teacher once" + ("" if rule.targeted else ", or some of them"))
            return replace(setting, terms=replace(setting.terms, order=tuple(order)))
        if not isinstance(rule, UntilLabel):
            return setting
        prices = {voter.name: voter.price for voter in setting.terms.voters}
        ranked = sorted(self.teachers, key=lambda name: (-self.reliability[name], prices[name], name))
        return replace(setting, terms=replace(setting.terms, order=rule.usual({name: prices[name] for name in ranked})))

    def decided(self, rule: Rule, setting: Setting) -> Decisions:
        """What a rule decides. Raises AnswersError where there are more teachers than a policy can tell apart."""
        if rule.in_turn and rule.targeted and not setting.terms.codable:
            voters = len(self.teachers)
            raise AnswersError(f"answers: {voters} teachers; fewer, or a rule that asks everybody: sequential takes at most about a dozen")
        asked = self._in_turn if rule.in_turn else self._all_at_once
        rows = rule.rows(setting)
        for one in self._alike_samples(asked):
            rows.add(one.sample, one.heard, one.times)
        decider, found = rule.learn(rows), _Found()
        for one in self._alike_samples(asked):
            found.add(decider, one)
        calls = [found.calls[name] for name in self.teachers]
        cost = fsum(count * voter.price for count, voter in zip(calls, setting.terms.voters, strict=True))
        lacking = found.lacking if rule.in_turn else asked.missing
        admission, teachers, remarks = decider.admission, self._reliability_frame(decider, found), tuple(decider.remarks)
        if self._given is not None:
            admission = admission or Admission(False, len(self.gold.answers))
            teachers = pl.concat([teachers, _of_pictures(admission, teachers)])
        told = self._decision_frame(asked, found)
        plain, count = decider.accepted_apart, lacking.total()
        return Decisions(told, decider.claim, teachers, cost, count, decider.promised, remarks, admission, lacking, plain)

    @cached_property
    def _in_turn(self) -> "_Asked":
        """What each teacher says where it is asked once."""
        return self._asked_samples(self.firsts.with_columns(number=pl.lit(0)), self.place_N2)

    @cached_property
    def _all_at_once(self) -> "_Asked":
        """What each teacher says where it is asked as often as the table has it."""
        numbered = self.frame.with_columns(number=pl.int_range(pl.len()).over("id", "teacher"))
        unsure = numbered.with_columns(probability=pl.lit(None, pl.Float64))  # no rule that asks everybody uses it
        return self._asked_samples(unsure, np.zeros((self.ids.len(), 2), np.int64))

    def _asked_samples(self, frame: pl.DataFrame, place_N2: Ints) -> "_Asked":
        columns = frame.select("teacher", "number").unique().sort("teacher", "number").with_columns(column=pl.int_range(pl.len()))
        placed = frame.join(self._row_of, on="id", maintain_order="left").join(columns, on=["teacher", "number"], maintain_order="left")
        answers_NV = np.full((self.ids.len(), len(columns) + 1), NONE, np.int64)
        answers_NV[placed["row"].to_numpy(), placed["column"].to_numpy()] = self._answer_codes(placed["answer"], ABSTAINED)
        answers_NV[:, -1] = self._answer_codes(self.labels, NONE)
        alike_NV = answers_NV if 0 < len(self.options) <= WIDEST or self._own else regroup_codes(answers_NV)[0]
        own_N = self.checked_N | (self._given is not None or self._pictures is not None)  # of these no two are alike
        checked_N = np.where(own_N, np.arange(len(answers_NV)), -1)
        probability_NK = np.full((len(answers_NV), len(columns)), np.nan)
        probability_NK[placed["row"].to_numpy(), placed["column"].to_numpy()] = placed["probability"].to_numpy()
        sure_NK = probability_NK[:, ~np.isnan(probability_NK).all(axis=0)].view(np.int64)
        _, place_N = unique_rows(np.column_stack([checked_N, self._sets_N, place_N2, alike_NV, sure_NK]))
        _, first_M, times_M = np.unique(place_N, return_index=True, return_counts=True)
        sure = bool(sure_NK.size)
        return _Asked(columns["teacher"].to_list(), answers_NV, probability_NK, sure, place_N, first_M, times_M.tolist())

    def _alike_samples(self, asked: "_Asked") -> Iterator["_Alike"]:
        """Samples that differ, in order."""
        said = asked.answers_NV[asked.first_M].tolist()
        for row, said_V, times in zip(asked.first_M.tolist(), said, asked.times_M, strict=True):
            columns = [column for column, symbol in enumerate(said_V[:-1]) if symbol != NONE]
            sure_K = asked.probability_NK[row].tolist() if asked.sure else [nan] * len(said_V)
            heard = [
                Heard(asked.teachers[k], self._symbol_text(said_V[k]), probability=None if isnan(sure_K[k]) else sure_K[k]) for k in columns
            ]
            options = self._own.get(self._id_list[row], self.options)
            yield _Alike(Sample(str(self._id_list[row]), (), "", options, self._symbol_text(said_V[-1])), heard, columns, times)

    def _symbol_text(self, symbol: int) -> str | None:
        return self._texts[symbol] if symbol >= 0 else None

    def _decision_frame(self, asked: "_Asked", found: "_Found") -> pl.DataFrame:
        place_N, label = asked.place_N, pl.Series("label", self.labels, dtype=pl.String)
        column_N = np.array(found.column)[place_N]
        # The same column says what is accepted of all Samples that are alike, each in its own words.
        symbol_N = asked.answers_NV[np.arange(len(place_N)), np.maximum(column_N, 0)]
        turns = pl.Series("asked", list(found.turns), pl.List(pl.String))
        frame = pl.DataFrame(
            {
                "id": self.ids,
                "answer": pl.Series(self._texts or [None], dtype=pl.String).gather(pl.Series(np.maximum(symbol_N, 0))),
                "confidence": np.array(found.confidence)[place_N],
                "accepted": column_N >= 0,
                "calls": np.array(found.count, np.int64)[place_N],
                "asked": turns.gather(pl.Series(np.array(found.turn)[place_N])),
            }
        )
        return frame.with_columns(answer=pl.when("accepted").then("answer")).with_columns(
            against_label=(pl.col("accepted") & (pl.col("answer") != label)).fill_null(False)
        )

    def _reliability_frame(self, decider: Decider, found: "_Found") -> pl.DataFrame:
        known = {name: share for name, share in decider.estimates.items() if name in found.told and name not in decider.twins}
        return pl.DataFrame(
            {
                "teacher": self.teachers,
                "calls": pl.Series([found.calls[name] for name in self.teachers], dtype=pl.Int64),
                "accuracy": pl.Series([known.get(name) for name in self.teachers], dtype=pl.Float64),
                "twin_of": pl.Series([decider.twins.get(name) for name in self.teachers], dtype=pl.String),
            }
        )


def _of_pictures(admission: Admission, teachers: pl.DataFrame) -> pl.DataFrame:
    """The pictures' row in the table of the teachers."""
    return pl.DataFrame({"teacher": PICTURE, "calls": 0, "accuracy": admission.accuracy, "twin_of": None}, schema=teachers.schema)


@dataclass(frozen=True)
class _Asked:
    """Answers of N ids, of which M differ."""

    teachers: Sequence[str]
    """Of each column."""
    answers_NV: Ints
    """The label's last."""
    probability_NK: Floats
    """Of the answers, as the teachers gave them; NaN: unknown."""
    sure: bool
    """Whether any is known."""
    place_N: Ints
    """Each id's place among the M."""
    first_M: Ints
    """The first id of each."""
    times_M: Sequence[int]

    @property
    def missing(self) -> Counter[str]:
        """Answers that are not there, by teacher."""
        counts = Counter[str]()
        for teacher, count in zip(self.teachers, (self.answers_NV[:, :-1] == NONE).sum(axis=0).tolist(), strict=True):
            counts[teacher] += count
        return counts


def _agreeing_share(said_N1: Ints, others_NV: Ints) -> float:
    """The share of pairs of answers that are equal, of those where both are there; 0 of none."""
    both_NV = (said_N1 != NONE) & (others_NV >= 0)
    return float((both_NV & (said_N1 == others_NV)).sum() / max(both_NV.sum(), 1))


class _Alike(NamedTuple):
    """Samples that are alike, by the first of them."""

    sample: Sample
    heard: Sequence[Heard]
    columns: Sequence[int]
    """Of what was heard."""
    times: int


class _Found:
    """What became of them; columns of numbers, as there may be a million."""

    def __init__(self) -> None:
        self.column, self.count, self.turn = array("i"), array("i"), array("i")
        """(column that says what is accepted, -1 for nothing; how many calls; place among `turns`) of each."""
        self.confidence = array("d")
        self.turns: dict[tuple[str, ...], int] = {}
        """Who was asked in turn."""
        self.calls: Counter[str] = Counter()
        """By teacher."""
        self.told: set[str] = set()
        """Teachers that said something readable."""
        self.lacking: Counter[str] = Counter()
        """Calls that are not there, by teacher."""

    def add(self, decider: Decider, one: _Alike) -> None:
        """The verdict on Samples that are alike."""
        opinion = decider.opinion(one.sample, one.heard)
        verdict = decider.settled(opinion, one.sample)
        charged = [heard.voter for heard in one.heard if heard.voter in opinion.asked]
        for name in charged:
            self.calls[name] += one.times
        self.told.update(ballot.teacher for ballot in opinion.ballots)
        says = (column for column, heard in zip(one.columns, one.heard, strict=True) if heard.answer == verdict.answer)
        self.column.append(next(says, -1) if verdict.accepted else -1)
        self.count.append(len(charged))
        self.turn.append(self.turns.setdefault(opinion.asked, len(self.turns)))
        self.confidence.append(verdict.confidence)
        for name in opinion.lacking:
            self.lacking[name] += one.times
