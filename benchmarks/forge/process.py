"""Programs run and watched from outside: seconds, processor time, memory of the whole tree."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLED_EVERY = 0.05
"""Seconds between two looks at memory."""


@dataclass(frozen=True)
class Spent:
    """What one program cost."""

    started: float
    """Seconds since the epoch."""
    seconds: float
    cpu: float
    """Seconds of user and system time, of the program and all it started."""
    peak: float
    """MB of proportional set size, summed over the process tree at the worst moment sampled."""
    own: float
    """MB of it that are no file's, which the system could drop: again at the worst moment."""


def spend(*arguments: str | Path, every: float = SAMPLED_EVERY) -> Spent:
    """Runs `python ARGUMENTS` to its end, memory looked at `every` so many seconds. Raises RuntimeError where it fails."""
    started, begun, peak, own = time.time(), time.perf_counter(), 0, 0
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        watched = psutil.Process(child.pid)
        while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
            now = _memory(watched)
            peak, own = max(peak, now[0]), max(own, now[1])
            time.sleep(every)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(ended[1])
        assert child.stderr is not None
        words = child.stderr.read()
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {child.returncode}: {words[-2000:]}")
    return Spent(started, seconds, ended[2].ru_utime + ended[2].ru_stime, peak / 1e6, own / 1e6)


def cotforge(*arguments: str | Path, every: float = SAMPLED_EVERY) -> Spent:
    """Runs `cotforge ARGUMENTS`."""
    return spend("-c", "from cotforge.cli import main; main()", *arguments, every=every)


@contextmanager
def teacher(ledger: Path, *, latency: float, answer: str, noise: Sequence[str] = (), **options: float) -> Iterator[str]:
    """The URL of a local teacher in a process of its own that writes a line for each request before it answers.

    `options` are those of `tests/teacher.py`: limit, retry_after, knee, broken, and the `share` of each `noise`.
    """
    server = started(ledger, latency=latency, answer=answer, noise=noise, **options)
    with server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def started(ledger: Path, *, latency: float, answer: str, noise: Sequence[str] = (), **options: float) -> subprocess.Popen[str]:
    """The same, running until it is killed; its first line is its URL."""
    program = Path(__file__).parents[2] / "tests" / "teacher.py"
    more = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", f"{value:g}")]
    more += [word for name in noise for word in ("--noise", name)]
    command = [sys.executable, str(program), "--ledger", str(ledger), "--latency", str(latency), "--answer", answer, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def served(ledger: Path) -> list[dict[str, Any]]:
    """Every line of a ledger, in the order of the answers; what was turned away has status 429."""
    return [json.loads(line) for line in ledger.read_text().splitlines()]


def arrivals(ledger: Path) -> list[float]:
    """When each request came in, sorted, in seconds since the epoch."""
    return sorted(entry["started"] for entry in served(ledger))


def _memory(program: psutil.Process) -> tuple[int, int]:
    """Bytes of proportional set size of a process tree, and those of them that are no file's."""
    whole = own = 0
    for process in (program, *_children(program)):
        try:
            fields = dict(line.split()[:2] for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:])
        except OSError:
            continue  # it ended between two looks
        whole += int(fields.get("Pss:", 0)) * 1024
        own += int(fields.get("Pss_Anon:", 0)) * 1024
    return whole, own


def _children(program: psutil.Process) -> list[psutil.Process]:
    try:
        return program.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
