"""GradientPrior: the gradients of a student's decoder bent towards an expert, once in each optimizer step (DRIFT, arXiv 2510.15050).

What is bent is the gradient that the optimizer is to see: of all forward passes of the step and of all processes, before it is clipped. The
code of the paper bends the gradient of each forward pass on each GPU by itself; here that is done under DeepSpeed alone, which never shows
the whole gradient.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch

from cotforge.errors import PipelineError
from cotforge.plan import Prior
from cotforge.train.prior import pull_rules
from cotforge.train.prior.tensors import Adapted, Bent, find_tensor, local_part, sum_over_processes

APART = 10
"""Optimizer steps from one measurement of the distance to the expert to the next: it reads the expert's weights."""
OVERSHOT = 1.5
"""Times its first distance to the expert at which a student is told to have passed it (chosen by us; plain sft came to 1.3 in
`benchmarks.priors`, DRIFT whose steps were too long to 3 and more)."""
COSINE, ADDED, DISTANCE = "prior/cosine", "prior/added", "prior/distance"
"""Metrics: mean cosine of gradient and difference (1 leads straight away from the expert), norm added per norm of the gradient (of all bent
tensors together), Euclidean distance of the bent tensors to the expert's."""


class Differences(Protocol):
    """Expert minus base by names below the decoder: float32, on the CPU, not to be written to."""

    def __getitem__(self, name: str, /) -> torch.Tensor: ...


@dataclass
class GradientPrior:
    """What a stage bends its gradients by. Every process calls the same methods at the same time."""

    spec: Prior
    names: Sequence[str]
    """Of the tensors that are bent, below the decoder."""
    differences: Differences
    expert: Callable[[str], torch.Tensor]
    """A tensor of the expert's by name, float32."""
    scales: Mapping[str, float] = field(default_factory=dict)
    """By which a difference is multiplied before it is used; 1 where it has none."""
    where: str = "prior"
    """What begins an error."""
    tell: Callable[[str], object] = bool
    """Tells a person a line."""
    _first: float = 0.0
    """The distance to the expert when it was first measured; infinite once a person was told that it was passed."""
    _attached: bool = False
    """Whether backward passes bend by themselves."""
    _found: list[Bent] = field(default_factory=list)
    _seen: list[torch.Tensor] = field(default_factory=list)
    """Of what was bent since the last metrics: `<g, g>`, `<g, D>`, `<D, D>` and the pull."""

    def bend(self, model: Any) -> None:
        """Bend the gradients that a student's tensors hold, unless they were as they were made: see `attach`.

        Raises PipelineError where none of them has one.
        """
        if self._attached:
            return
        for bent in self.tensors(model):
            gradients = [weight.grad for weight in bent.weights]
            if all(gradient is not None for gradient in gradients):
                self._bend_tensor(bent, list(map(local_part, gradients)), self.spec.alpha, partial(sum_over_processes, like=gradients[0]))
        if not self._seen:
            raise PipelineError(
                f"{self.where}: not one of the {len(self.names):,} tensors has a gradient when a step is to be taken; "
                "leave trl.optim out where it names an optimizer that steps during the backward pass"
            )

    def attach(self, model: Any, *, passes: int) -> None:
        """Have every gradient be bent as a backward pass makes it, of which `passes` make a step: for DeepSpeed.

        Raises PipelineError for a student with adapters, whose two gradients are not there at once.
        """
        self._attached = True
        for bent in self.tensors(model):
            if isinstance(bent, Adapted):
                raise PipelineError(
                    f"{self.where}: under DeepSpeed the gradients of adapters cannot be bent together; train without DeepSpeed or lora"
                )
            bent.weight.register_hook(self._gradient_hook(bent, passes))

    def metrics(self, model: Any, step: int) -> dict[str, float]:
        """What was bent since the last call, and every APART steps the distance to the expert; `step` counts from 0.

        The distance is that before the step, under DeepSpeed, whose backward pass steps, that after it.
        """
        if not self._seen:
            return {}
        rows = torch.stack(self._seen).cpu()
        self._seen.clear()
        gradient, _, difference, taken = rows.unbind(1)
        added = (taken.square() * difference).sum() / gradient.sum().clamp_min(pull_rules.EPS**2)
        found = {COSINE: float(torch.stack([pull_rules.cosine_similarity(row[:3]) for row in rows]).mean()), ADDED: float(added.sqrt())}
        if step % APART == 0:
            found[DISTANCE] = self.distance(model)
            self._watch_distance(found[DISTANCE])
        return found

    def _watch_distance(self, distance: float) -> None:
        """The difference is made once and stays: steps that are long enough lead past the expert, and ever farther from it."""
        self._first = self._first or distance
        if distance > OVERSHOT * self._first:
            self.tell(
                f"guard: the student is {distance / self._first:.2g} times as far from the expert as it was: the pull leads past it; "
                "lower learning_rate or prior.alpha, or take fewer steps"
            )
            self._first = math.inf

    def distance(self, model: Any) -> float:
        """Euclidean, of the tensors that are bent to the expert's; adapters count as merged."""
        with torch.no_grad():
            squares = [sum_over_processes(bent.distance(self.expert(bent.name)), bent.weights[0]) for bent in self.tensors(model)]
        return math.sqrt(math.fsum(map(float, squares)))

    def tensors(self, model: Any) -> list[Bent]:
        """What is bent of a student: found at the first call, after which the model is not split or wrapped any more."""
        if not self._found:
            self._found = [bent for name in self.names if (bent := find_tensor(model, name)) is not None]
        return self._found

    def _bend_tensor(
        self, bent: Bent, gradients: Sequence[torch.Tensor], alpha: float, total: Callable[[torch.Tensor], torch.Tensor] = lambda own: own
    ) -> None:
        """Bend a tensor's gradients in place, and remember how."""
        with torch.no_grad():
            differences = bent.differences(self.differences[bent.name])
            if (scale := self.scales.get(bent.name, 1.0)) != 1.0:
                differences = [difference * scale for difference in differences]
            self._seen.append(pull_rules.bend_gradients(gradients, differences, rule=self.spec.rule, alpha=alpha, total=total))

    def _gradient_hook(self, bent: Bent, passes: int) -> Callable[[torch.Tensor], torch.Tensor]:
        # The difference itself would be added once in every pass; the other rules follow the size of the pass's own gradient.
        alpha = self.spec.alpha / passes if self.spec.rule == "absolute" else self.spec.alpha

        def hook(gradient: torch.Tensor) -> torch.Tensor:
            made = gradient.clone()
            self._bend_tensor(bent, [made], alpha)
            return made

        return hook
