"""How well the votes did: a finished run on the digits beside the truth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotforge.demo.digits import rows_of


@dataclass(frozen=True, slots=True)
class Score:
    """How a finished run on the digits compares with the truth. Shares are in [0, 1], and 0 where there is nothing to share."""

    asked: int
    """Samples."""
    accepted: int
    coverage: float
    """Accepted, of those asked."""
    precision: float
    """Answers equal to the truth, of those accepted that no person had checked."""
    flips: int
    """Samples asked whose label had been flipped."""
    flips_found: float
    """Of these, accepted with the true label and marked as a label conflict."""
    teachers: Mapping[str, float]
    """Each teacher alone: replies with the true answer, of all its replies."""
    calls: int
    cost_usd: float

    claimed: float | None = None
    """The precision that the run claims; None where nobody checked enough answers."""
    low: float | None = None
    """Its lower bound, with 95 % confidence."""

    def lines(self) -> list[tuple[str, str]]:
        """(what, how much) for a person to read."""
        claim = "nothing" if self.claimed is None else f"at least {self.low or 0:.3f}, about {self.claimed:.3f}"
        return [
            ("accepted", f"{self.accepted:,} of {self.asked:,} (coverage {self.coverage:.3f})"),
            ("precision", f"{self.precision:.3f}"),
            ("claimed", claim),
            ("flips found", f"{self.flips_found:.3f} of {self.flips:,}"),
            ("calls", f"{self.calls:,}: {_share_text(self.calls, self.accepted):.2f} a lesson"),
            ("cost", f"${self.cost_usd:.4f}: ${1000 * _usd_per(self.cost_usd, self.accepted):.3f} for 1,000 lessons"),
        ]


def _usd_per(sum_usd: float, count: int) -> float:
    return sum_usd / count if count else 0.0


def score_run(run: Path, folder: Path) -> Score:
    """Compares the dataset of a finished run with truth.csv; the only reader of that file."""
    truth = {row["id"]: row["label"] for row in rows_of(folder / "truth.csv")}
    given = {row["id"]: row["label"] for row in rows_of(folder / "pool.csv")}
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    traces = _read_parquet(run / "dataset" / "traces", ("id", "teacher", "ballot"))
    lessons = {row["id"]: row for row in _read_parquet(run / "dataset" / "data", ("id", "answer", "label_conflict"))}
    checked = {row["id"] for row in rows_of(run / "gold.csv")} if (run / "gold.csv").is_file() else set[str]()
    claim = summary.get("claim", {})
    right = {id for id, row in lessons.items() if row["answer"] == truth[id]}
    flips = {row["id"] for row in traces if given[row["id"]] != truth[row["id"]]}
    found = {id for id in flips & right if lessons[id]["label_conflict"]}
    return Score(
        asked=summary["samples"],
        accepted=len(lessons),
        coverage=_share_text(len(lessons), summary["samples"]),
        precision=_share_text(len(right - checked), len(lessons.keys() - checked)),
        flips=len(flips),
        flips_found=_share_text(len(found), len(flips)),
        teachers=_lone_teachers(traces, truth),
        calls=summary["calls_total"],
        cost_usd=summary["cost_usd"],
        claimed=claim.get("precision") if claim.get("calibrated") else None,
        low=claim.get("low"),
    )


def scores_table(scores: Mapping[str, Score]) -> list[str]:
    """Runs beside one another, for a person to read; each teacher alone as the first run, which asks it about everything, shows it."""
    columns = [[name, *(value for _, value in score.lines())] for name, score in scores.items()]
    first = next(iter(scores.values()))
    rows = zip(["", *(what for what, _ in first.lines())], *columns, strict=True)
    width = max(len(value) for column in columns for value in column)
    alone = ", ".join(f"{name} {share:.3f}" for name, share in first.teachers.items())
    return [
        *(f"{what:14}{'  '.join(f'{value:{width}}' for value in values)}".rstrip() for what, *values in rows),
        f"{'each alone':14}{alone}",
    ]


def _lone_teachers(traces: Sequence[Mapping[str, Any]], truth: Mapping[str, str]) -> dict[str, float]:
    replies: dict[str, list[bool]] = {}
    for row in traces:
        replies.setdefault(row["teacher"], []).append(row["ballot"] == truth[row["id"]])
    return {teacher: _share_text(sum(each), len(each)) for teacher, each in replies.items()}


def _share_text(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _read_parquet(folder: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of all parquet files of a folder; none where it is not there."""
    from pyarrow import parquet

    return [row for path in sorted(folder.glob("*.parquet")) for row in parquet.read_table(path, columns=list(columns)).to_pylist()]
