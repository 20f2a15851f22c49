"""The steps from raw rows to lessons, in samples: how many were left at each, and why the others were not."""

from collections.abc import Iterable
from typing import NamedTuple

from cotforge.reasons import NO_MEASURES
from cotforge.tally import OF_ROWS, Tally

Losses = tuple[tuple[str, int], ...]
"""(published reason, count), the most frequent first."""
HELD_OUT = "held out by eval.share"
"""Stands in the place of a reason for rows that are no loss."""
REPEATS = tuple(f"filter:{reason}" for reason in NO_MEASURES)
"""What a sample is counted under whose texts passed the filters, and were dropped by `dedup`."""


class FunnelStep(NamedTuple):
    """One step."""

    key: str
    """In ids of the page and in `summary.json`."""
    name: str
    left: int
    lost: Losses = ()
    """What was lost on the way to it; samples that are rescued at the next step are missing at `agreed`, and are no loss."""
    gained: int = 0
    """Rescued samples."""


def funnel_steps(tally: Tally) -> list[FunnelStep]:
    """From the rows read to the samples with lessons; the steps of rescue and of dedup only where a run has them."""
    of_rows = [(reason, count) for reason, count in tally.rejected.items() if reason.startswith(OF_ROWS)]
    lost: dict[str, list[tuple[str, int]]] = {"samples": [*of_rows, (HELD_OUT, tally.held_out)], "asked": [*tally.unasked.items()]}
    for reason, count in tally.rejected.items():
        if not reason.startswith(OF_ROWS):
            lost.setdefault(_step_of(reason), []).append((reason, count - tally.unasked[reason]))
    asked = tally.samples - _total(lost["asked"])
    agreed = asked - _total(lost.get("agreed", ())) - tally.rescued
    steps = [
        FunnelStep("rows", "rows read", tally.rows()),
        FunnelStep("samples", "samples", tally.samples, _ranked(lost["samples"])),
        FunnelStep("asked", "asked about", asked, _ranked(lost["asked"])),
        FunnelStep("agreed", "agreed on", agreed, _ranked(lost.get("agreed", ()))),
    ]
    left = agreed + tally.rescued
    if tally.rescued or "rescue" in tally.follow_ups:
        steps.append(FunnelStep("rescued", "agreed on, or rescued", left, gained=tally.rescued))
    for key, name in (("filters", "passed the filters"), ("dedup", "kept by dedup"), ("select", "taken by select")):
        gone = lost.get(key, [])
        left -= _total(gone)
        if key != "dedup" or gone or tally.finds_repeats:
            steps.append(FunnelStep(key, name if gone or key != "select" else "with lessons", left, _ranked(gone)))
    return steps


def given_lessons(tally: Tally) -> str:
    """That samples gave more lessons than one each, as a sentence without an end; empty where they did not."""
    if tally.lessons == tally.accepted:
        return ""
    return f"{tally.accepted:,} sample{'s' * (tally.accepted != 1)} gave {tally.lessons:,} lessons, as select.per_sample allows several"


def _step_of(reason: str) -> str:
    if reason in REPEATS:
        return "dedup"
    return {"vote": "agreed", "select": "select", "export": "select"}.get(reason.partition(":")[0], "filters")


def _total(lost: Iterable[tuple[str, int]]) -> int:
    return sum(count for _, count in lost)


def _ranked(lost: Iterable[tuple[str, int]]) -> Losses:
    return tuple(sorted(((reason, count) for reason, count in lost if count), key=lambda one: (-one[1], one[0])))
