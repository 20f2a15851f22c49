"""Several processes of one run, as torchrun and accelerate start them: what one of them does for all."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def several() -> bool:
    """Whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def first() -> bool:
    """Whether this is the process that writes and tells."""
    return int(os.environ.get("RANK", "0")) == 0


def join() -> None:
    """Meet the others, where there are any."""
    if several():
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available())


def anyone(told: bool) -> bool:
    """Whether any of the processes is told; all of them ask at the same time."""
    if not several():
        return told
    import torch.distributed as group

    answers: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(answers, told)
    return any(answers)


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
    group.broadcast_object_list(held, src=0)
    if held[1] is not None:
        raise held[1]
    found: T = held[0]
    return found
