"""A table of answers as numbers, and what a rule makes of it."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from cotforge.consensus.claim import FEW, Claim, lower_bound
from cotforge.consensus.decisions import AnswersError, Decisions
from cotforge.consensus.rules import Consensus
from cotforge.consensus.sequential.belief import Belief
from cotforge.consensus.sequential.replay import Replayed, replay
from cotforge.consensus.sequential.table import ABSTAINED, NONE, UNKNOWN, UNNAMED, Flags, Floats, Ints, Table, table, unique_rows
from cotforge.consensus.sequential.terms import WIDEST, Objective, Terms, Voter
from cotforge.consensus.sequential.walk import Walk
from cotforge.consensus.sequential.waves import Waves
from cotforge.consensus.votes import Votes
from cotforge.order import rank
from cotforge.records import Ballot, Verdict

FOLDED = 1 << 20
"""Numbers by which gold rows are parted."""


class Tabled:
    """Answers of N ids by K teachers as numbers; symbols are classes, or in a free set any numbers that differ as the answers do."""

    def __init__(
        self,
        answers: Any,
        *,
        classes: Sequence[str] | None,
        labels: Mapping[Any, str | None],
        gold: Mapping[Any, str],
        seed: int,
    ) -> None:
        self.frame = _rows(answers)
        self.firsts = self.frame.unique(["id", "teacher"], keep="first", maintain_order=True)
        """What is read where a teacher is asked once."""
        self.ids = self.frame["id"].unique(maintain_order=True)
        self.teachers: list[str] = self.frame["teacher"].unique().sort().to_list()
        self._row_of = pl.DataFrame({"id": self.ids, "row": np.arange(self.ids.len())})
        self._id_list: list[Hashable] = self.ids.to_list()
        self.labels = [labels.get(id) for id in self._id_list] if labels else [None] * self.ids.len()
        self.gold = [gold.get(id) for id in self._id_list] if gold else [None] * self.ids.len()
        self._place_waves(seed)
        self.options = tuple(sorted(set(classes))) if classes is not None else self._met()
        self._symbols = self._numbered()
        if classes is not None and (strange := {answer for answer in self.gold if answer is not None} - set(classes)):
            raise AnswersError(f"gold: {sorted(strange)[0]!r} is none of the classes; people must choose from the same set")

    def _place_waves(self, seed: int) -> None:
        checked = [id for id, answer in zip(self._id_list, self.gold, strict=True) if answer is not None]
        self.waves = Waves(self.ids.len(), [str(id) for id in checked], seed)
        ranks = [rank(str(id), seed) for id in self._id_list]
        self.gold_N = np.array([answer is not None for answer in self.gold], bool)
        self.wave_N = np.where(self.gold_N, 0, [self.waves.of_rank(place) for place in ranks])
        self.everybody_N = (self.wave_N == 0) | np.array([self.waves.audited(place) for place in ranks], bool)
        self.fold_N = np.where(self.gold_N, [place % FOLDED for place in ranks], -1)

    def _met(self) -> tuple[str, ...]:
        """The closed set that labels, gold and the warm-up show; nothing where they show many: then answers are free."""
        warm = self._row_of.filter(pl.Series(self.wave_N == 0))
        met = self.firsts.join(warm, on="id", how="semi")["answer"].drop_nulls().unique().to_list()
        known = {*met, *(label for label in self.labels if label is not None), *(answer for answer in self.gold if answer is not None)}
        return tuple(sorted(known)) if 2 <= len(known) <= WIDEST else ()

    def _numbered(self) -> pl.DataFrame:
        """A number for each option, or for each text where the set is free."""
        if self.options:
            texts = pl.Series("answer", list(self.options), dtype=pl.String)
        else:
            others = pl.Series("answer", [*self.labels, *self.gold], dtype=pl.String)
            texts = pl.concat([self.frame["answer"], others]).drop_nulls().unique().sort()
        return pl.DataFrame({"answer": texts, "symbol": np.arange(len(texts))})

    def places(self, frame: pl.DataFrame, columns: Sequence[Any], by: Sequence[str]) -> tuple[Ints, Ints, list[str | None]]:
        """(row, column, answer) of each row of a frame whose column is known by the values of `by`."""
        column_of = pl.DataFrame([dict(zip(by, key if len(by) > 1 else (key,), strict=True)) for key in columns]).with_columns(
            column=pl.Series(np.arange(len(columns)))
        )
        placed = frame.join(self._row_of, on="id", maintain_order="left").join(column_of, on=list(by), maintain_order="left")
        return placed["row"].to_numpy(), placed["column"].to_numpy(), placed["answer"]  # type: ignore[return-value]

    def coded(self, answers: Any, strange: int) -> Ints:
        """Symbols of answers: places among the options, or any numbers where the set is free; nulls and strangers are `strange`."""
        column = pl.Series("answer", answers, dtype=pl.String).to_frame()
        return np.asarray(column.join(self._symbols, on="answer", how="left", maintain_order="left")["symbol"].fill_null(strange))

    # sequential

    def terms(self, target: float, objective: Objective, *, prices: Mapping[str, float], label: bool, order: tuple[str, ...] = ()) -> Terms:
        """What a sequential vote over this table is about."""
        voters = tuple(Voter(teacher, price=float(prices.get(teacher, 1.0))) for teacher in self.teachers)
        return Terms(voters, self.options, target, objective, label=label, total=self.ids.len(), whole=self.waves.whole, order=order)

    def sequential(self, terms: Terms) -> Decisions:
        """Ask in turn. Raises AnswersError where there are more teachers than a policy can tell apart."""
        if not terms.codable:
            voters = len(terms.voters)
            raise AnswersError(f"answers: {voters} teachers; fewer, or a rule that asks everybody: sequential takes at most about a dozen")
        answers_NV, row, column, answer = self._firsts()
        if not terms.label:
            answers_NV[:, -1] = NONE
        gold_N = np.where(self.gold_N, self.coded(self.gold, UNNAMED), UNKNOWN)
        packed = np.column_stack([self.wave_N, self.everybody_N, self.fold_N, gold_N, answers_NV])
        rows, place_N = table(packed)
        found = replay(terms, rows, self.waves)
        return self._decided(found, rows, place_N, answer, row, column, terms)

    def _firsts(self) -> tuple[Ints, Ints, Ints, Any]:
        """The first answer of each teacher to each id with the label's last, [N, V]; (row, column, text) of those that are there."""
        answers_NV = np.full((self.ids.len(), len(self.teachers) + 1), NONE, np.int64)
        row, column, answer = self.places(self.firsts, self.teachers, ["teacher"])
        answers_NV[row, column] = self.coded(answer, ABSTAINED)
        answers_NV[:, -1] = self.coded(self.labels, NONE)
        return answers_NV, row, column, answer

    def _decided(self, found: Replayed, rows: Table, place_N: Ints, answer: Any, row: Ints, column: Ints, terms: Terms) -> Decisions:
        n, k = len(place_N), len(self.teachers)
        text_at = np.full((n, k), -1, np.int64)
        text_at[row, column] = np.arange(len(row))
        accepted_N, column_N = found.accepted_N[place_N], found.column_N[place_N]
        taken_N = text_at[np.arange(n), np.maximum(column_N, 0)]
        chosen = pl.Series("answer", answer).gather(pl.Series(np.maximum(taken_N, 0)))
        turns = pl.Series("asked", [_in_turn(turn_K, self.teachers) for turn_K in found.walk.turn_NK], pl.List(pl.String))
        calls_N = found.walk.asked_NK.sum(axis=1)[place_N]
        frame = self._frame(chosen, found.confidence_N[place_N], accepted_N, calls_N, turns.gather(pl.Series(place_N)))
        asked_K = rows.times_N @ found.walk.asked_NK
        heard_K = rows.times_N @ (found.walk.seen_NV[:, :-1] >= 0)
        teachers = self._reliability(found.belief, asked_K, heard_K)
        cost = float(asked_K @ np.array([voter.price for voter in terms.voters]))
        return Decisions(frame, found.claim, teachers, cost, _lacking(found.walk, rows))

    def _reliability(self, belief: Belief, asked_K: Floats, heard_K: Floats) -> pl.DataFrame:
        twins = [belief.twins.get(column) for column in range(len(self.teachers))]
        told = zip(belief.model.accuracy().tolist(), twins, heard_K.tolist(), strict=False)
        accuracy = [share if twin is None and heard else None for share, twin, heard in told]
        twin_of = [None if twin is None else self.teachers[twin] for twin in twins]
        return pl.DataFrame(
            {
                "teacher": self.teachers,
                "calls": asked_K.astype(np.int64),
                "accuracy": pl.Series(accuracy, dtype=pl.Float64),
                "twin_of": pl.Series(twin_of, dtype=pl.String),
            }
        )

    def _frame(self, answer: pl.Series, confidence_N: Floats, accepted_N: Flags, calls_N: Ints, asked: pl.Series) -> pl.DataFrame:
        frame = pl.DataFrame(
            {"id": self.ids, "answer": answer, "confidence": confidence_N, "accepted": accepted_N, "calls": calls_N, "asked": asked}
        )
        label = pl.Series("label", self.labels, dtype=pl.String)
        return frame.with_columns(answer=pl.when("accepted").then("answer")).with_columns(
            against_label=(pl.col("accepted") & (pl.col("answer") != label)).fill_null(False)
        )

    # all other rules

    def until_label(self, order: Sequence[str], *, prices: Mapping[str, float]) -> Decisions:
        """Teachers in this order until one says the raw label, which is then accepted; nobody is asked where there is none."""
        answers_NV = self._firsts()[0]
        label_N = answers_NV[:, -1]
        open_N, lacking_N = label_N >= 0, np.zeros(len(label_N), bool)
        turn_NK = np.zeros((len(label_N), len(self.teachers)), np.int64)
        for turn, teacher in enumerate(order, start=1):
            column = self.teachers.index(teacher)
            there_N = answers_NV[:, column] != NONE
            lacking_N |= open_N & ~there_N
            turn_NK[open_N & there_N, column] = turn
            open_N = open_N & (answers_NV[:, column] != label_N)
        accepted_N = (label_N >= 0) & ~open_N
        distinct, place_N = unique_rows(turn_NK)
        turns = pl.Series("asked", [_in_turn(turn_K, self.teachers) for turn_K in distinct], pl.List(pl.String)).gather(pl.Series(place_N))
        label = pl.Series("answer", self.labels, dtype=pl.String)
        frame = self._frame(label, np.full(len(label_N), np.nan), accepted_N, (turn_NK > 0).sum(axis=1), turns)
        asked_K = (turn_NK > 0).sum(axis=0)
        cost = float(asked_K @ np.array([prices.get(name, 1.0) for name in self.teachers]))
        claimed = self._shown(accepted_N, label_N == self._true()) or Claim(None, None, False)
        teachers = self._unjudged(pl.DataFrame({"teacher": self.teachers, "calls": asked_K}))
        return Decisions(frame.with_columns(pl.col("confidence").fill_nan(None)), claimed, teachers, cost, int(lacking_N.sum()))

    def asked_all(self, rule: str, *, target: float, prices: Mapping[str, float], label: Literal["vote", "gate", "ignore"]) -> Decisions:
        """Every teacher is asked all it has to say; the claim is what the gold ids show, which the rule never sees."""
        consensus = Consensus(rule=rule, target=target, label=label)
        frame = self.frame.with_columns(number=pl.int_range(pl.len()).over("id", "teacher"))
        columns = frame.select("teacher", "number").unique().sort("teacher", "number").rows()
        answers_NV = np.full((self.ids.len(), len(columns) + 1), NONE, np.int64)
        row, column, answer = self.places(frame, columns, ["teacher", "number"])
        answers_NV[row, column] = self.coded(answer, ABSTAINED)
        answers_NV[:, -1] = self.coded(self.labels, NONE)
        distinct, place_N = unique_rows(answers_NV)
        verdicts = _verdicts(consensus, distinct, np.bincount(place_N), [name for name, _ in columns], self.options)
        symbol_N = np.array([NONE if verdict.answer is None else int(verdict.answer) for verdict in verdicts], np.int64)[place_N]
        accepted_N = np.array([verdict.accepted for verdict in verdicts], bool)[place_N]
        confidence_N = np.array([verdict.confidence for verdict in verdicts])[place_N]
        texts = self._symbols.sort("symbol")["answer"]
        asked = self.frame.group_by("id", maintain_order=True).agg(pl.col("teacher").unique(maintain_order=True), calls=pl.len())
        out = self._frame(
            texts.gather(pl.Series(np.maximum(symbol_N, 0))), confidence_N, accepted_N, asked["calls"].to_numpy(), asked["teacher"]
        )
        calls = self.frame.group_by("teacher").len("calls").sort("teacher")
        cost = sum(count * prices.get(name, 1.0) for name, count in calls.iter_rows())
        plain = accepted_N & ~self.gold_N
        unshown = Claim(float(confidence_N[plain].mean()) if plain.any() else None, None, False)
        claimed = self._shown(accepted_N, symbol_N == self._true()) or unshown
        lacking = self.ids.len() * len(columns) - len(frame)
        return Decisions(out, claimed, self._unjudged(calls), cost, lacking)

    def _true(self) -> Ints:
        """Symbols of the gold answers; one that nobody can give where there is none."""
        return np.where(self.gold_N, self.coded(self.gold, UNNAMED), UNNAMED)

    def _shown(self, accepted_N: Flags, right_N: Flags) -> Claim | None:
        """What the gold ids show; None where too few of them are accepted."""
        checked, right = int((accepted_N & self.gold_N).sum()), int((accepted_N & self.gold_N & right_N).sum())
        return Claim(right / checked, lower_bound(right, checked), True, checked, right) if checked >= FEW else None

    def _unjudged(self, calls: pl.DataFrame) -> pl.DataFrame:
        return calls.with_columns(accuracy=pl.lit(None, pl.Float64), twin_of=pl.lit(None, pl.String))


def _verdicts(consensus: Consensus, rows: Ints, times: Ints, voters: Sequence[str], options: Sequence[str]) -> list[Verdict]:
    """One verdict per distinct row, its answer a symbol as text."""
    size = [str(symbol) for symbol in range(len(options))]
    cast = [
        (
            [Ballot(name, str(symbol)) for name, symbol in zip(voters, row[:-1], strict=True) if symbol >= 0],
            None if row[-1] < 0 else str(row[-1]),
        )
        for row in rows.tolist()
    ]
    model = None
    if consensus.learns:
        votes = Votes()
        for (ballots, label), count in zip(cast, times.tolist(), strict=True):
            for _ in range(count):
                votes.add(ballots, label, size)
        model = consensus.learn(votes)
    teachers = len(set(voters))
    return [consensus.decide(ballots, label, size, model, teachers=teachers) for ballots, label in cast]


def _lacking(walked: Walk, rows: Table) -> int:
    """Calls that were wanted and are not there."""
    return round(float(rows.times_N @ walked.lacking_NK.sum(axis=1)))


def _in_turn(turn_K: Ints, teachers: Sequence[str]) -> list[str]:
    """The teachers asked, the first first."""
    return [teachers[column] for column in np.argsort(turn_K, kind="stable") if turn_K[column] > 0]


def _rows(answers: Any) -> pl.DataFrame:
    """The three columns as polars has them, `teacher` and `answer` as text. Raises AnswersError where a teacher or id is null."""
    frame = answers if isinstance(answers, pl.DataFrame) else pl.from_pandas(answers[["id", "teacher", "answer"]])
    rows = frame.select(pl.col("id"), pl.col("teacher").cast(pl.String), pl.col("answer").cast(pl.String))
    for name in ("id", "teacher"):
        if nulls := rows[name].null_count():
            raise AnswersError(f"answers: {nulls:,} rows without {name}; every answer belongs to an id and a teacher")
    return rows
