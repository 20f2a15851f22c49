"""The command in processes of their own, forked from one that has imported what training needs, which saves most of their time.

Each leads its own group, and can be killed with it: from outside, or by itself at the very moment at which it opens a file to write.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.project import environment

IMPORTED = (
    "stages", "command", "kinds.sft", "kinds.grpo", "kinds.dpo", "kinds.eval",
    "evaluation.evaluate", "evaluation.askers", "evaluation.held_out", "evaluation.trials",
)  # fmt: skip
LIMIT_S = 600
"""After so long a process is ended: it waits for another that is no more."""
PROGRAM = """
import gc, json, os, resource, signal, sys
from importlib import import_module
from cotforge.cli import main
from cotforge.optional import pass_over_torchvision
pass_over_torchvision()
for name in json.loads(sys.argv[1]):
    import_module("cotforge.train." + name)

def run(job):
    os.setsid()
    signal.alarm(job["limit"])
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    for number, place in enumerate(job["said"], 1):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    if job["largest"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], job["largest"]))
    if job["dies_at"]:
        def hook(event, args):
            if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR) and str(args[0]).endswith(job["dies_at"]):
                os.killpg(0, signal.SIGKILL)
        sys.addaudithook(hook)
    if job["program"]:
        sys.argv[1:] = job["words"]
        exec(job["program"], {"__name__": "__main__"})
        sys.exit()
    main(job["words"])

gc.collect()
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    running = []
    for job in json.loads(line):
        if not (process := os.fork()):
            run(job)
        running.append(process)
    print(json.dumps(running), flush=True)
    ended = dict.fromkeys(running)
    while None in ended.values():
        process, status = os.wait()
        if process in ended:
            ended[process] = os.waitstatus_to_exitcode(status)
        if any(ended.values()):
            for other in running:
                if ended[other] is None:
                    os.kill(other, signal.SIGTERM)
    print(json.dumps(list(ended.values())), flush=True)
"""


def module(name: str) -> str:
    """A program: that module, as `python -m` runs it."""
    return f"import runpy; runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"


class Nursery:
    """Runs of the command, one at a time, or several processes of one run."""

    def __init__(self, **variables: str) -> None:
        """`variables` are of the environment in which everything is imported."""
        self._environment = environment({"OMP_NUM_THREADS": "1", **variables})

    def __enter__(self) -> Self:
        words = [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(IMPORTED)]
        self._process = subprocess.Popen(words, cwd="/", env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._told() == "ready"
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    def run(
        self,
        folder: Path,
        *words: str,
        dies_at: str = "",
        until: Callable[[], bool] | None = None,
        sends: int = signal.SIGKILL,
        largest: int = 0,
    ) -> tuple[int, str]:
        """Exit status (-9 where it was killed) and all that it said.

        It dies as it opens a file whose path ends in `dies_at`; its group is sent a signal as soon as `until` holds; and it can write
        no file of more than `largest` bytes, as if the disk were full.
        """
        said = folder / "said"
        (process,) = self._begin(_job(folder, words, out=said, err=said) | {"dies_at": dies_at, "largest": largest})
        while until is not None and Path(f"/proc/{process}/exe").exists():
            if until():
                os.killpg(process, sends)
                break
            time.sleep(0.002)
        (status,) = json.loads(self._told())
        return status, said.read_text()

    def train(
        self, folder: Path, *words: object, count: int = 1, program: str = "", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """The command, or another program (its source), in so many processes that train together as those of torchrun do.

        Where one fails the others are told to end. What the processes said comes one after another.
        """
        with socket.create_server(("127.0.0.1", 0)) as opened:
            port = str(opened.getsockname()[1])
        group = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        jobs = []
        for rank in range(count):
            each = variables | ({**group, "RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {})
            out, err = (folder / f".said-{rank}-{name}" for name in ("out", "err"))
            jobs.append(_job(folder, words, out=out, err=err, variables=each) | {"program": program})
        self._begin(*jobs)
        ended = json.loads(self._told())
        said = ["".join(Path(job["said"][place]).read_text() for job in jobs) for place in (0, 1)]
        for job in jobs:
            for place in job["said"]:
                os.unlink(place)
        return subprocess.CompletedProcess(list(map(str, words)), next(filter(None, ended), 0), *said)

    def _begin(self, *jobs: Mapping[str, Any]) -> list[int]:
        """The ids of the processes."""
        for job in jobs:
            for place in job["said"]:
                Path(place).write_bytes(b"")
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(jobs) + "\n")
        self._process.stdin.flush()
        return list(json.loads(self._told()))

    def _told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _job(folder: Path, words: tuple[object, ...], *, out: Path, err: Path, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {
        "folder": str(folder), "words": list(map(str, words)), "said": [str(out), str(err)], "environment": dict(variables or {}),
        "limit": LIMIT_S, "program": "", "dies_at": "", "largest": 0,
    }  # fmt: skip
