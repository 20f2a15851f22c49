"""Filters on marks that nobody gives: they would let everything pass."""

from collections.abc import Sequence

from cotforge.errors import show_value
from cotforge.filters import Filter
from cotforge.followups.judge import Judge
from cotforge.followups.probe import Probe
from cotforge.measures import measure_column
from cotforge.spec import WrongKey


def demand_marks(filters: Sequence[Filter], *, probe: Probe | None, judge: Judge | None) -> None:
    """Raises WrongKey where a filter bounds a mark that no section of the file takes."""
    given = [dimension.name for dimension in judge.dimensions] if judge is not None else []
    for place, bound in enumerate(filters):
        name = measure_column(bound.measure, bound.with_)
        if bound.measure == "judge" and (dimension := name.removeprefix("judge_")) not in given:
            what = f"there are {', '.join(given)}" if given else "there is no section judge"
            raise WrongKey(f"filters[{place}].with.dimension", f"no marks are given for {show_value(dimension)}; {what}")
        if name in ("grounded", "mentions_seen") and probe is None:
            raise WrongKey(f"filters[{place}].measure", f"{show_value(name)} is taken by the section probe; there is none")
