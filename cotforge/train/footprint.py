"""What a stage will need, before it runs: memory, disk and time, from sizes, numbers and the longest extent."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cotforge.plan import Dpo, Grpo, Sft, Student
from cotforge.train.data.extent import Extent
from cotforge.train.evaluation.batch_size import BATCH
from cotforge.train.students.precision import Precision
from cotforge.train.students.shape import ModelShape, Stack

CHECKPOINTS = 3
"""On the disk at once: two that are kept and one that is being written."""
TILE = (4096, 32768)
"""Tokens and words of the logits that TRL's fused head holds at once (trl 1.16, kernels/chunked_logprob.py)."""
MOMENTS = {"adafactor": 0.0, "sgd": 0.0, "adamw_8bit": 2.0, "adamw_bnb_8bit": 2.0, "paged_adamw_8bit": 2.0}
"""Bytes of optimizer state per trained weight where that is not two numbers of its own type (AdamW)."""
SLACK = 1.3
"""What the backward pass takes for a while, and an allocator cannot use again, on top of activations: measured on a CPU by
`benchmarks.train.estimates`, where estimates without it were 0.79 and 0.81 of what students of 6 and 24 million weights took."""
SHARE = 0.4
"""Of the rate of large matrix products, what training usually comes to on a GPU; small students come to less."""


@dataclass(frozen=True)
class Footprint:
    """Bytes, and floating-point operations."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """Of the largest batch."""
    summed: bool
    """Whether gradients stay while a forward pass goes on (accumulation)."""
    disk: float
    flops: float
    """Of the whole stage, rollouts not counted."""

    @property
    def memory(self) -> float:
        """The peak, without what the process holds before it loads a student."""
        on_top = self.activations + self.gradients if self.summed else max(self.activations, self.gradients)
        return self.weights + self.optimizer + on_top


def stage_footprint(
    shape: ModelShape, spec: Student, stage: Sft | Grpo | Dpo, extent: Extent, numbers: Precision, *, checkpointing: bool, steps: int
) -> Footprint:
    """What a stage needs on one device. `checkpointing` says whether activations are computed again in the backward pass."""
    trained = shape.trained(spec.freeze, spec.lora)
    learned, whole = sum(trained.values()), sum(shape.parameters.values())
    bytes_trained = 4 if spec.lora is not None else numbers.trained.itemsize
    below = 0.55 if spec.qlora else numbers.frozen.itemsize  # four bits and their scales
    stays = whole if spec.lora is not None else whole - learned
    weights = learned * bytes_trained + stays * below
    weights += whole * numbers.trained.itemsize if _has_reference(stage, spec) else 0
    rows = stage.batch * (2 if isinstance(stage, Dpo) else 1)
    longest = extent.longest + (stage.longest_answer or 0)
    tokens = rows * longest
    activations = _activation_bytes(shape, spec, numbers, tokens, rows * extent.patches, checkpointing=checkpointing)
    if stage.longest_answer is not None:  # its completions come first, and leave nothing in memory
        sampled = tokens * stage.accumulate if isinstance(stage, Grpo) else BATCH * longest
        activations = max(activations, 2 * shape.text.layers * shape.text.attended * numbers.computed.itemsize * sampled)
    optimizer = learned * MOMENTS.get(str(stage.trl.get("optim")), 2.0 * bytes_trained)
    left = (
        whole * numbers.trained.itemsize if spec.lora is not None else learned * numbers.trained.itemsize + stays * numbers.frozen.itemsize
    )
    saved = learned * bytes_trained if spec.lora is not None else left
    return Footprint(
        weights, learned * bytes_trained, optimizer, activations, stage.accumulate > 1, left + CHECKPOINTS * (saved + optimizer),
        _lesson_flops(shape, trained, extent, checkpointing=checkpointing) * steps * rows * stage.accumulate,
    )  # fmt: skip


def _has_reference(stage: Sft | Grpo | Dpo, spec: Student) -> bool:
    """Whether a second copy of the weights is kept to measure the distance to."""
    return spec.lora is None and (isinstance(stage, Dpo) or (isinstance(stage, Grpo) and bool(stage.beta)))


def _activation_bytes(shape: ModelShape, spec: Student, numbers: Precision, tokens: int, patches: int, *, checkpointing: bool) -> float:
    """Bytes that a forward pass leaves for the backward pass."""
    size, wide = numbers.computed.itemsize, 4 if numbers.autocast else numbers.trained.itemsize
    adapted = spec.lora is not None
    found = 0.0
    stacks = [(shape.text, tokens, "language"), *([(shape.vision, patches, "vision")] if shape.vision else [])]
    reached = [name for name in ("vision", "projector", "language") if name not in spec.freeze]
    for stack, count, name in stacks:
        if name == "vision" and "vision" not in reached:
            continue  # nothing below it is trained
        layer = _layer_bytes(stack, size, wide, trained=name in reached and not adapted, adapted=adapted and name in reached)
        kept = stack.layers * stack.width * wide + layer if checkpointing else stack.layers * layer
        found += count * kept
    text = shape.text
    found += tokens * 5 * text.width * wide  # embeddings with pictures put in, the last norm, what goes into the head
    found += 3 * min(tokens, TILE[0]) * min(shape.vocabulary, TILE[1]) * 4
    casts = sum(shape.parameters[name] for name in reached) * 2 if numbers.autocast and numbers.trained.itemsize == 4 and not adapted else 0
    return SLACK * found + casts


def _layer_bytes(stack: Stack, size: int, wide: int, *, trained: bool, adapted: bool) -> float:
    """Bytes for one token in one layer. `wide` is the size of a number between layers, `size` that of one within a matrix product.

    Kept are: what a norm gets (`wide`), its scaled form where its weight is trained; inputs of trained linear layers; queries, keys,
    values and what attention says; what goes into, and comes out of, the activation. Counted on transformers 5.23's Qwen2 and CLIP.
    """
    norms = 2 * stack.width * wide * (2 if trained and stack.gated else 1)
    inputs = 2 * stack.width * size if trained or adapted else 0
    attention = 4 * stack.attended * size
    inner = (4 if trained or adapted else 3) if stack.gated else (3 if trained or adapted else 2)
    return float(norms + inputs + attention + inner * stack.inner * size)


def _lesson_flops(shape: ModelShape, trained: Mapping[str, int], extent: Extent, *, checkpointing: bool) -> float:
    """Of one lesson: two for each weight forward, two to pass gradients on, two for the weights' own (arXiv 2001.08361, section 2.1)."""
    found = 0.0
    for name, weights in shape.parameters.items():
        count = extent.patches if name == "vision" else extent.mean
        learns = trained.get(name, 0) > 0
        passes = 2 + (2 if learns or name == "language" else 0) + (2 if learns else 0) + (2 if checkpointing and learns else 0)
        found += passes * weights * count
    return found


@functools.cache
def matrix_rate(device: torch.device, dtype: torch.dtype, *, seconds: float = 0.3) -> float:
    """Floating-point operations per second of large matrix products on a device, measured once in a process."""
    side = 4096 if device.type == "cuda" else 512
    one = torch.randn(side, side, device=device, dtype=dtype)

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    one @ one
    wait()
    begun, times = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        for _ in range(4):
            one @ one
        wait()
        times += 4
    return times * 2 * side**3 / spent


def footprint_line(found: Footprint, *, batch: str, rate: float | None) -> str:
    """For a person; `rate` is the device's, None where time cannot be told."""
    parts = f"weights {_gb_text(found.weights)}, optimizer {_gb_text(found.optimizer)}, gradients {_gb_text(found.gradients)}"
    told = f"estimate: memory {_gb_text(found.memory)} ({parts}, {batch} {_gb_text(found.activations)}), disk {_gb_text(found.disk)}"
    if rate is None:
        return f"{told}, time unknown: it depends on how long completions get"
    return f"{told}, time {_time_text(found.flops / (rate * SHARE) / 3600)} at {SHARE:.0%} of the {rate / 1e12:,.2g} TFLOP/s of this device"


def _gb_text(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def _time_text(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{round(hours * 60)} min" if hours >= 1 / 30 else f"{max(1, round(hours * 3600))} s"


def room_on(device: torch.device) -> float | None:
    """Bytes that are free on a device now, None where that cannot be told."""
    if device.type == "cuda":
        free: Any = torch.cuda.mem_get_info(device)[0]
        return float(free)
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            told = dict(line.split(":") for line in file)
        return float(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
