"""Filters on marks that nobody gives: they would let everything pass."""

from collections.abc import Collection, Sequence

from cotforge.errors import show_value
from cotforge.filters import Filter
from cotforge.followups.judge import Judge
from cotforge.measures import measure_column
from cotforge.spec import WrongKey

_TAKEN_BY = {
    "grounded": ("probe",),
    "mentions_seen": ("probe",),
    "verified": ("verify", "rescue", "weave"),
    "verified_unseen": ("verify",),
}
"""By measure, the sections of the pipeline file that take it of texts."""


def demand_marks(filters: Sequence[Filter], *, judge: Judge | None, sections: Collection[str]) -> None:
    """Raises WrongKey where a filter bounds a mark that none of the `sections` of the file takes."""
    given = [dimension.name for dimension in judge.dimensions] if judge is not None else []
    for place, bound in enumerate(filters):
        name = measure_column(bound.measure, bound.with_)
        if bound.measure == "judge" and (dimension := name.removeprefix("judge_")) not in given:
            what = f"there are {', '.join(given)}" if given else "there is no section judge"
            raise WrongKey(f"filters[{place}].with.dimension", f"no marks are given for {show_value(dimension)}; {what}")
        takes = _TAKEN_BY.get(name, ())
        if takes and not any(section in sections for section in takes):
            which = f"section {takes[0]}" if len(takes) == 1 else f"sections {', '.join(takes)}"
            raise WrongKey(f"filters[{place}].measure", f"{show_value(name)} is taken by the {which}; there is none")
