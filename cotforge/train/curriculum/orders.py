"""Orders of rows, pass after pass: each pass holds every row once, and follows from a seed and its number alone."""

from collections.abc import Sequence
from itertools import pairwise, repeat
from typing import Any, Protocol

import torch

from cotforge.train.data.grouped import Grouped


class Order(Protocol):
    """Rows in an order of their own in each pass."""

    def __len__(self) -> int:
        """Rows of a pass."""

    def of_pass(self, number: int) -> list[int]:
        """The rows of a pass, counted from 0."""


class Shuffled:
    """Rows in random order; with `lengths`, by row, in batches of `size` that are about as long."""

    def __init__(self, rows: Sequence[int], *, seed: int, size: int = 1, lengths: Sequence[int] | None = None) -> None:
        self.rows, self.seed, self.size, self.lengths = rows, seed, size, lengths

    def __len__(self) -> int:
        return len(self.rows)

    def of_pass(self, number: int) -> list[int]:
        """The same for the same seed and number."""
        if self.lengths is None:
            return [self.rows[place] for place in random_permutation(len(self.rows), seed=self.seed, number=number)]
        grouped = Grouped([self.lengths[row] for row in self.rows], self.size, self.seed)
        grouped.set_epoch(number)
        return [self.rows[place] for place in grouped]


class EasyFirst:
    """The first pass in `buckets` parts from easy to hard, each in an order like that of `later`; further passes are those of `later`.

    Of a stage that sees `reach` rows and no more, the first so many are a random part of all, from easy to hard.
    """

    def __init__(self, later: Shuffled, hardness: Sequence[float], *, buckets: int, reach: int) -> None:
        """`hardness`, by row: the higher, the later."""
        self.later, self.hardness, self.buckets, self.reach = later, hardness, buckets, reach

    def __len__(self) -> int:
        return len(self.later)

    def of_pass(self, number: int) -> list[int]:
        """Rows of equal hardness come in random order."""
        later = self.later
        if number:
            return later.of_pass(number)
        mixed = [later.rows[place] for place in random_permutation(len(later), seed=later.seed, number=0)]
        seen, rest = mixed[: self.reach], mixed[self.reach :]
        ranked = sorted(seen, key=lambda row: self.hardness[row])
        parts = cut_parts(ranked, self.buckets, size=later.size)
        ordered = [
            Shuffled(part, seed=part_seed(later.seed, place), size=later.size, lengths=later.lengths).of_pass(1)
            for place, part in enumerate(parts)
        ]
        return [row for part in ordered for row in part] + rest


class InPasses(torch.utils.data.Sampler):  # type: ignore[misc]
    """An order as a loader takes it: an epoch is a pass."""

    def __init__(self, order: Order) -> None:
        self.order, self.epoch = order, 0

    def __len__(self) -> int:
        return len(self.order)

    def set_epoch(self, epoch: int) -> None:
        """Of those who iterate from now on."""
        self.epoch = epoch

    def __iter__(self) -> Any:
        return iter(self.order.of_pass(self.epoch))


class FirstRow(torch.utils.data.Sampler):  # type: ignore[misc]
    """The first row, so many times: for the loader of a trainer that chooses its rows itself."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Any:
        return repeat(0, self.count)


class Passes:
    """Rows of an order from where it stands, as many at a time as are asked for: the last of one pass, then the first of the next."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.number, self.place = 0, 0
        self._pass: list[int] | None = None

    def draw(self, count: int) -> list[int]:
        """The next rows; more than there are begin again."""
        found: list[int] = []
        while len(found) < count:
            if self._pass is None:
                self._pass = self.order.of_pass(self.number)
            more = self._pass[self.place : self.place + count - len(found)]
            found += more
            self.place += len(more)
            if self.place == len(self._pass):
                self.number, self.place, self._pass = self.number + 1, 0, None
        return found

    def state(self) -> list[int]:
        """Where it stands."""
        return [self.number, self.place]

    def restore(self, state: Sequence[int]) -> None:
        """Stand where another one stood."""
        self.number, self.place = state
        self._pass = None


def random_permutation(count: int, *, seed: int, number: int) -> list[int]:
    """The numbers below `count` in random order."""
    found: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)).tolist()
    return found


def part_seed(seed: int, part: int) -> int:
    """A seed for a part of the rows, of which there are at most 1,008."""
    return seed * 1_009 + part + 1


def cut_parts(rows: Sequence[int], parts: int, *, size: int = 1) -> list[list[int]]:
    """Rows in so many consecutive parts about as large, of which none is empty; all but the last have whole multiples of `size`."""
    bounds = [round(len(rows) * place / parts / size) * size for place in range(parts)] + [len(rows)]
    return [list(rows[low:high]) for low, high in pairwise(bounds) if low < high]
