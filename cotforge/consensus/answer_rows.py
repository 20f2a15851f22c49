"""A table of answers as polars has it: the columns that a vote reads, each of its type."""

from typing import Any

import polars as pl

from cotforge.consensus.decisions import AnswersError

SURE = ("probability", "weight")
"""Columns that may hold how sure a teacher is of its answer; the first that is there is read."""


def answer_rows(answers: Any) -> pl.DataFrame:
    """The columns as polars has them, `teacher` and `answer` as text, `probability` null where it is unknown.

    Raises AnswersError where a teacher or id is null, or what should be a probability is none.
    """
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


def _demand_sure(given: pl.Series, read: pl.Series, name: str) -> None:
    """Raises AnswersError where one of the given values is no probability, or no weight."""
    nan = given.is_nan().fill_null(False) if given.dtype.is_float() else pl.Series([False]).new_from_index(0, len(given))
    wrong = (read.is_null() & given.is_not_null() & ~nan) | read.is_infinite().fill_null(False)
    if name == "probability":
        wrong |= ~read.is_between(0, 1).fill_null(True)
    if wrong.any():
        should = "a number from 0 to 1" if name == "probability" else "a number"
        raise AnswersError(f"answers: {name} is {given.filter(wrong)[0]!r}; {should}, or null where it is not known")
