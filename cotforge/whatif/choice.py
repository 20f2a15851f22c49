"""Which row of a what-if is the pipeline's own, and which one gold speaks for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from cotforge.consensus import Consensus
from cotforge.consensus.claim import FEW
from cotforge.consensus.majority import UNANIMOUS
from cotforge.consensus.until_label import CASCADE, LABEL_MATCH
from cotforge.consensus.whatif import CHEAP, EVERYBODY, OF_CLASS, POLICY

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
    better: int | None
    """Place of the cheapest one that is in nothing worse than the pipeline's own and asks less; None where gold shows none."""
    target: float
    gold: int
    """Checked Samples among those that have answers."""
    consensus: Consensus
    """That of the pipeline."""
    all_checked: bool = False
    """Whether people checked every Sample that has answers."""
    follow_ups: Sequence[str] = ()
    """Sections of the pipeline that ask more after the vote."""

    @property
    def calibrated(self) -> bool:
        """Whether gold stands behind any row."""
        return any(row["calibrated"] for row in self.rows)

    @property
    def target_source(self) -> str:
        """Where the target comes from, in words to stand behind it; empty where the pipeline file says it."""
        return "" if "target" in self.consensus.model_fields_set else " (the default of consensus.target)"

    @property
    def nearest(self) -> Row | None:
        """The row with the highest lower bound."""
        return max((row for row in self.rows if _is_sound_row(row)), key=lambda row: float(row["low"]), default=None)


def compare_rows(
    rows: Sequence[Row],
    consensus: Consensus,
    *,
    gold: int,
    order: Sequence[str] = (),
    all_checked: bool = False,
    follow_ups: Sequence[str] = (),
) -> Compared:
    """The rows sorted, with what stands out among them; `order` is that in which the pipeline asks, where it has one."""
    ordered = sorted(rows, key=lambda row: (row["calls_per_accepted"] is None, row["calls_per_accepted"] or 0.0, row_name(row)))
    target = consensus.target
    kept = consensus.promise is not None
    reaching = [
        place for place, row in enumerate(ordered) if _is_sound_row(row) and (row["promised"] is not None if kept else row["low"] >= target)
    ]

    def price(place: int) -> tuple[float, float]:
        return ordered[place]["cost_per_accepted"], ordered[place]["calls_per_accepted"]

    present = next((place for place, row in enumerate(ordered) if _is_present(row, consensus, order)), None)
    better = [place for place, row in enumerate(ordered) if present is not None and _beats(row, ordered[present])]
    best = min(reaching, key=price, default=None)
    return Compared(ordered, present, best, min(better, key=price, default=None), target, gold, consensus, all_checked, follow_ups)


def _is_sound_row(row: Row) -> bool:
    return bool(row["calibrated"] and row["coverage"] and row["lacking"] <= LACKING)


def _beats(row: Row, present: Row) -> bool:
    """Whether gold shows that a row is in nothing worse and asks less; too few checked Samples are no ground."""
    if not (_is_sound_row(row) and _is_sound_row(present) and row["checked"] >= FEW):
        return False
    kept = row["promised"] is not None or present["promised"] is None
    surely = kept and row["low"] >= present["low"] and row["coverage"] >= present["coverage"]
    is_cheaper = row["cost_per_accepted"] <= present["cost_per_accepted"] and row["calls_per_accepted"] < present["calls_per_accepted"]
    return bool(surely and is_cheaper)


def _is_present(row: Row, consensus: Consensus, order: Sequence[str]) -> bool:
    """Whether a row is what the pipeline does, which asks in this order."""
    if row["rule"] != consensus.rule or (consensus.make_rule.targeted and row["target"] != consensus.target):
        return False
    if not consensus.sequential:
        return True
    there = json.loads(row["teachers"]) if row["teachers"] else []
    if consensus.make_rule.targeted:
        return bool(consensus.votes == "full" and there == list(order) and row["objective"] == consensus.objective)
    return bool(there == list(order) or (len(there) == 1 and there == list(order[:1])))


def setting_line(row: Row, consensus: Consensus) -> str:
    """The line of the pipeline file that sets what a row does; a promise stays as it is."""
    keys = {"rule": row["rule"], "target": row["target"], "objective": row["objective"], "label": row["label"]}
    keys |= {"max_calls": consensus.max_calls if row["order"] != EVERYBODY else None}
    keys |= {"order": json.loads(row["teachers"]) if row["teachers"] else None}
    keys |= {"promise": consensus.promise.model_dump() if consensus.promise is not None else None}
    given = {key: value for key, value in keys.items() if value is not None}
    return "consensus: " + yaml.safe_dump(given, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000).strip()


def lacking_text(row: Row) -> str:
    """What a row lacks, and what that does to its coverage; empty where it lacks nothing."""
    if not row["lacking"]:
        return ""
    if row["rule"] in (LABEL_MATCH.name, CASCADE.name):
        wrong = "too low"  # another reply can only add to what is accepted
    else:
        wrong = "a guess" if row["rule"] == UNANIMOUS.name or row["coverage"] == 1 else "probably too low"
    return f"lacks {row['lacking']:.1%} of its replies: its coverage is {wrong}"


def class_coverage(row: Row) -> dict[str, float]:
    """Share of the Samples of each raw label that a row accepts; empty where that is not known."""
    return {key.removeprefix(OF_CLASS): value for key, value in row.items() if key.startswith(OF_CLASS) and value is not None}


def row_name(row: Row) -> str:
    """A row in a few words."""
    target = f" {row['target']:g}" if row["target"] is not None else ""
    if row["rule"] == "sequential":
        return f"sequential{target}, {row['objective'] if row['order'] == POLICY else row['order']}"
    return f"{row['rule']}{target}" + (f", {row['order']}" if row["order"] not in (EVERYBODY, CHEAP) else "")
