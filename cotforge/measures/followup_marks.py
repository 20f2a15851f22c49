"""Measures that follow-ups take: what other Calls found out about a trace. None where it was not asked, or could not be read."""

from typing import Annotated

from cotforge.records import Sample, Trace, Verdict
from cotforge.spec import spelled

DimensionName = Annotated[str, spelled(r"^[a-z][a-z0-9_]{0,31}$", "a small letter, then at most 31 small letters, digits and _")]
"""Of a rubric: a part of a column's name."""


def verified(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of the other teachers that came to the answer by the picture and the text without its answer; None if none was asked.

    `verify` and `rescue` of the pipeline file ask them. What no teacher's reply tells is left out of the share.
    """
    return trace.marks.get("verified")


def verified_unseen(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """The same without the picture: share that the text without its answer led to the answer; None if none was asked.

    Near 1 the text says all that is needed. A low share may also mean that the picture has to be looked at.
    """
    return trace.marks.get("verified_unseen")


def grounded(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of probes with a blank or another picture that change the answer, in [0, 1]; None without `probe`, or if not drawn."""
    return trace.marks.get("grounded")


def mentions_seen(sample: Sample, trace: Trace, verdict: Verdict | None) -> float | None:
    """Share of the things named in the text that a second teacher sees, in [0, 1]; None without `probe`, or if not drawn."""
    return trace.marks.get("mentions_seen")


def judge(sample: Sample, trace: Trace, verdict: Verdict | None, *, dimension: DimensionName = "evidence") -> float | None:
    """Mean mark of the judges for one dimension, on the rubric's own scale; None without `judge`, or if nobody gave a mark."""
    return trace.marks.get(f"judge_{dimension}")
