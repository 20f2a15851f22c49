"""A guard for updates that round to nothing: the share of trained weights that the first steps changed, by a sample of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import TrainerCallback

STEPS, SAMPLE, FEW = 10, 1 << 16, 0.5
"""Optimizer steps that are looked at; weights in the sample; the share below which it is a guard's line.

Of float32 weights with a gradient more than 0.99 change, of bfloat16 ones 0.21 at a learning rate of 2e-5 and 0.013 at 1e-6.
"""


@dataclass
class _Sampled:
    """Some weights of one tensor."""

    weight: Any
    stride: int
    before_N: torch.Tensor
    met_N: torch.Tensor
    """Whether each ever had a gradient: embeddings of tokens that never came have none."""

    def now(self, of: Any) -> torch.Tensor:
        """The sampled numbers of a tensor of the weight's shape; of this process's part of it, under FSDP."""
        return getattr(of, "to_local", lambda: of)().detach().reshape(-1)[:: self.stride]


class Moved(TrainerCallback):  # type: ignore[misc]
    """Tells once, after the first steps, how many of the weights that had a gradient are others than before."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._sampled: list[_Sampled] = []
        self._begun = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Before the first step, or the first one after a checkpoint."""
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        stride = max(1, sum(weight.numel() for weight in trained) // SAMPLE)
        self._begun = state.global_step
        for weight in trained:
            one = _Sampled(weight, stride, torch.empty(0), torch.empty(0))
            one.before_N = one.now(weight).clone()
            one.met_N = torch.zeros_like(one.before_N, dtype=torch.bool)
            self._sampled.append(one)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Gradients are there."""
        for one in self._sampled:
            if one.weight.grad is not None:
                one.met_N |= one.now(one.weight.grad) != 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell, once there were enough steps."""
        steps = state.global_step - self._begun
        if not self._sampled or (steps < STEPS and state.global_step < state.max_steps):
            return
        met = sum(int(one.met_N.sum()) for one in self._sampled)
        changed = sum(int(((one.now(one.weight) != one.before_N) & one.met_N).sum()) for one in self._sampled)
        halves = any(one.weight.dtype != torch.float32 for one in self._sampled)
        self._sampled = []
        if met:
            self._tell(moved_line(changed / met, steps, halves=halves))


def moved_line(share: float, steps: int, *, halves: bool) -> str:
    """What is told of a share in [0, 1] of the trained weights; `halves` says that they have 16 bits."""
    told = f"{share:.1%} of the trained weights that had a gradient changed in the first {steps:,} steps"
    if share >= FEW:
        return told
    cause = "16 bits hold no smaller step; leave train.student.dtype out (float32 under bfloat16 autocast)" if halves else "steps are tiny"
    return f"guard: {told}: {cause}, or raise learning_rate"
