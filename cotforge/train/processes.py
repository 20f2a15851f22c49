"""Processes that work on one thing together: started at once, told to end at once, and ended where one of them fails."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any, Self

PARENT = "COTFORGE_ENDS_WITH_STDIN"
"""The environment variable by which a process knows that its standard input closes when whoever started it is gone."""
GRACE_S = (5.0, 30.0)
"""Seconds in which the others end by themselves after one has failed, and then after SIGTERM, before they are killed."""
WARNED = 20
"""Lines of the error output of a process other than the first that are shown when it fails."""
FAULT, INTERRUPTED = 2, 130
"""Exit codes: of a fault that a process has told of in a line, and of one that was told to end and did."""


@dataclass(frozen=True)
class Ended:
    """How processes ended."""

    code: int
    """The exit code of the first that failed, or 0."""
    rank: int
    """Which one that was."""
    said: str
    """All that the first process wrote to its standard output."""
    told: bool
    """Whether SIGTERM or SIGINT was passed on to them."""


def run_processes(words: Sequence[str], environments: Sequence[Mapping[str, str]], *, grace_s: tuple[float, float] = GRACE_S) -> Ended:
    """Run a command once in each environment, all at once, until all have ended.

    The first process has this one's error output; that of the others is kept, and its end is shown where one of them fails first.
    Each is in a session of its own, so that a signal from a terminal reaches it once, through this process. Raises OSError where the
    command cannot be started.
    """
    with _Group() as group:
        for environment in environments:
            group.start(words, environment)
        failed = group.wait(grace_s)
        if failed > 0 and group.processes[0].returncode == FAULT:
            failed = 0  # which has told of the same
        if failed > 0:
            group.show(failed)
        code = group.processes[failed].returncode if failed >= 0 else 0
        return Ended(code, max(failed, 0), group.said, bool(group.told))


def end_with_parent() -> None:
    """Have this process end as soon as the one that started it is gone, if it asks for that in the environment."""
    if os.environ.pop(PARENT, None):
        threading.Thread(target=_watch_owner, args=(sys.stdin.fileno(),), daemon=True).start()


def _watch_owner(file: int) -> None:
    while os.read(file, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)  # as whoever started it: it may be amid a wait for the others


class _Group:
    """While it is entered, SIGTERM and SIGINT go to all its processes, also those that came before they were there."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []
        self.told: list[int] = []
        self.said = ""
        self._errors: list[IO[bytes] | None] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._send) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:  # only after an exception
                process.kill()
            for file in (process.stdin, process.stdout):
                if file is not None:
                    file.close()
        for errors in filter(None, self._errors):
            errors.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        first = not self.processes
        errors = None if first else TemporaryFile()  # noqa: SIM115
        process = subprocess.Popen(
            words, env=dict(environment), text=True, start_new_session=True, stderr=errors,
            stdin=subprocess.PIPE if PARENT in environment else None, stdout=subprocess.PIPE if first else subprocess.DEVNULL,
        )  # fmt: skip
        self._errors.append(errors)
        self.processes.append(process)
        for number in tuple(self.told):
            process.send_signal(number)

    def wait(self, grace_s: tuple[float, float]) -> int:
        """The number of the first process that failed, or -1, once all have ended."""
        with ThreadPoolExecutor(len(self.processes)) as pool:
            running: dict[Future[int], int] = {pool.submit(self._over, rank): rank for rank in range(len(self.processes))}
            failed, patience = -1, list(grace_s)
            while running:
                done, _ = wait(running, timeout=patience[0] if failed >= 0 and patience else None, return_when=FIRST_COMPLETED)
                if not done:
                    patience.pop(0)
                    self._end(running.values(), signal.SIGTERM if patience else signal.SIGKILL)
                for future in done:
                    rank = running.pop(future)
                    if failed < 0 and future.result() not in (0, INTERRUPTED):
                        failed = rank
        interrupted = [rank for rank, process in enumerate(self.processes) if process.returncode]
        return failed if failed >= 0 else interrupted[0] if interrupted else -1

    def show(self, rank: int) -> None:
        """The last lines of what a process wrote to its error output."""
        errors = self._errors[rank]
        assert errors is not None
        errors.seek(0)
        for line in errors.read().decode(errors="replace").splitlines()[-WARNED:]:
            print(line, file=sys.stderr)

    def _over(self, rank: int) -> int:
        process = self.processes[rank]
        if process.stdout is not None:
            self.said = process.stdout.read()
        return process.wait()

    def _end(self, ranks: Any, number: int) -> None:
        for rank in ranks:
            self.processes[rank].send_signal(number)

    def _send(self, number: int, frame: Any) -> None:
        self.told.append(number)
        for process in self.processes:
            process.send_signal(number)
