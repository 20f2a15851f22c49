"""Weights of a language model that are compared or merged, in files or in memory, by their names below the decoder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch

from cotforge.errors import PipelineError
from cotforge.train.weights.checkpoint import PIECE, Checkpoint
from cotforge.train.weights.names import FUSED, decoder_names, key_of


class Side(Protocol):
    """Weights that are compared, by names below the decoder."""

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Of a weight; None where there is none of that name."""

    def pieces(self, name: str) -> Iterator[torch.Tensor]:
        """A weight's numbers as float32, flat, at most PIECE at a time."""


class InFiles:
    """The language model in a folder, of a text model or a student."""

    def __init__(self, folder: Path, key: str) -> None:
        self.files = Checkpoint(folder, key=key)
        self.names = decoder_names(self.files.entries)
        """By a name below the decoder, the name in the files."""
        if not self.names:
            raise PipelineError(f"{key}: {str(folder)!r} has no layers of a language model among its weights")

    def shape(self, name: str) -> tuple[int, ...] | None:
        """As its file says."""
        called = key_of(self.names, name)
        return None if called is None else self.files.entries[called].shape

    def pieces(self, name: str) -> Iterator[torch.Tensor]:
        """Read anew at each call."""
        called = key_of(self.names, name)
        assert called is not None
        return self.files.pieces(called)

    def demand_floats(self, names: Iterable[str]) -> None:
        """Raises PipelineError where those weights, or the whole model, are quantised."""
        self.files.demand_floats(called for name in names if (called := key_of(self.names, name)) is not None)


class InMemory:
    """A decoder's weights in memory."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.weights = weights

    def shape(self, name: str) -> tuple[int, ...] | None:
        """As it is in memory."""
        return tuple(self.weights[name].shape) if name in self.weights else None

    def pieces(self, name: str) -> Iterator[torch.Tensor]:
        """On the CPU."""
        flat = self.weights[name].detach().reshape(-1)
        for first in range(0, flat.numel(), PIECE):
            yield flat[first : first + PIECE].to("cpu", torch.float32)


def demand_unfused(theirs: InFiles, missing: Sequence[str], key: str) -> None:
    """Raises PipelineError where the student has q, k and v apart, and the expert in one matrix whose order is its family's own."""
    apart = next((name for name in missing if ".q_proj." in name), None)
    fused = next((name for name in theirs.names if FUSED.search(name) and name.endswith(".weight")), None)
    if apart and fused:
        raise PipelineError(
            f"{key}: it keeps q, k and v in one matrix ({fused!r}), and the student apart ({apart!r}); "
            "how that is to be cut differs from family to family, so take an expert of the student's family"
        )
