"""Where a shard or a row group ends.

A piece ends after a sample whose id has a low hash. A sample that is added or removed therefore moves only the borders beside it, and
every other piece stays the same to the byte: a second push to the Hub sends little. Where no such sample comes, a ceiling ends the piece;
the borders after it agree again from the next such sample on.
"""

from dataclasses import dataclass

from cotforge.order import sample_rank

_RANKS = 2**64


@dataclass(frozen=True, slots=True)
class PieceSize:
    """How large pieces are. The mean follows from both numbers; the ceiling is twice either."""

    samples: int
    """Mean number of samples where these have no bytes; no piece has more than twice as many."""
    bytes: int
    """Mean number of bytes where samples are large; only a piece of one sample has more than twice as many."""
    seed: int
    """Of the hash. Shards and row groups have different ones, else every shard would end at the same samples as a row group."""

    def ends_after(self, id: str, size: int) -> bool:
        """Whether a piece ends after a sample of `size` bytes: by the id and the size alone, whatever stands before it."""
        return sample_rank(id, self.seed) * self.samples * self.bytes < _RANKS * (self.bytes + self.samples * size)


@dataclass(slots=True)
class Borders:
    """The borders of a sequence of samples, which is told one by one."""

    size: PieceSize
    _samples: int = 0
    _bytes: int = 0

    def is_full(self, size: int) -> bool:
        """Whether the piece has to end before a sample of `size` bytes."""
        return bool(self._samples) and (self._samples >= 2 * self.size.samples or self._bytes + size > 2 * self.size.bytes)

    def take(self, id: str, size: int) -> bool:
        """Count a sample into the piece. Returns whether the piece ends after it."""
        self._samples += 1
        self._bytes += size
        return self.size.ends_after(id, size)

    def restart(self) -> None:
        """Begin the next piece."""
        self._samples = self._bytes = 0
