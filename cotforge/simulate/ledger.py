"""What a simulated teacher's server counts: requests by their ends, and its load as vLLM would tell it."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

HELP = {
    "running": "Number of requests in model execution batches.",
    "waiting": "Number of requests waiting to be processed.",
    "waiting_by_reason": "Number of requests waiting by reason.",
}
"""Of the gauges that vLLM 0.32 shows as `vllm:num_requests_<name>`."""


@dataclass(slots=True)
class LedgerEntry:
    """One request."""

    ended: str = "unfinished"
    """answered; the status of an error (`200` where an error came with that); hung, reset or garbled, as `simulate` wanted it; unfinished
    where the connection ended before the reply."""


@dataclass(slots=True)
class Ledger:
    """The requests for one model, on every port where it is played."""

    teachers: list[str] = field(default_factory=list)
    """Who asks for this model."""
    in_flight: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """How requests ended (see `Entry.ended`); the sum, with what is in flight, is every request that named the model."""

    @contextlib.contextmanager
    def request(self) -> Iterator[LedgerEntry]:
        """An entry for as long as a request is in flight; how it ended is counted as it is left."""
        entry = LedgerEntry()
        self.in_flight += 1
        try:
            yield entry
        finally:
            self.in_flight -= 1
            self.ends[entry.ended] += 1

    def shown(self) -> dict[str, Any]:
        """For `GET /ledger`."""
        requests = self.in_flight + self.ends.total()
        return {"teachers": self.teachers, "requests": requests, "in_flight": self.in_flight, "ended": dict(self.ends.most_common())}

    def line(self) -> str:
        """For a person: `one: 40 requests: 31 answered, 5 x 429, 4 hung`."""
        ends = ", ".join(f"{count:,} {'x ' if end.isdigit() else ''}{end}" for end, count in self.ends.most_common())
        requests = self.ends.total()
        return f"{', '.join(self.teachers)}: {requests:,} request{'' if requests == 1 else 's'}: {ends or 'nothing asked'}"


def metrics_page(loads: Iterable[tuple[str, int, int]]) -> str:
    """A page of vLLM's gauges in Prometheus' text form; `loads` are (model, running, waiting)."""
    loads = [(f'engine="0",model_name={json.dumps(model, ensure_ascii=False)}', running, waiting) for model, running, waiting in loads]
    gauges = {
        "running": [(labels, running) for labels, running, _ in loads],
        "waiting": [(labels, waiting) for labels, _, waiting in loads],
        "waiting_by_reason": [(f'{labels},reason="capacity"', waiting) for labels, _, waiting in loads],
    }
    lines = []
    for name, values in gauges.items():
        whole = f"vllm:num_requests_{name}"
        lines += [
            f"# HELP {whole} {HELP[name]}",
            f"# TYPE {whole} gauge",
            *(f"{whole}{{{labels}}} {count:.1f}" for labels, count in values),
        ]
    return "\n".join(lines) + "\n"
