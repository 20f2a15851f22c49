"""Several processes of one run, as torchrun and accelerate start them: what one of them does for all."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cotforge.errors import PipelineError

T = TypeVar("T")
PATIENCE = timedelta(days=2)
"""For which processes wait while one works for all (ours): long enough to try a student. One that dies, its launcher tells of at once."""


def processes() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def several() -> bool:
    """Whether this process is one of several."""
    return processes() > 1


def first() -> bool:
    """Whether this is the process that writes and tells."""
    return number() == 0


def number() -> int:
    """Of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def share_of(items: Sequence[T], process: int | None = None) -> list[T]:
    """Those of the items that a process works on (this one, unless another is named): every n-th, so that sorted ones weigh alike."""
    return list(items[number() if process is None else process :: processes()])


def join() -> None:
    """Meet the others, where there are any."""
    if several():
        import torch
        from accelerate import PartialState

        check_sharding(gpu=torch.cuda.is_available())
        PartialState(cpu=not torch.cuda.is_available())


def leave() -> None:
    """Part from the others, where there are any: threads of the group that outlive it can abort the process at its end."""
    if several():
        import torch.distributed as group

        if group.is_initialized():
            group.barrier()
            group.destroy_process_group()


def check_sharding(*, gpu: bool) -> None:
    """Raises PipelineError where accelerate was told to spread the student over processes in a way in which it would not be saved whole."""
    told = os.environ
    if told.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        if not gpu:
            raise PipelineError("accelerate: FSDP needs GPUs, without them it is passed over in silence; take a configuration without it")
        if told.get("FSDP_VERSION", "1") != "2":
            raise PipelineError("accelerate: FSDP of version 1 saves no student here; set fsdp_version: 2 in its configuration")
    if told.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        if _zero_stage(told) == 3:
            raise PipelineError("accelerate: ZeRO-3 saves no student here; set zero_stage: 2, or take FSDP with fsdp_version: 2")
        from importlib.util import find_spec

        if find_spec("deepspeed") is None:
            raise PipelineError("accelerate: its configuration asks for DeepSpeed, which is not installed; pip install deepspeed")


def _zero_stage(told: Any) -> int:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads(Path(told["ACCELERATE_DEEPSPEED_CONFIG_FILE"]).read_text(encoding="utf-8"))["zero_optimization"]["stage"])
    return int(told.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"))


@cache
def _waiting() -> Any:
    """The processes as a group that talks over the network, not over GPUs, and has patience."""
    import torch.distributed as group

    return group.new_group(backend="gloo", timeout=PATIENCE)


def anyone(told: bool) -> bool:
    """Whether any of the processes is told; all of them ask at the same time."""
    if not several():
        return told
    import torch.distributed as group

    answers: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(answers, told, group=_waiting())
    return any(answers)


def every(find: Callable[[], T]) -> list[T]:
    """What each process finds, in the order of their numbers, for all. Raises in all of them what one of them raised."""
    if not several():
        return [find()]
    import torch.distributed as group

    own: tuple[T | None, Exception | None]
    try:
        own = (find(), None)
    except Exception as fault:
        own = (None, fault)
    answers: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(answers, own, group=_waiting())
    for _, raised in answers:
        if raised is not None:
            raise raised
    return [found for found, _ in answers]


def shared(find: Callable[[], T]) -> T:
    """What the first process finds, or raises, for all."""
    if not several():
        return find()
    import torch.distributed as group

    held: list[Any] = [None, None]
    if first():
        try:
            held[0] = find()
        except Exception as fault:
            held[1] = fault
    group.broadcast_object_list(held, src=0, group=_waiting())
    if held[1] is not None:
        raise held[1]
    found: T = held[0]
    return found
