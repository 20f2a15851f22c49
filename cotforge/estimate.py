"""What a build would still ask, and about what it would cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cotforge.forge import Work
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Fault
from cotforge.teachers.wire import input_tokens

OUTPUT_TOKENS = 500
"""Output tokens of a call of a teacher that has never answered (ours); at most its `max_tokens`."""


@dataclass(slots=True)
class Share:
    """What one teacher still has to do."""

    calls: int = 0
    done: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    priced: bool = False


@dataclass(slots=True)
class Estimate:
    """The difference between what a pipeline asks and what its journal holds."""

    samples: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    teachers: dict[str, Share] = field(default_factory=dict)

    def text(self) -> str:
        """As `check` prints it."""
        lines = [f"{self.samples:,} samples" + "".join(f"; {count:,} rows {reason}" for reason, count in sorted(self.faults.items()))]
        width = max(map(len, self.teachers))
        for name, share in self.teachers.items():
            cost = f", about ${share.usd:,.2f}" if share.priced else ", no price given"
            tokens = f", about {share.input_tokens:,} + {share.output_tokens:,} tokens{cost}" if share.calls else ""
            lines.append(f"{name:<{width}}  {share.calls:,} calls to make, {share.done:,} in the journal{tokens}")
        calls, usd = sum(share.calls for share in self.teachers.values()), sum(share.usd for share in self.teachers.values())
        priced = any(share.priced for share in self.teachers.values())
        lines.append(f"in all {calls:,} calls to make" + (f", about ${usd:,.2f}" if priced else ""))
        return "\n".join(lines)


def estimate(loaded: Loaded, works: Iterable[Work | Fault], journal: Journal) -> Estimate:
    """Reads the whole source.

    Input tokens are characters / 4 and pixels / 28²; output tokens the teacher's mean so far, else `OUTPUT_TOKENS`.
    """
    found = Estimate(teachers={teacher.name: Share(priced=teacher.price.given) for teacher in loaded.pipeline.teachers})
    means = journal.output_means()
    for work in works:
        if isinstance(work, Fault):
            found.faults[work.reason] = found.faults.get(work.reason, 0) + 1
            continue
        found.samples += 1
        for call, _ in work.had:
            found.teachers[call.teacher].done += 1
        for teacher, call in work.calls:
            share = found.teachers[teacher.name]
            ends = min(round(means.get(teacher.name, OUTPUT_TOKENS)), teacher.max_tokens or 10**9)
            begins = input_tokens(call)
            share.calls += 1
            share.input_tokens += begins
            share.output_tokens += ends
            share.usd += teacher.price.usd(begins, ends)
    return found
