"""The order of lessons in which a batch holds lessons of about one length, so that little of it is padding."""

from collections.abc import Iterator, Sequence

import torch

POOL = 50
"""Batches whose lessons are sorted by length together (as transformers' own sampler does)."""
ALIKE = 8
"""Tokens within which lengths count as one (ours): sorted to the token, a batch of a small dataset holds lessons of one kind alone."""


class Grouped(torch.utils.data.Sampler):  # type: ignore[misc]
    """Every lesson once per epoch, batches of lessons about as long, in random order; the same for the same seed and epoch.

    The first epoch begins with the batch of the longest lesson, so that what does not fit into memory does so at the first step.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Of those who iterate from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        mixed = torch.randperm(len(self.lengths), generator=draw).tolist()
        if self.epoch == 0:  # into the first of a pool that makes whole batches
            longest = max(range(len(mixed)), key=lambda place: (self.lengths[mixed[place]], -place), default=0)
            mixed[:1], mixed[longest : longest + 1] = mixed[longest : longest + 1], mixed[:1]
        batches = []
        for start in range(0, len(mixed), POOL * self.batch):
            pool = sorted(mixed[start : start + POOL * self.batch], key=lambda row: self.lengths[row] // ALIKE, reverse=True)
            batches += [pool[at : at + self.batch] for at in range(0, len(pool), self.batch)]
        last = [batches.pop()] if batches and len(batches[-1]) < self.batch else []  # a short one anywhere else would tear the others
        order = torch.randperm(len(batches), generator=draw).tolist()
        if self.epoch == 0 and batches:
            order.remove(0)
            order.insert(0, 0)
        for place in order:
            yield from batches[place]
        for rest in last:
            yield from rest
