"""Whether each process holds the whole student or a part of it (FSDP2, ZeRO): chosen by memory, or told by accelerate and checked."""

import json
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cotforge.errors import PipelineError
from cotforge.plan import Dpo, Grpo, Plan, Sft

CHOOSE = "COTFORGE_CHOOSES_SHARDING"
"""The environment variable by which a process of our own knows that nobody has chosen yet."""
ROOM = 0.8
"""Share of a GPU's memory that weights, gradients and optimizer may take; the rest is for activations."""
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}
"""What `accelerate launch` sets for a configuration with `fsdp_version: 2`."""


def memory_needed(plan: Plan, begin: Path, *, gpu: bool = True) -> float | None:
    """Bytes on a GPU that holds the student in `begin` whole: weights, gradients and optimizer of the largest stage, without activations.

    None where the student's sizes cannot be told.
    """
    from cotforge.train.data.extent import Extent
    from cotforge.train.footprint import stage_footprint
    from cotforge.train.students.precision import choose_precision
    from cotforge.train.students.shape import shape_of

    shape = shape_of(begin)
    stages = [stage for stage in plan.expanded() if isinstance(stage, Sft | Grpo | Dpo)]
    if shape is None or not stages:
        return None
    empty = Extent(count=0, longest=0, mean=0, patches=0)
    held = [(stage, stage.student_of(plan.student)) for stage in stages]
    found = (
        stage_footprint(shape, student, stage, empty, choose_precision(student, stage.trl, gpu=gpu), checkpointing=True, steps=0)
        for stage, student in held
    )
    return max(each.weights + each.gradients + each.optimizer for each in found)


def decide_sharding(needed: float, held: float, processes: int) -> tuple[bool, str]:
    """Whether a student that needs so many bytes is split over processes on GPUs that hold so many each; and the line that says why."""
    room, want = ROOM * held, f"the student, its gradients and optimizer need {_gb_text(needed)}, and a GPU has {_gb_text(held)}"
    if needed <= room:
        return False, f"{want}: each process holds them whole (DDP)"
    if needed <= room * processes:
        return True, f"{want}: they are split over {processes} processes (FSDP2)"
    return True, f"{want}: they are split over {processes} processes (FSDP2), which may not be enough; freeze more, or use lora"


def _gb_text(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"


def choose_sharding(plan: Plan, needed: float | None, held: float, environment: MutableMapping[str, str], *, best: bool) -> str:
    """Set up FSDP2 in a process's environment where the student does not fit one GPU; a line that says which and why.

    `best` says that `eval.best` is set, which wants whole students. Raises PipelineError where it cannot be had.
    """
    if needed is None:
        return "how much memory the student needs cannot be told: each process holds it whole (DDP)"
    split, line = decide_sharding(needed, held, int(environment["WORLD_SIZE"]))
    if not split:
        return line
    if plan.student.qlora:
        raise PipelineError(f"train.student.qlora: {line}; 4-bit weights cannot be split, take --gpus with GPUs of more memory")
    if best:
        raise PipelineError(f"eval.best: {line}; a student that is split is tried after a stage only, leave best out")
    environment.update(FSDP2)
    return line


def asked_for(environment: Mapping[str, str]) -> str:
    """What accelerate's configuration splits the student by: FSDP, DeepSpeed, or nothing."""
    for name, variable in (("FSDP", "ACCELERATE_USE_FSDP"), ("DeepSpeed", "ACCELERATE_USE_DEEPSPEED")):
        if environment.get(variable, "").lower() == "true":
            return name
    return ""


def check_sharding(environment: Mapping[str, str]) -> None:
    """Raises PipelineError where accelerate was told to split the student in a way in which it would not be trained or saved whole."""
    asked = asked_for(environment)
    if asked == "FSDP" and environment.get("FSDP_VERSION", "1") != "2":
        raise PipelineError("accelerate: FSDP of version 1 saves no student here; set fsdp_version: 2 in its configuration")
    if asked == "DeepSpeed":
        from importlib.util import find_spec

        if zero_stage(environment) == 3:
            raise PipelineError("accelerate: ZeRO-3 saves no student here; set zero_stage: 2, or take FSDP with fsdp_version: 2")
        if find_spec("deepspeed") is None:
            raise PipelineError("accelerate: its configuration asks for DeepSpeed, which is not installed; pip install deepspeed")


def zero_stage(environment: Mapping[str, str]) -> int:
    """The stage of ZeRO in accelerate's configuration, or in DeepSpeed's own file that it names."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        file = Path(environment["ACCELERATE_DEEPSPEED_CONFIG_FILE"])
        return int(json.loads(file.read_text(encoding="utf-8"))["zero_optimization"]["stage"])
    return int(environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"))


def layer_classes(model: Any) -> list[str]:
    """The classes of a model's repeated layers, outermost alone: what FSDP2 splits and gathers one by one."""
    from torch.nn import ModuleList

    lists = [name for name, module in model.named_modules() if isinstance(module, ModuleList) and len(module)]
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    return sorted({type(layer).__name__ for name in outer for layer in model.get_submodule(name)})


def split_by_layers(plugin: Any, model: Any) -> None:
    """Have accelerate's FSDP split a model layer by layer where its configuration names no layers.

    By itself it takes `_no_split_modules`, which for some families names classes that the model has not.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        plugin.transformer_cls_names_to_wrap = layer_classes(model)


def gather_head(model: Any) -> None:
    """Have FSDP2 gather the head of a model before each forward pass, so that its gradient is that of all processes.

    TRL 1.16 multiplies by the head's weight without calling the head. FSDP2 then never gathers it, and TRL does by `full_tensor()`, whose
    gradient is that of one process alone.
    """
    from torch.distributed.fsdp import FSDPModule

    head = model.get_output_embeddings()
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if isinstance(head, FSDPModule):
        inner.register_forward_pre_hook(lambda *_: head.unshard())
