"""Which Samples are asked when: a warm-up of everybody, then waves that grow as what is known about the teachers grows."""

from bisect import bisect_right
from collections.abc import Collection

from cotforge.order import sample_rank

WARM = 400
"""Samples of the warm-up at most, and gold ones among them (source: the simulation behind the defaults; less cost claims their honesty)."""
LEAST = 100
"""Samples of the warm-up at least, where there are so many."""
SHARE = 0.02
"""Share of all Samples that the warm-up may be, between the two."""
REFITS = (1_500, 5_000)
"""Samples after which the policy is learned anew; then after every `GROWTH` times as many, up to `LAST`."""
GROWTH, LAST = 3, 50_000
FILLER, BRIDGE = 0.12, 1_000
"""Share, and least number, of Samples by which a wave's policy serves on beyond it, so that there is something to ask while the last ones
of the wave come to their end and the next policy is learned (ours: ten seconds of 64 in flight that take half a second)."""
HASTE, HASTY = 0.2, 1_000
"""Share, and greatest number, of Samples behind the warm-up that are walked by a first policy made in haste, so that there is something to
ask while the whole one is found (ours: ten seconds of 64 in flight that take half a second)."""
AUDIT = 0.01
"""Share of the Samples about which everybody is asked, so that drift and joint errors show; none in a run that learns its policy only once:
it could do nothing about them, and its warm-up is a larger share (measured in benchmarks.consensus: calls saved, precision kept)."""
FOLDED = 1 << 20
"""Numbers by which Samples with gold are parted for cross-validation."""
_WHOLE = 1 << 64


class Waves:
    """A pure function of the number of Samples, the gold ids and the seed; a Sample's place follows from its id."""

    def __init__(self, total: int, gold: Collection[str] = (), seed: int = 0) -> None:
        """`total`: Samples there are, about; `gold`: ids that a person checked, always part of the warm-up."""
        self._gold, self._seed, self.total = frozenset(gold), seed, total
        warm = max(min(warm_up(total) - len(self._gold), total), 0)
        self.whole = min(warm + len(self._gold), total)
        """Samples about which everybody is asked, or about as many."""
        ends, self._needs = [warm], [-1]
        if hasty := min(HASTY, round(HASTE * total), total - warm):
            ends.append(warm + hasty)
            self._needs.append(0)
        self._hasty = len(ends) - 1
        known, refits = 0, _refit_points(total, ends[-1])
        self.audit = AUDIT if len(refits) > 1 else 0.0
        """Share of the Samples behind the warm-up about which everybody is asked too."""
        self.whole += round(self.audit * (total - self.whole))
        for refit in refits:
            ends.append(refit)
            self._needs.append(known)
            known = len(ends) - 1
            if refit < total:
                ends.append(min(total, refit + _filler_waves(refit)))
                self._needs.append(self._needs[-1])
        self._bounds = [end * _WHOLE // max(total, 1) for end in ends[:-1]]

    @property
    def count(self) -> int:
        return len(self._needs)

    def wave(self, id: str) -> int:
        """The Sample's wave; 0 is the warm-up."""
        return self.place(id)[0]

    def of_rank(self, rank: int) -> int:
        """The wave of a Sample that is no gold, by its place in the random order."""
        return bisect_right(self._bounds, rank)

    def everybody(self, id: str) -> bool:
        """Whether every voter is asked: in the warm-up, and for an audit."""
        return self.place(id)[1]

    def place(self, id: str) -> tuple[int, bool]:
        """(`wave`, `everybody`) of a Sample."""
        if id in self._gold:
            return 0, True
        place = sample_rank(id, self._seed)
        wave = self.of_rank(place)
        return wave, wave == 0 or self.audited(place)

    def fold(self, id: str) -> int:
        """A number by which a Sample with gold is parted from others for cross-validation."""
        return sample_rank(id, self._seed) % FOLDED

    def audited(self, rank: int) -> bool:
        """Whether everybody is asked about it though it is not in the warm-up."""
        return rank % 10_000 < self.audit * 10_000

    def hasty(self, wave: int) -> bool:
        """Whether the wave goes by a policy made in haste: it is the first behind the warm-up."""
        return wave == self._hasty == 1

    def needs(self, wave: int) -> int:
        """The last wave whose Samples must be over before this wave's policy can be learned; -1 where none is needed."""
        return self._needs[wave]


def warm_up(total: int) -> int:
    """Samples about which everybody is asked first."""
    return min(total, max(LEAST, min(WARM, round(SHARE * total))))


def _filler_waves(end: int) -> int:
    return max(BRIDGE, round(FILLER * end))


def _refit_points(total: int, begun: int) -> list[int]:
    """Where waves end behind those that have begun: at the refits that leave enough behind them to be worth it, and at the end."""
    ends, at = [], list(REFITS)
    while at[-1] * GROWTH <= LAST:
        at.append(at[-1] * GROWTH)
    ends = [end for end in at if begun < end and end + 2 * _filler_waves(end) < total]
    return [*ends, total] if begun < total else []
