"""Fields of TRL's configurations and trainers that a stage sets: what is wrong with them, and what each part's learning rate is."""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from cotforge.errors import CotforgeError, PipelineError, in_words
from cotforge.plan import Dpo, Rates, Stage, Student, TrlStage
from cotforge.train.students.loaded_student import part_of_name


def make_config(kind: Any, stage: TrlStage, fields: dict[str, Any]) -> Any:
    """TRL's configuration of that kind. Raises PipelineError where it does not take what stands under `trl:`."""
    where = f"train.stages: {stage.name!r}: trl"
    if lacking := lacking_parts(stage.trl, gpu=torch.cuda.is_available()):
        raise PipelineError(f"{where}.{lacking}")
    known = {field.name for field in dataclasses.fields(kind)}
    if strange := [name for name in stage.trl if name not in known]:
        near = difflib.get_close_matches(strange[0], known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PipelineError(f"{where}: {kind.__name__} has no field {strange[0]!r}{hint}")
    try:
        made = kind(**fields)
    except (ValueError, TypeError) as fault:
        if not stage.trl:
            raise
        raise PipelineError(f"{where}: {in_words(fault)}") from fault
    if made.n_gpu > 1:  # where TRL's trainers raise ValueError
        raise PipelineError(f"one process sees {made.n_gpu} GPUs, and trains on one: use --gpus, or set CUDA_VISIBLE_DEVICES")
    return made


def lacking_parts(fields: Mapping[str, Any], *, gpu: bool) -> str | None:
    """What fields of TRL's need and this machine does not have."""
    optimizer = str(fields.get("optim", ""))
    if fields.get("activation_offloading") and not gpu:
        return "activation_offloading: needs a GPU; leave it out"
    if fields.get("use_liger_kernel") and (not gpu or find_spec("liger_kernel") is None):
        return "use_liger_kernel: needs a GPU and liger-kernel; leave it out, or pip install liger-kernel"
    if any(word in optimizer for word in ("bnb", "8bit", "paged")) and find_spec("bitsandbytes") is None:
        return f"optim: {optimizer!r} needs bitsandbytes; leave it out, or pip install bitsandbytes"
    return None


@contextmanager
def explain_fields(stage: TrlStage, trainer: Any = None) -> Iterator[None]:
    """Has what TRL says, before its first step, of fields under `trl:` be one line. Raises PipelineError."""
    try:
        yield
    except (ValueError, TypeError, ImportError, NotImplementedError, AttributeError) as fault:
        if isinstance(fault, CotforgeError) or not stage.trl or (trainer is not None and trainer.state.global_step > trainer.begun):
            raise
        said = f"{type(fault).__name__}: {in_words(fault)}"
        names = ", ".join(stage.trl)
        raise PipelineError(f"train.stages: {stage.name!r}: trl: training does not begin with {names}: {said}") from fault


def rate_of(stage: Stage, otherwise: float) -> Callable[[str], float] | None:
    """The learning rate of a weight by its name, where parts have their own; `otherwise` is that of parts without."""
    rates = getattr(stage, "learning_rate", None)
    if not isinstance(rates, Rates):
        return None
    return lambda name: getattr(rates, part_of_name(name)) or otherwise


def to_fit(stage: TrlStage, student: Student) -> str:
    """What to set where memory is short."""
    told = [f"set batch: {stage.batch // 2} and accumulate: {stage.accumulate * 2}, which is the same step"] if stage.batch > 1 else []
    told += [f"or lower {name}" for name in ("longest", "max_completion") if hasattr(stage, name)]
    told += ["or lower rollouts.max_completion"] if isinstance(stage, Dpo) and stage.makes_rollouts else []
    told += ["or lower train.student.max_pixels", *(["or take lora"] if student.lora is None else [])]
    return f"{', '.join(told)}; then run the same command again"
