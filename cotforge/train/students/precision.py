"""In which numbers a student is held and computed: what is trained in full has float32 weights, on a GPU under bfloat16 autocast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cotforge.plan import Student


@dataclass(frozen=True)
class Precision:
    """The types of a student's weights, and of its matrix products."""

    trained: torch.dtype
    """Of weights that an optimizer changes, its moments, and the weights that a stage leaves."""
    frozen: torch.dtype
    """Of parts that are frozen, and of what lies below adapters."""
    autocast: torch.dtype | None = None
    """Of matrix products, whatever the weights are; None computes in the weights' own type."""

    @property
    def computed(self) -> torch.dtype:
        """Of matrix products, and of the pictures that go into them."""
        return self.autocast or self.trained

    def below(self, *, adapted: bool) -> torch.dtype:
        """The type in which a model is loaded: that of all its weights before frozen parts are cast."""
        return self.frozen if adapted else self.trained


def choose_precision(spec: Student, fields: Mapping[str, Any] | None = None, *, gpu: bool) -> Precision:
    """The types for a student on a GPU or a CPU; `fields` are a stage's `trl`, whose `bf16` or `fp16` chooses autocast by hand.

    An update of 1e-6 is less than half a step of bfloat16 for weights above 2.6e-4: of bfloat16 weights of deviation 0.02, 1.3 % moved
    in 20 steps of Adam at 1e-6 and 21 % at 2e-5, of float32 weights all that had a gradient. Weights that stay as they are lose nothing.
    """
    fields = fields or {}
    half = fields.get("fp16", False)
    brain = fields.get("bf16", gpu and spec.dtype != "float32" and not half)
    autocast = torch.bfloat16 if brain else torch.float16 if half else None
    if spec.dtype is not None:
        named = getattr(torch, spec.dtype)
        return Precision(named, named, autocast)
    return Precision(torch.float32, torch.bfloat16 if brain else torch.float32, autocast)
