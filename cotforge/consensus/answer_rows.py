"""A table of answers as polars has it: the columns that a vote reads, each of its type."""

from typing import Any, get_args

import polars as pl

from cotforge.consensus.decisions import AnswersError
from cotforge.records import Origin

SURE = ("probability", "weight")
"""Columns that may hold how sure a teacher is of its answer; the first that is there is read."""
BLIND: tuple[Origin, ...] = ("solve", "vote")
"""Origins of a run's traces that are votes."""
_FOLLOWING = [origin for origin in get_args(Origin) if origin not in BLIND]


def answer_rows(answers: Any) -> pl.DataFrame:
    """The columns as polars has them, `teacher` and `answer` as text, `probability` null where it is unknown.

    Raises AnswersError where a teacher or id is null, what should be a probability is none, or a row of a run's traces is no vote.
    """
    _demand_votes(answers)
    sure = next((name for name in SURE if name in answers.columns), None)
    names = ["id", "teacher", "answer", *([sure] if sure else [])]
    frame = answers if isinstance(answers, pl.DataFrame) else pl.from_pandas(answers[names])
    probability = pl.col(sure).cast(pl.Float64, strict=False).fill_nan(None) if sure else pl.lit(None, pl.Float64)
    rows = frame.select(pl.col("id"), pl.col("teacher").cast(pl.String), pl.col("answer").cast(pl.String), probability.alias("probability"))
    for name in ("id", "teacher"):
        if nulls := rows[name].null_count():
            raise AnswersError(f"answers: {nulls:,} rows without {name}; every answer belongs to an id and a teacher")
    if sure:
        _demand_sure(frame[sure], rows["probability"], sure)
    return rows


def _demand_votes(answers: Any) -> None:
    """Raises AnswersError where a column `origin`, as the traces of a run have it, tells that a reply followed the vote."""
    if "origin" not in answers.columns:
        return
    origins = [origin for origin in answers["origin"] if isinstance(origin, str) and origin in _FOLLOWING]
    if origins:
        raise AnswersError(
            f"answers: {len(origins):,} of {len(answers):,} rows followed the vote (origin {', '.join(sorted(set(origins)))}) and are no "
            'votes; give the others alone: answers.filter(pl.col("origin").is_in(["solve", "vote"]))'
        )


def _demand_sure(given: pl.Series, read: pl.Series, name: str) -> None:
    """Raises AnswersError where one of the given values is no probability, or no weight."""
    nan = given.is_nan().fill_null(False) if given.dtype.is_float() else pl.Series([False]).new_from_index(0, len(given))
    wrong = (read.is_null() & given.is_not_null() & ~nan) | read.is_infinite().fill_null(False)
    if name == "probability":
        wrong |= ~read.is_between(0, 1).fill_null(True)
    if wrong.any():
        should = "a number from 0 to 1" if name == "probability" else "a number"
        raise AnswersError(f"answers: {name} is {given.filter(wrong)[0]!r}; {should}, or null where it is not known")
