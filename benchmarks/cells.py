"""One measurement in a process of its own: what it took on the GPU is free when it ends, and it cannot take longer than it may."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
FAULT = "fault"
"""In the figures of a measurement that came to nothing: why, on one line."""
SAID = "said"
"""In the figures: all that the process wrote to stdout and stderr by then."""
LEAST_S = 5.0
"""Seconds that must be left for a measurement to begin."""
LINE = 160
"""Characters of that line, at most."""


@dataclass
class Clock:
    """How much time is left, for the whole program and for the part at work."""

    ends: float
    """By `time.monotonic`."""
    part: float = inf

    @classmethod
    def of(cls, seconds: float) -> "Clock":
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    def begin(self, seconds: float) -> None:
        """A part that may take so long."""
        self.part = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return min(self.ends, self.part) - time.monotonic()


@dataclass
class Cells:
    """Runs measurements, one at a time; each one's output is a file in `logs`."""

    clock: Clock
    logs: Path
    method: str = "fork"
    """Of starting a process: a fork has the libraries imported already, which takes ten seconds."""

    faults: list[str] = field(default_factory=list)
    """Of the measurements that failed; those for which no time was left are not among them."""

    def run(self, name: str, function: Callable[..., Figures], *given: Any, **named: Any) -> Figures:
        """The figures of `function(*given, **named)`, or `fault`: also where fewer than LEAST_S are left."""
        if self.clock.left < LEAST_S:
            return {FAULT: "no time left"}
        found = self._run(self.logs / f"{name}.log", function, given, named)
        if FAULT in found:
            self.faults.append(f"{name}: {found[FAULT]}")
        return found

    def _run(self, log: Path, function: Callable[..., Figures], given: Sequence[Any], named: Mapping[str, Any]) -> Figures:
        context: Any = multiprocessing.get_context(self.method)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(theirs, log, function, given, named))
        process.start()
        theirs.close()
        try:
            if not ours.poll(max(0.0, self.clock.left)):
                return {FAULT: "stopped: it took longer than it may"}
            found: Figures = ours.recv()
            return found | {SAID: log.read_text(encoding="utf-8", errors="replace")}
        except EOFError:
            process.join()
            return {FAULT: f"its process ended with {process.exitcode}"}
        finally:
            _end(process)


def _end(process: Any) -> None:
    """The process and all that it started."""
    process.join(2)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # it may not lead a group yet
    process.join()


def _run(told: Connection, log: Path, function: Callable[..., Figures], given: Sequence[Any], named: Mapping[str, Any]) -> None:
    os.setsid()
    with log.open("w", encoding="utf-8") as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)
        try:
            found = function(*given, **named)
            sys.stdout.flush()
            told.send(found)
        except BaseException as fault:
            traceback.print_exc()
            told.send({FAULT: _said(fault, log)})


def _said(fault: BaseException, log: Path) -> str:
    """A fault on one line; where a command ended with an exit code, its last words."""
    if isinstance(fault, SystemExit):
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip() and "Traceback" not in line]
        words = next((line for line in reversed(lines) if not line.startswith((" ", "SystemExit"))), "")
    else:
        words = f"{type(fault).__name__}: {next(iter(str(fault).splitlines()), '')}"
    return words[:LINE]
