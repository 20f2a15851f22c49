"""The estimate of every stage that is still to be done, a line each, from the student's configuration and a sample of the lessons."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from math import ceil
from typing import Any

import torch

from cotforge.errors import PipelineError
from cotforge.plan import Dpo, Grpo, Sft, Stage, TrlStage
from cotforge.train.data.extent import Extent, extent_of
from cotforge.train.footprint import Footprint, footprint_line, matrix_rate, room_on, stage_footprint
from cotforge.train.stage_run import TrainingRun
from cotforge.train.students import processors
from cotforge.train.students.precision import choose_precision
from cotforge.train.students.shape import shape_of

TEXTS: dict[type[TrlStage], tuple[str, ...]] = {Sft: ("completion",), Grpo: (), Dpo: ("chosen", "rejected")}
"""Columns of what a kind of stage learns by heart; a kind that is not here is not estimated."""


def stage_estimates(training: TrainingRun, stages: Iterable[Stage], *, processes: int = 1) -> Iterator[str]:
    """A line for each stage whose needs can be told; nothing where the student's cannot."""
    shape = shape_of(training.begin)
    known = [stage for stage in stages if isinstance(stage, TrlStage) and type(stage) in TEXTS]
    if shape is None or not known:
        return
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    processor = _find_processor(training)
    read: Callable[[str, tuple[str, ...]], Extent | None] = cache(
        lambda source, texts: _lessons_extent(training, source, texts, processor, shape.patch)
    )
    for stage in known:
        assert isinstance(stage, (Sft, Grpo, Dpo))
        extent = read(stage.learns_from or "", () if stage.longest_answer is not None else TEXTS[type(stage)])
        if extent is None:
            continue
        spec = stage.student_of(training.plan.student)
        numbers = choose_precision(spec, stage.trl, gpu=gpu)
        checkpointing = bool(stage.trl.get("activation_checkpointing", stage.trl.get("gradient_checkpointing", gpu)))
        steps = _count_steps(stage, extent, processes)
        extent = replace(extent, longest=min(extent.longest, getattr(stage, "longest", None) or extent.longest))
        found = stage_footprint(shape, spec, stage, extent, numbers, checkpointing=checkpointing, steps=steps)
        beside = _prepared_bytes(training, stage, extent, numbers.computed.itemsize) + _pair_bytes(training, stage, extent.count)
        found = replace(found, disk=found.disk + beside)
        rate = None if stage.longest_answer else matrix_rate(device, numbers.computed)
        told = footprint_line(found, batch=f"{stage.batch:,} x {extent.longest:,} tokens", rate=rate)
        yield f"{stage.name}: {told}{_too_much(found, device)}"


def _find_processor(training: TrainingRun) -> Any:
    processor = processors.load_processor(training.begin)
    if training.plan.student.max_pixels is not None:
        processors.bound_pixels(processor, training.plan.student.max_pixels)
    return processor


def _lessons_extent(training: TrainingRun, source: str, texts: tuple[str, ...], processor: Any, patch: int) -> Extent | None:
    lessons = training.source() if source == "source" else training.lessons()
    try:
        return extent_of(lessons.pairs() if source == "pairs" else lessons, processor, texts=texts, patch=patch)
    except (PipelineError, OSError, KeyError):  # which the stage itself tells of
        return None


def _count_steps(stage: TrlStage, extent: Extent, processes: int) -> int:
    rows = stage.batch * stage.accumulate * processes / (stage.group if isinstance(stage, Grpo) else 1)
    return stage.steps or ceil((stage.epochs or 1.0) * stage.learned_of(extent.count) / rows)


def _prepared_bytes(training: TrainingRun, stage: TrlStage, extent: Extent, size: int) -> float:
    """Bytes of the pictures that sft keeps, where they are not too many."""
    whole = extent.pictures / 4 * size * extent.count
    return whole if isinstance(stage, Sft) and whole <= training.plan.cache_gb * 1e9 else 0.0


def _pair_bytes(training: TrainingRun, stage: TrlStage, rows: int) -> float:
    """Bytes of the pictures of a student's own pairs, once in their file and once more as `datasets` keeps them, at most."""
    if not isinstance(stage, Dpo) or not stage.makes_rollouts:
        return 0.0
    lessons = training.learned_by(stage)
    assert lessons is not None
    share = min(1.0, (stage.rollouts.at_most or rows) / max(1, rows)) * stage.rollouts.pairs_per_sample
    return 2 * share * sum(file.stat().st_size for file in lessons.files)


def _too_much(found: Footprint, device: torch.device) -> str:
    free = room_on(device)
    return "" if free is None or found.memory <= free else f"; more than the {free / 1e9:.1f} GB that are free here"
