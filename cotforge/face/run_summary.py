"""`summary.json` of a run folder, typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Self

from cotforge.errors import printable_line


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The counts of a run; `values` has all of `summary.json`, also what has no name here."""

    samples: int
    """Sound samples that were looked at."""
    accepted: int
    """Of these, such as have a lesson."""
    lessons: int
    traces: int
    rejected: Mapping[str, int]
    """How many were lost to each reason."""
    label_conflicts: int
    """Accepted answers that differ from the raw label."""
    calls: int
    """Different calls asked by the command that wrote the summary."""
    calls_failed: int
    """Of these, given up."""
    calls_total: int
    """Calls in the journal with a final outcome."""
    input_tokens: int
    output_tokens: int
    cost_usd: float
    """Of the whole journal, in US dollars."""
    seconds: float
    """Of the command that wrote the summary."""
    stopped: str | None
    """Why asking ended early; None where it did not."""
    teachers: Mapping[str, Mapping[str, Any]]
    """By name: calls, failed, answered, agreement, estimated_accuracy, cost_usd, and checks where there are some."""
    claim: Mapping[str, Any]
    """The precision of accepted answers that is claimed, with its lower bound; without gold these are None."""
    values: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From the object of the file; what an older version did not write is 0, empty or None."""
        tokens = values.get("tokens") or {}
        counts = {
            name: int(values.get(name) or 0)
            for name in ("samples", "accepted", "lessons", "traces", "label_conflicts", "calls", "calls_failed", "calls_total")
        }
        return cls(
            **counts,
            rejected=values.get("rejected") or {},
            input_tokens=int(tokens.get("input") or 0),
            output_tokens=int(tokens.get("output") or 0),
            cost_usd=float(values.get("cost_usd") or 0.0),
            seconds=float(values.get("seconds") or 0.0),
            stopped=values.get("stopped"),
            teachers=values.get("teachers") or {},
            claim=values.get("claim") or {},
            values=values,
        )

    def lines(self) -> list[str]:
        """The most important figures, a line each."""
        lost = sorted(self.rejected.items(), key=lambda each: -each[1])
        lines = [
            f"samples {self.samples:,}, accepted {self.accepted:,}, lessons {self.lessons:,}",
            *(f"lost to {reason}: {count:,}" for reason, count in lost),
            f"samples with a lesson whose answer is not their label: {self.label_conflicts:,}",
            f"calls {self.calls_total:,}, tokens {self.input_tokens + self.output_tokens:,}, ${self.cost_usd:,.2f}",
        ]
        return [printable_line(line) for line in (*lines, *([f"stopped: {self.stopped}"] if self.stopped else []))]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return "<br>".join(escape(line) for line in self.lines())
