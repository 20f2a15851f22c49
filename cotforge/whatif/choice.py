"""Which row of a what-if is the pipeline's own, and which one gold speaks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cotforge.consensus import Consensus
from cotforge.consensus.whatif import MATCH, POLICY

LACKING = 0.02
"""Share of calls that were never made above which a row is no ground for a choice (ours)."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """All rows by what they ask per accepted Sample, the fewest first."""

    rows: Sequence[Row]
    present: int | None
    """Place of the pipeline's own; None where no row is just that."""
    best: int | None
    """Place of the cheapest one that gold shows to reach the target; None where there is none."""
    target: float
    gold: int
    """Checked Samples among those that have answers."""

    @property
    def calibrated(self) -> bool:
        """Whether gold stands behind any row."""
        return any(row["calibrated"] for row in self.rows)

    @property
    def nearest(self) -> Row | None:
        """The row with the highest lower bound."""
        return max((row for row in self.rows if _sound(row)), key=lambda row: float(row["low"]), default=None)


def compared(rows: Sequence[Row], consensus: Consensus, *, gold: int) -> Compared:
    """The rows in order, with what stands out among them."""
    ordered = sorted(rows, key=lambda row: (row["calls_per_accepted"] is None, row["calls_per_accepted"] or 0.0, name(row)))
    target = consensus.target
    reaching = [place for place, row in enumerate(ordered) if _sound(row) and row["low"] >= target]
    best = min(reaching, key=lambda place: (ordered[place]["cost_per_accepted"], ordered[place]["calls_per_accepted"]), default=None)
    present = next((place for place, row in enumerate(ordered) if _is(row, consensus)), None)
    return Compared(ordered, present, best, target, gold)


def _sound(row: Row) -> bool:
    return bool(row["calibrated"] and row["accepted"] and row["lacking"] <= LACKING)


def _is(row: Row, consensus: Consensus) -> bool:
    """Whether a row is what the pipeline does."""
    if row["rule"] != consensus.rule or (consensus.by.targeted and row["target"] != consensus.target):
        return False
    if not consensus.sequential:
        return True
    return bool(consensus.votes == "full" and row["order"] == POLICY and row["objective"] == consensus.objective)


def name(row: Row) -> str:
    """A row in a few words."""
    target = f" {row['target']:g}" if row["target"] is not None else ""
    if row["rule"] == "sequential":
        return f"sequential{target}, {row['objective'] if row['order'] == POLICY else row['order']}"
    return f"{row['rule']}{target}" + (f", {row['order']}" if row["rule"] == MATCH else "")
