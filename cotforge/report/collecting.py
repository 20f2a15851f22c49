"""What a page needs of every sample, collected while the run is exported."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from cotforge.filters import Bound
from cotforge.records import CuratedSample, Fault
from cotforge.report.gallery import Gallery
from cotforge.report.recount import Recount
from cotforge.tally.quantiles import Spread

STEPS = 20
"""Bars of the plot of confidences."""


class PageCollector:
    """Looks at every sample in passing; what it holds does not grow with the run."""

    def __init__(self, bounds: Sequence[Bound] = (), *, target: float | None = None, per_sample: int = 1, fixed: int = 0) -> None:
        """`bounds` are the filters; `target` is that of the vote, None where the rule has none; `fixed`: see `Recount`."""
        self.bounds = bounds
        self.gallery = Gallery()
        self.recount = Recount(bounds, target=target, per_sample=per_sample, fixed=fixed)
        self.lessons, self.others = Spread(), Spread()
        """Tokens of reasoning of the lessons, and of all other traces."""
        self.confidences = [[0, 0] for _ in range(STEPS)]
        """Accepted samples and others, by the confidence in their leading answer."""

    def watch(self, stream: Iterable[CuratedSample | Fault]) -> Iterator[CuratedSample | Fault]:
        """The stream as it is."""
        for item in stream:
            if isinstance(item, CuratedSample):
                self.add(item)
            yield item

    def add(self, outcome: CuratedSample) -> None:
        """Look at one sample."""
        rank = hashlib.blake2b(outcome.sample.id.encode("utf-8", "replace"), digest_size=8).digest()
        self.gallery.add(outcome, rank)
        self.recount.add(outcome, rank)
        for judged in outcome.traces:
            if judged.fate not in ("vote", "check"):
                (self.lessons if judged.fate == "lesson" else self.others).add(judged.trace.reasoning_tokens)
        if outcome.verdict.ballots:
            step = min(STEPS - 1, int(STEPS * outcome.verdict.confidence))
            self.confidences[step][not outcome.verdict.accepted] += 1
