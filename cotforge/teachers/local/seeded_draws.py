"""Tokens drawn for each row of a batch by a seed of its own, so that a completion is the same whatever stands beside it."""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


class SeededDraws(LogitsProcessor):  # type: ignore[misc]
    """Has greedy decoding draw from the softmax of logits over `temperature`, above 0, row by row; `seeds` has one of each row.

    The largest of logits with independent Gumbel noise is a draw from their softmax (Gumbel-max trick; arXiv 1411.0030, section 2).
    """

    def __init__(self, seeds: Sequence[int], *, temperature: float) -> None:
        self._seeds, self._temperature = seeds, temperature
        self._generators: list[torch.Generator] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) over the temperature, with noise; the next call, of the next token, has other noise."""
        if not self._generators:
            self._generators = [torch.Generator(scores.device).manual_seed(seed) for seed in self._seeds]
        waits = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(waits, self._generators, strict=True):
            row.exponential_(generator=generator)
        noise = -waits.clamp_min(torch.finfo(torch.float32).tiny).log()
        return scores.float() / self._temperature + noise
