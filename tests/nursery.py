"""The command in processes of their own, forked from one that has imported what training needs, which saves most of their time.

Each leads its own group, and can be killed with it: from outside, or by itself at the very moment at which it opens a file to write.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.project import environment

IMPORTED = (
    "stages", "command", "kinds.sft", "kinds.grpo", "kinds.dpo", "kinds.eval",
    "evaluation.evaluate", "evaluation.askers", "evaluation.held", "evaluation.trials",
)  # fmt: skip
PROGRAM = """
import json, os, resource, signal, sys
from importlib import import_module
from cotforge.cli import main
from cotforge.optional import pass_over_torchvision
pass_over_torchvision()
for name in json.loads(sys.argv[1]):
    import_module("cotforge.train." + name)

def run(job):
    os.setsid()
    os.chdir(job["folder"])
    said = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if job["largest"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], job["largest"]))
    if job["dies_at"]:
        def hook(event, args):
            if event == "open" and "w" in str(args[1]) and str(args[0]).endswith(job["dies_at"]):
                os.killpg(0, signal.SIGKILL)
        sys.addaudithook(hook)
    main(job["words"])

print("ready", flush=True)
for line in sys.stdin:
    if not (process := os.fork()):
        run(json.loads(line))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Nursery:
    """Runs of the command, one at a time."""

    def __enter__(self) -> Self:
        words = [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(IMPORTED)]
        env = environment({"OMP_NUM_THREADS": "1"})
        self._process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._said() == "ready"
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
        job = {"folder": str(folder), "said": str(said), "dies_at": dies_at, "largest": largest, "words": words}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        process = int(self._said())
        while until is not None and Path(f"/proc/{process}/exe").exists():
            if until():
                os.killpg(process, sends)
                break
            time.sleep(0.002)
        return int(self._said()), said.read_text()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
