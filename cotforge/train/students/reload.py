"""After a stage: what was saved is loaded again. Its weights must be those in memory, bit by bit, and its logits nearly the same."""

import shutil
from collections.abc import Mapping
from typing import Any

import torch

from cotforge.errors import PipelineError, in_words
from cotforge.train import ranks
from cotforge.train.data.lesson_records import processed_prompt
from cotforge.train.data.lessons import Lessons
from cotforge.train.stage_run import StageRun
from cotforge.train.students import loaded_student
from cotforge.train.students.precision import Precision

TRIED = 8
"""Lessons, at most, that are tried for one whose pictures can be read."""


def check_saved(pupil: loaded_student.Pupil, work: StageRun, lessons: Lessons) -> None:
    """Compare what a stage left with what it trained, and remove its checkpoints once that is over. Its trainer is gone before.

    Raises PipelineError where a weight differs; the weights and the last checkpoint then stay, so that nothing is trained again. What
    else it finds it tells: logits differ where adapters were trained over rounded weights and merged into whole ones.
    """
    loaded_student.release_memory()
    ranks.from_first(lambda: _check_reloaded(pupil, work, lessons))
    if ranks.is_first():
        shutil.rmtree(work.out / "checkpoints", ignore_errors=True)


def _check_reloaded(pupil: loaded_student.Pupil, work: StageRun, lessons: Lessons) -> None:
    spec = work.plan.student
    again = loaded_student.for_inference(spec, work.weights, dtype=pupil.precision.trained)
    if differ := differing_weights(pupil.saved, loaded_student.weight_digests(again.model.state_dict())):
        raise PipelineError(
            f"{work.weights}: the weight {differ[0]!r} ({len(differ):,} of {len(pupil.saved):,}) is another once it is loaded than it was "
            f"in memory; it is kept with its last checkpoint. Is the disk sound? --from {work.stage.name} trains the stage anew"
        )
    try:
        found = _logit_difference(pupil, again, lessons)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as fault:
        work.record.say(f"guard: {work.weights}: its logits could not be compared: {in_words(fault)}")
        return
    if found is not None and not found <= logit_tolerance(pupil.precision, quantised=spec.qlora):
        work.record.say(
            f"guard: {work.weights}: once loaded, its logits differ by {found:.2g} of the largest from what they were in training; "
            "its weights are the same, so look at its processor and config.json, or at the rounding of what lies below adapters"
        )


def differing_weights(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names of weights that are not the same in both, by their digests; sorted."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def logit_tolerance(numbers: Precision, *, quantised: bool) -> float:
    """How far logits may differ, as a share of the largest: float32's noise, bfloat16's rounding, or that of four bits."""
    if quantised:
        return 0.3
    return 1e-3 if numbers.trained == numbers.frozen == torch.float32 else 5e-2


def _logit_difference(pupil: loaded_student.Pupil, again: loaded_student.Pupil, lessons: Lessons) -> float | None:
    """The largest difference of a logit as a share of the largest logit; None where no lesson can be shown, or no process has it whole."""
    if pupil.is_sharded:
        return None
    rows = lessons.seen(["images", "prompt"])
    for place in range(min(TRIED, len(rows))):
        try:
            row = rows[place]
            shown = [processed_prompt(row, each.processor)[0] for each in (pupil, again)]
        except (OSError, ValueError, TypeError):
            continue
        before, after = (forward_logits(each, inputs) for each, inputs in zip((pupil, again), shown, strict=True))
        if before.shape != after.shape:
            return float("inf")
        return float((before - after).abs().max() / before.abs().max().clamp_min(1e-30))
    return None


def forward_logits(pupil: loaded_student.Pupil, inputs: Mapping[str, Any]) -> torch.Tensor:
    """Of a student's own forward pass in its weights' type: without autocast, and without what a trainer put in the place of `forward`."""
    model = pupil.model.eval()
    if not pupil.spec.qlora and pupil.precision.trained == torch.float32:
        model = model.float()  # frozen parts too; nobody trains on
    kind = next(weight.dtype for weight in model.parameters() if weight.is_floating_point())
    placed = {
        name: value.to(model.device, kind if value.is_floating_point() else None) for name, value in inputs.items() if hasattr(value, "to")
    }
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        found: torch.Tensor = type(model).forward(model, **placed).logits
    return found.float().cpu()
