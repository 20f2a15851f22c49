"""The demo's trainings, side by side as far as there are cores: each is a `cotforge train` in a process of its own."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cotforge.errors import CotforgeError, PipelineError
from cotforge.train.command import run_training

MOST = 4
"""Processes at once, however many cores there are: each holds half a gigabyte."""


class Training(NamedTuple):
    """A pipeline's `train:`, to be done in a run folder."""

    name: str
    """Stands before each of its lines."""
    pipeline: Path
    out: Path


def train_all(trainings: Sequence[Training], *, at_once: int | None = None, tell: Callable[[str], object]) -> None:
    """Does what is not done yet of all of them, in their order, so many at a time (default: one a core); one at a time in this process.

    Raises CotforgeError where one of them fails; the others then save and end, as they do on Ctrl-C.
    """
    places = min(at_once or len(os.sched_getaffinity(0)), len(trainings), MOST)
    if places > 1:
        try:
            asyncio.run(_side_by_side(trainings, places, tell))
        except* CotforgeError as faults:
            raise faults.exceptions[0] from None
        return
    for training in trainings:
        tell(f"cotforge train {training.pipeline} --out {training.out}")
        tell(run_training(str(training.pipeline), out=training.out, tell=tell) + "\n")


async def _side_by_side(trainings: Sequence[Training], places: int, tell: Callable[[str], object]) -> None:
    free = asyncio.Semaphore(places)
    async with asyncio.TaskGroup() as group:
        for training in trainings:
            group.create_task(_run_training(training, free, tell))


async def _run_training(training: Training, free: asyncio.Semaphore, tell: Callable[[str], object]) -> None:
    """Its lines, each after its name. Raises PipelineError, with the last of them, where it fails."""
    command = [sys.executable, "-m", "cotforge", "train", str(training.pipeline), "--out", str(training.out), "--trust"]
    said = ""
    async with free:
        tell(f"{training.name}: cotforge train {training.pipeline} --out {training.out}")
        child = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # more threads only wait for one another in students so small
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert child.stdout is not None
        try:
            async for line in child.stdout:
                said = line.decode(errors="replace").strip()
                tell(f"{training.name}: {said}")
            code = await child.wait()
        except BaseException:  # another one failed, or Ctrl-C
            if child.returncode is None:
                child.terminate()
            await child.wait()
            raise
    if code:
        raise PipelineError(f"{training.pipeline}: cotforge train ended with exit {code}: {said}")
