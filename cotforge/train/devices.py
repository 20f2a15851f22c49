"""Which GPUs `cotforge train` uses: all that are visible, with a process on each, unless it is told otherwise."""

import re
from collections.abc import Mapping, Sequence

from cotforge.errors import PipelineError

VISIBLE = "CUDA_VISIBLE_DEVICES"


def is_launched(environment: Mapping[str, str]) -> bool:
    """Whether a launcher (torchrun, accelerate, or this command) started this process as one of a group."""
    return "LOCAL_RANK" in environment


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs that torch sees from here, as CUDA_VISIBLE_DEVICES names them; looked for only where a launcher has chosen none."""
    if is_launched(environment) or environment.get(VISIBLE, "0").strip() in ("", "-1"):
        return ()
    import torch

    return gpu_names(torch.cuda.device_count(), environment)


def gpu_names(count: int, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The first `count` GPUs as CUDA_VISIBLE_DEVICES names them."""
    given = environment.get(VISIBLE)
    if given is None:
        return tuple(map(str, range(count)))
    return tuple(name.strip() for name in given.split(","))[:count]


def parse_gpus(asked: str | None) -> tuple[int, ...] | None:
    """The numbers in `--gpus`; None is all. Raises PipelineError where it holds anything else, or a number twice."""
    if asked is None or asked.strip() == "all":
        return None
    text = asked.replace(" ", "")
    if not re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6})*", text):
        raise PipelineError(f"--gpus: {asked!r} is no list of GPU numbers; write 0, or 0,2")
    numbers = tuple(map(int, text.split(",")))
    if len(set(numbers)) < len(numbers):
        raise PipelineError(f"--gpus: {asked!r} names a GPU twice; write each number once")
    return numbers


def choose_gpus(visible: Sequence[str], asked: tuple[int, ...] | None, environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """The GPUs that get a process of their own each, as CUDA_VISIBLE_DEVICES names them; None where this process trains by itself.

    `asked` are numbers among `visible_gpus`, as `parse_gpus` gives them. Raises PipelineError where one is not there, or where a launcher
    has chosen the GPUs already.
    """
    if is_launched(environment):
        if asked is not None:
            raise PipelineError("--gpus: the launcher that started this process has chosen its GPU; leave --gpus out")
        return None
    for number in asked or ():
        if number >= len(visible):
            raise PipelineError(f"--gpus: there is no GPU {number}; {_gpus_line(visible, environment)}")
    chosen = tuple(visible) if asked is None else tuple(visible[number] for number in asked)
    return chosen if len(visible) > 1 else None


def _gpus_line(visible: Sequence[str], environment: Mapping[str, str]) -> str:
    where = f"{VISIBLE}={environment[VISIBLE]} leaves" if VISIBLE in environment else "torch sees"
    if not visible:
        return f"{where} none; leave --gpus out to train on the CPU"
    return f"{where} {len(visible)}, numbered from 0"
