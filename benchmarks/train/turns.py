"""Trainers in processes of their own that take a step in turn, so that whatever else the machine does meets all of them alike."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from transformers import TrainerCallback

Train = Callable[["Turn"], object]
"""Trains to its end, the Turn being its trainer's last callback."""


class Turn(TrainerCallback):  # type: ignore[misc]
    """Before each step waits until it is told to go on, after it tells what it took; at the end, the losses that were logged."""

    def __init__(self, other: Connection) -> None:
        self._other, self._losses = other, list[float]()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """All is loaded."""
        self._wait()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The row of metrics of this step is written in the next one's time."""
        self._other.send((time.perf_counter() - self._begun, time.process_time() - self._spent))
        if state.global_step < state.max_steps:
            self._wait()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        """A row, or the summary at the end."""
        if "loss" in logs:
            self._losses.append(logs["loss"])

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Every step is done and logged."""
        self._other.send(self._losses)

    def _wait(self) -> None:
        self._other.recv()
        self._begun, self._spent = time.perf_counter(), time.process_time()


class Steps(NamedTuple):
    """Of one trainer, an item for each step."""

    seconds: list[float]
    cpu: list[float]
    """Seconds of its process."""
    losses: list[float]


def steps(trains: Mapping[str, Train], count: int) -> dict[str, Steps]:
    """`count` steps of each by name; who goes first alternates. Raises EOFError where one of them fails."""
    fork = multiprocessing.get_context("fork")
    pipes: dict[str, Connection] = {}
    for name, train in trains.items():
        pipes[name], other = fork.Pipe()
        fork.Process(target=_run, args=(train, other), daemon=True).start()
        other.close()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in trains}
    for step in range(count):
        for name in list(pipes)[:: 1 if step % 2 else -1]:
            pipes[name].send(None)
            taken[name].append(pipes[name].recv())
    return {
        name: Steps([seconds for seconds, _ in taken[name]], [cpu for _, cpu in taken[name]], pipe.recv()) for name, pipe in pipes.items()
    }


def _run(train: Train, other: Connection) -> None:
    train(Turn(other))
