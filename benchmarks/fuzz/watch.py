"""Runs inputs in worker processes, and ends a worker whose input takes too long or too much memory."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.worker import Answer, serve

FAULTS = ("traceback", "line", "slow", "memory", "crash")
"""Outcomes that may not happen."""
ENDS = ("done", "told", "stopped")
"""Those that may: exit status 0, 2 and 3."""
MOST_SECONDS = 10
"""Of CPU for one input; also of waiting, times `PATIENCE`, since the machine may be busy."""
PATIENCE = 6
MOST_BYTES = 1024**3
"""Of memory for one input, above what the worker held before it."""
_EVERY = 0.05
_START_SECONDS = 300
_PROCESSES = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Seen:
    """One input and what came of it."""

    kind: str
    index: int
    outcome: str
    """One of `ENDS` or of `FAULTS`."""
    said: str
    seconds: float
    peak: int
    """Bytes above the idle worker, as last seen."""


class Worker:
    """A process for the inputs of one kind; a new one after each that had to be ended."""

    def __init__(self, kind_index: int) -> None:
        self.kind_index = kind_index
        self._start()

    def _start(self) -> None:
        self.pipe, other = _PROCESSES.Pipe()
        self.process = _PROCESSES.Process(target=serve, args=(other, self.kind_index), daemon=True)
        self.process.start()
        other.close()
        if not self.pipe.poll(_START_SECONDS):
            raise SystemExit(f"a worker for {KINDS[self.kind_index].name!r} did not start")
        self.pipe.recv()

    def run(self, seed: int, index: int) -> Seen:
        """One input, watched."""
        self._renew_peak()
        idle = self._memory("VmRSS")
        begun, cpu = time.monotonic(), self._cpu()
        self.pipe.send((seed, index))
        outcome, answer = "", None
        while not outcome and answer is None:
            try:
                if self.pipe.poll(_EVERY):
                    answer = self.pipe.recv()
                elif self._memory("VmRSS") - idle > MOST_BYTES:
                    outcome = "memory"
                elif self._cpu() - cpu > MOST_SECONDS or time.monotonic() - begun > MOST_SECONDS * PATIENCE:
                    outcome = "slow"
            except (EOFError, OSError, LookupError):
                outcome = "crash"
        peak = max(0, self._memory("VmHWM") - idle) if outcome != "crash" else 0
        if answer is None:
            self.close()
            self._start()
        elif peak > MOST_BYTES:
            outcome = "memory"
        return _seen(KINDS[self.kind_index].name, index, outcome, answer, time.monotonic() - begun, peak)

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _renew_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{name}:")), 0)

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _seen(kind: str, index: int, outcome: str, answer: Answer | None, seconds: float, peak: int) -> Seen:
    if answer is None:
        return Seen(kind, index, outcome, "", seconds, peak)
    ends = dict(zip((0, 2, 3), ENDS, strict=True))
    if not outcome:
        outcome = ends.get(answer.code, "traceback") if not answer.said else "traceback" if answer.code == 1 else "line"
    return Seen(kind, index, outcome, answer.said, answer.seconds, peak)


def watched(kind_index: int, seed: int, indexes: range) -> Iterator[Seen]:
    """What came of each input of a kind."""
    worker = Worker(kind_index)
    try:
        for index in indexes:
            yield worker.run(seed, index)
    finally:
        worker.close()
