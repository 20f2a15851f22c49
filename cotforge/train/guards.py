"""What goes wrong without a word in training, and the line that says what to change: before, during and after.

Before, a guard refuses (PipelineError, exit 2) or tells. During, it tells its line once and lets the stage end; only parameters that are no
numbers any more stop it.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from transformers import TrainerCallback

from cotforge.errors import PipelineError
from cotforge.train.students.loaded_student import part_of_name

LOOK = 10
"""Steps over which a guard looks before it speaks (all numbers here are ours)."""
CALMER = "lower learning_rate or trl.max_grad_norm, and run the same command again"
CUT, SAME, GAP, LOW, HIGH = 0.2, 0.9, 0.5, 0.01, 3.0
"""Share of completions cut off; share of groups of one reward; difference of log-probabilities; entropy in nats, and times its first."""
MASKED, FLAT, AGAIN = "sampling/importance_sampling_masked", "resample/flat", "resample/drawn"
"""Metrics of ours: share of completions (or tokens) that the correction of vLLM's probabilities masks; of a rollout's groups, the share
without variance as first drawn, and how many were drawn again."""
FILLED, TAKEN = "budget/filled", "budget/taken"
"""Metrics of ours: tokens taken over `token_budget`, and completions taken as a share of all."""
LOST, OFTEN, UNFILLED, UNUSED = 0.2, 0.5, 0.9, 0.5
"""Share of completions that are masked; of groups that are drawn again; of a token budget that is filled; of completions that it takes."""


# before


def check_room(prompt: int, completion: int, context: int | None) -> None:
    """The longest prompt and a completion must fit into the student's positions."""
    if context is not None and prompt + completion > context:
        raise PipelineError(
            f"max_completion: the longest prompt has {prompt:,} tokens with its images, with {completion:,} more that is beyond the "
            f"{context:,} the student can read; set max_completion to {max(1, context - prompt):,}, or lower train.student.max_pixels"
        )


def check_length(longest: int, context: int | None, *, where: str) -> None:
    """A text is never cut."""
    if context is not None and longest > context:
        raise PipelineError(
            f"{where}: the longest text has {longest:,} tokens and its images, more than the {context:,} the student can read"
        )


def clip_is_live(*, accumulate: int, per_generation: int, iterations: int) -> bool:
    """Whether the ratio can leave 1: some optimizer step is taken on completions of older weights than its own."""
    return accumulate % (per_generation * iterations) != 0


def check_schedule(*, clipped: bool, accumulate: int, per_generation: int, iterations: int, save_steps: float | None) -> None:
    """A clip must be able to act, and a checkpoint must lie where a rollout ends, because TRL does not keep the rollout."""
    if clipped and not clip_is_live(accumulate=accumulate, per_generation=per_generation, iterations=iterations):
        raise PipelineError(
            "clip: the ratio would stay 1 and the clip never act; leave num_iterations and steps_per_generation out of trl:, "
            "and set updates_per_rollout to 2 or more"
        )
    cycle = max(1, per_generation * iterations // accumulate)
    if save_steps and (save_steps < 1 or save_steps % cycle):
        raise PipelineError(
            f"trl.save_steps: {save_steps:g} ends within a rollout, which is lost with an interruption; "
            f"set it to a multiple of {cycle} (updates_per_rollout)"
        )


def frozen_line(model: torch.nn.Module) -> str:
    """A line that tells how much of each part is trained."""
    parts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        parts[part_of_name(name)] = parts.get(part_of_name(name), 0) + parameter.numel() * parameter.requires_grad
    told = [f"{name} {f'{trained:,} trained' if trained else 'frozen'}" for name, trained in sorted(parts.items())]
    return f"parameters: {', '.join(told)}"


# during


@dataclass
class MetricGuards:
    """Reads a trainer's metrics step by step; each guard tells its line once."""

    tell: Callable[[str], object]
    show: Callable[[], str] = str
    """A raw prompt and completion, for the case that nothing is ever rewarded."""
    told: set[str] = field(default_factory=set)
    acted: bool = False
    """Whether a clip ever took a token's gradient away."""
    _last: dict[str, deque[float]] = field(default_factory=dict)
    _entropy: float | None = None
    """Of the first step."""

    def see(self, metrics: Mapping[str, Any]) -> None:
        """One row of a trainer's log, under TRL's names."""
        known = {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}
        for name, value in known.items():
            self._last.setdefault(name, deque(maxlen=LOOK)).append(value)
        self.acted |= known.get("clip_ratio/region_mean", 0.0) > 0
        for name, line in self._warning_lines(known):
            if name not in self.told:
                self.told.add(name)
                self.tell(f"guard: {line}")

    def _recent_mean(self, name: str) -> float | None:
        """Over the last steps; None before there are enough."""
        last = self._last.get(name, ())
        return fmean(last) if len(last) == LOOK else None

    def _warning_lines(self, now: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        mean, best = self._recent_mean, max(self._last.get("reward", [0.0]), default=0.0)
        if "reward" in now and len(self._last["reward"]) == LOOK and best == min(self._last["reward"]) == 0:
            yield "zero", f"no completion got any reward in {LOOK} steps; is this what it should say? {self.show()}"
        elif (same := mean("frac_reward_zero_std")) is not None and same >= SAME:
            yield (
                "same",
                (
                    f"in {same:.0%} of the groups all completions got the same reward, and taught nothing; "
                    f"raise temperature or group, {'set resample, ' if FLAT not in self._last else ''}or end this stage sooner"
                ),
            )
        if (cut := mean("completions/clipped_ratio")) is not None and cut > CUT:
            yield "cut", f"{cut:.0%} of the completions were cut off; raise max_completion, or reward shorter ones (overlong)"
        if (gap := mean("sampling/sampling_logp_difference/mean")) is not None and gap > GAP:
            yield "gap", f"vLLM's log-probabilities differ from the trainer's by {gap:.2f} in the mean; images or dtype differ"
        if (masked := mean(MASKED)) is not None and masked > LOST:
            yield (
                "masked",
                f"{masked:.0%} of what vLLM made is masked, because its probabilities differ from the trainer's, and teaches nothing; "
                "set trl.vllm_importance_sampling_mode to token_truncate, or lower max_completion",
            )
        if (flat := mean(FLAT)) is not None and flat >= OFTEN and (drawn := mean(AGAIN)) is not None:
            yield (
                "again",
                f"{flat:.0%} of the groups, as first drawn, had one reward for all completions; drawing others makes a rollout "
                f"{1 + drawn:.1f} times as long; raise temperature or group, or take harder prompts",
            )
        if (filled := mean(FILLED)) is not None and filled < UNFILLED:
            yield "unfilled", f"the completions of a step fill {filled:.0%} of token_budget, so steps differ in size; lower it"
        if (taken := mean(TAKEN)) is not None and taken < UNUSED:
            yield "unused", f"token_budget takes {taken:.0%} of the completions, the rest teach nothing; raise it, or lower accumulate"
        yield from self._about_entropy(now)
        norms = self._last.get("grad_norm", ())
        if len(norms) == LOOK and not any(norms):
            yield "still", "the gradient was 0 for 10 steps: nothing is learned; look at the rewards, the labels and what is frozen"
        if not all(math.isfinite(now.get(name, 0.0)) for name in ("loss", "grad_norm")):
            yield "wild", "loss or gradient is no number; lower learning_rate, or use bfloat16 instead of float16"

    def _about_entropy(self, now: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        """Of completions alone: a student that learns a text by heart is to be sure of it."""
        if "completions/mean_length" not in self._last:
            return
        self._entropy = now.get("entropy") if self._entropy is None else self._entropy
        if (entropy := self._recent_mean("entropy")) is None or self._entropy is None:
            return
        if entropy < LOW:
            yield "narrow", f"entropy fell to {entropy:.3f} nats: it says one thing only; raise clip.high or temperature, or end sooner"
        elif entropy > max(1.0, HIGH * self._entropy):
            yield "wide", f"entropy rose from {self._entropy:.2f} to {entropy:.2f} nats; set beta (0.001 to 0.05), or lower learning_rate"

    def over(self, *, low: float, high: float, live: bool, furthest: tuple[float, float] | None = None) -> None:
        """Tell, where a clip was asked for, that it never acted."""
        if self.acted:
            return
        why = "every completion was used for one step only" if not live else "the policy moved too little"
        if furthest is not None and live:
            why = f"the ratio stayed within {furthest[0]:.3f} and {furthest[1]:.3f}"
        self.tell(
            f"guard: no clip ever acted ({1 - low:g} to {1 + high:g}): {why}; "
            + ("raise learning_rate or updates_per_rollout, or narrow clip" if live else "set updates_per_rollout to 2 or more")
        )


def check_finite(parameters: Iterable[tuple[str, torch.Tensor]], *, step: int) -> None:
    """Raises PipelineError where a trained parameter holds what is no number: nothing that is learned from there on is worth saving."""
    named = [(name, parameter.detach()) for name, parameter in parameters if parameter.requires_grad]
    if not named:
        return
    held = [getattr(parameter, "to_local", lambda parameter=parameter: parameter)() for _, parameter in named]  # its own part, under FSDP
    sound = torch.stack([torch.isfinite(part).all().to(held[0].device) for part in held])
    if not bool(sound.all()):
        name = named[int((~sound).nonzero()[0])][0]
        raise PipelineError(f"step {step}: the parameter {name!r} is no number any more; {CALMER}")


class Guarding(TrainerCallback):  # type: ignore[misc]
    """Has a Watch see what a trainer logs, and stops at parameters that are no numbers, before they are saved."""

    def __init__(self, watch: MetricGuards) -> None:
        self.watch = watch

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """A row of metrics."""
        if "train_runtime" not in logs:
            self.watch.see(logs)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Not saved yet."""
        check_finite(model.named_parameters(), step=state.global_step)
