"""How the numbers of a stream spread, in memory that does not grow with it."""

import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

STEPS = 1 / math.log(1.02)
DISTINCT = 1_000
"""Most different numbers that are kept as they are: marks, shares of few readers and words of texts are fewer."""


@lru_cache(maxsize=4_096)
def _value_bucket(value: float) -> tuple[int, int]:
    """(sign, step); most values of a measure come again and again."""
    sign = (value > 0) - (value < 0)
    return sign, sign * math.ceil(math.log(abs(value)) * STEPS) if sign else 0


class Spread:
    """Count, mean, least, most and quantiles of a stream of numbers; a quantile is one of the numbers, or of very many within 1 % of one.

    Of more than `distinct` different numbers, buckets are counted. They grow by 2 %, so that about 50 stand for each power of e, whatever
    the measure. Source: Masson, Rim, Lee 2019, DDSketch, section 2.
    """

    def __init__(self, *, distinct: int = DISTINCT) -> None:
        """`distinct`: most different numbers that are kept as they are."""
        self._distinct = distinct
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = -math.inf
        self._values: Counter[float] | None = Counter()
        """How often each number came; None once they are too many."""
        self._buckets: Counter[tuple[int, int]] = Counter()

    def add(self, value: float) -> None:
        """Count one finite number; others are passed over."""
        if not math.isfinite(value):
            return
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)
        if self._values is None:
            self._buckets[_value_bucket(value)] += 1
            return
        self._values[value] += 1
        if len(self._values) > self._distinct:
            for known, count in self._values.items():
                self._buckets[_value_bucket(known)] += count
            self._values = None

    @property
    def is_exact(self) -> bool:
        """Whether quantiles and buckets are the numbers themselves."""
        return self._values is not None

    def mean(self) -> float | None:
        """The mean; None without numbers."""
        return self.total / self.count if self.count else None

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Values, from the least up, each with how many numbers it stands for: those equal to it, or of very many those within 1 %."""
        if self._values is not None:
            yield from sorted(self._values.items())
            return
        for (sign, bucket), count in sorted(self._buckets.items()):
            middle = sign * math.exp((sign * bucket - 0.5) / STEPS)
            yield min(max(middle, self.least), self.most), count

    def quantile(self, share: float) -> float | None:
        """The value below which `share` in [0, 1] of the numbers lie; None without numbers."""
        rank = share * (self.count - 1)
        for value, count in self.buckets():
            rank -= count
            if rank < 0:
                return value
        return None
