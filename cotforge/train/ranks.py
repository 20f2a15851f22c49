"""Several processes of one run, as torchrun and accelerate start them: what one of them does for all."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from cotforge.errors import PipelineError
from cotforge.train import sharding

T = TypeVar("T")
PATIENCE = timedelta(days=2)
"""For which processes wait while one works for all (ours): long enough to try a student. One that dies, its launcher tells of at once."""


def process_count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_distributed() -> bool:
    """Whether this process is one of several."""
    return process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes and tells."""
    return process_number() == 0


def process_number() -> int:
    """Of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def share_of(items: Sequence[T], process: int | None = None) -> list[T]:
    """Those of the items that a process works on (this one, unless another is named): every n-th, so that sorted ones weigh alike."""
    return list(items[process_number() if process is None else process :: process_count()])


def join_processes() -> None:
    """Meet the others, where there are any."""
    if is_distributed():
        import torch
        from accelerate import DistributedType, PartialState

        sharding.check_sharding(os.environ)
        state = PartialState(cpu=not torch.cuda.is_available())
        if state.distributed_type == DistributedType.MULTI_CPU and (ignored := sharding.asked_for(os.environ)):
            leave_processes()
            raise PipelineError(f"accelerate: {ignored} needs GPUs, and is ignored without them; take a configuration without it")


def leave_processes() -> None:
    """Part from the others, where there are any: threads of the group that outlive it can abort the process at its end."""
    if is_distributed():
        import torch.distributed as group

        if group.is_initialized():
            group.barrier()
            group.destroy_process_group()


@cache
def _waiting_group() -> Any:
    """The processes as a group that talks over the network, not over GPUs, and has patience."""
    import torch.distributed as group

    return group.new_group(backend="gloo", timeout=PATIENCE)


def any_process(told: bool) -> bool:
    """Whether any of the processes is told; all of them ask at the same time."""
    if not is_distributed():
        return told
    import torch.distributed as group

    answers: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(answers, told, group=_waiting_group())
    return any(answers)


def gather_processes(find: Callable[[], T]) -> list[T]:
    """What each process finds, in the order of their numbers, for all. Raises in all of them what one of them raised."""
    if not is_distributed():
        return [find()]
    import torch.distributed as group

    own: tuple[T | None, Exception | None]
    try:
        own = (find(), None)
    except Exception as fault:
        own = (None, fault)
    answers: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(answers, own, group=_waiting_group())
    for _, raised in answers:
        if raised is not None:
            raise raised
    return [found for found, _ in answers]


def from_first(find: Callable[[], T]) -> T:
    """What the first process finds, or raises, for all."""
    if not is_distributed():
        return find()
    import torch.distributed as group

    held: list[Any] = [None, None]
    if is_first():
        try:
            held[0] = find()
        except Exception as fault:
            held[1] = fault
    group.broadcast_object_list(held, src=0, group=_waiting_group())
    if held[1] is not None:
        raise held[1]
    found: T = held[0]
    return found
