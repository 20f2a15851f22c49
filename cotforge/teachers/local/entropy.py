"""How sure a model was of each token while it generated."""

from typing import Any

import torch
from transformers import LogitsProcessor


def token_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Of the distribution that each row of logits stands for, in nats, from 0 to log of their number; -inf is a token of no chance."""
    return torch.special.entr(logits.float().softmax(dim=-1)).sum(dim=-1)


class Entropies(LogitsProcessor):  # type: ignore[misc]
    """Looks on as `generate` makes a batch, and keeps the entropy of each row at each step; it changes nothing.

    It stands behind what forbids tokens and before temperature, top-k and top-p: it sees the model's own distribution.
    """

    def __init__(self) -> None:
        self._steps_TB: list[torch.Tensor] = []

    def __call__(self, input_ids: Any, scores: torch.Tensor) -> torch.Tensor:
        self._steps_TB.append(token_entropy(scores))
        return scores

    def mean(self, row: int, *, tokens: int) -> float | None:
        """Over a row's first `tokens` steps, which are those up to its end; None where it said nothing."""
        return torch.stack(self._steps_TB)[:tokens, row].mean().item() if tokens else None
