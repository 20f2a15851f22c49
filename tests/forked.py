"""Programs in processes of their own, forked from one that has imported cotforge: that saves a second of each start.

Two servers take turns, for each has its own order of sets: what depends on it shows as it does in processes that are started anew.
"""

import atexit
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROGRAM = """
import gc, json, os, runpy, select, socket, sys
import cotforge.cli, cotforge.images.look, cotforge.results, cotforge.session

def run(job, files):
    for number, file in zip((1, 2), files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    kind, program, *words = job["words"]
    sys.argv = [kind, *words]
    sys.path[0] = job["path"]
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(line_buffering=True)
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})
    sys.exit()

asked, running = socket.socket(fileno=int(sys.argv[1])), {}
gc.collect()
gc.freeze()
while True:
    ready, _, _ = select.select([asked, *running], [], [])
    for ended in ready:
        if ended is not asked:
            os.close(ended)
            process, status = os.waitpid(running.pop(ended), 0)
            asked.send(json.dumps(["ended", process, os.waitstatus_to_exitcode(status)]).encode())
    if asked in ready:
        said, files, _, _ = socket.recv_fds(asked, 1 << 18, 2)
        if not said:
            os._exit(0)
        if not (process := os.fork()):
            asked.close()
            for ended in running:
                os.close(ended)
            run(json.loads(said), files)
        for file in files:
            os.close(file)
        running[os.pidfd_open(process)] = process
        asked.send(json.dumps(["begun", process, 0]).encode())
"""
AT_THE_START = ("PYTHON", "LANG", "LC_", "OMP_", "HF_", "COTFORGE")
"""How the names begin of variables that are read as Python, or a module, starts."""

SLICE_S = 0.05


class ForkServer:
    """One process that forks others."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = _read_at_the_start(variables)
        self._lock = threading.RLock()
        self._ended: dict[int, int] = {}
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            words = [sys.executable, "-W", "error", "-c", PROGRAM, str(theirs.fileno())]
            self._process = subprocess.Popen(
                words, cwd="/", env=dict(variables), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        atexit.register(self.close)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(timeout=60)

    def takes(self, variables: Mapping[str, str]) -> bool:
        """Whether a process with this environment would have started as the server did."""
        return _read_at_the_start(variables) == self._variables and self._process.poll() is None

    def begin(self, words: Sequence[str], *, folder: Path, environment: Mapping[str, str], files: Sequence[int]) -> int:
        """The id of a new process; `files` are its stdout and stderr."""
        path = "" if words[0] == "-c" else str(folder)
        job = {"words": list(words), "folder": str(folder), "environment": dict(environment), "path": path}
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(job).encode()], list(files))
            while (told := self._told(None))[0] != "begun":
                pass
        return int(told[1])

    def status(self, process: int, timeout: float | None) -> int | None:
        """The exit status; None where the process has not ended after `timeout` seconds."""
        begun = time.monotonic()
        while True:
            left = SLICE_S if timeout is None else min(SLICE_S, max(0.0, begun + timeout - time.monotonic()))
            with self._lock, contextlib.suppress(BlockingIOError, TimeoutError):  # let go of in between, for who wants to kill it
                while process not in self._ended:
                    self._told(left)
            if process in self._ended or left < SLICE_S:
                return self._ended.get(process)

    def _told(self, timeout: float | None) -> list[Any]:
        self._socket.settimeout(timeout)
        told: list[Any] = json.loads(self._socket.recv(1 << 12))
        if told[0] == "ended":
            self._ended[told[1]] = told[2]
        return told


def _read_at_the_start(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith(AT_THE_START) and name != "PYTHONUNBUFFERED"}


_servers: list[ForkServer] = []
_turns = itertools.count()


def server_for(variables: Mapping[str, str]) -> ForkServer | None:
    """The one whose turn it is, started where it is missing; None where a process with these variables has to be started anew."""
    if not hasattr(os, "pidfd_open"):
        return None
    turn = next(_turns) % 2
    if turn >= len(_servers):
        _servers.append(ForkServer(variables))
    return _servers[turn] if _servers[turn].takes(variables) else None


class Running(subprocess.Popen[str]):
    """A process that is killed where its block fails: `Popen` would wait for its end, for as long as that takes.

    `python -W error -c ...` and `-m ...` are forked where nothing of how a process starts is asked for.
    """

    _server: ForkServer | None = None

    def _execute_child(
        self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, cwd: Any, env: Any, *rest: Any
    ) -> None:
        (_, _, shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *more) = rest
        started = sys.executable, "-W", "error"
        plain = not (executable or preexec_fn or pass_fds or shell) and p2cread == -1 and more[-2:] == [False, -1]
        variables = os.environ if env is None else env
        if plain and tuple(args[:3]) == started and args[3] in ("-c", "-m") and (server := server_for(variables)) is not None:
            self._server = server
            files = (c2pwrite if c2pwrite != -1 else 1, errwrite if errwrite != -1 else 2)
            self.pid = server.begin(args[3:], folder=Path(cwd or Path.cwd()).absolute(), environment=variables, files=files)
            self._child_created = True
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        else:
            super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)  # type: ignore[misc]

    def _internal_poll(self, *given: Any, **named: Any) -> int | None:
        if self._server is None:
            return super()._internal_poll(*given, **named)  # type: ignore[misc, no-any-return]
        if self.returncode is None:
            self.returncode = self._server.status(self.pid, 0.0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._server is None:
            return super()._wait(timeout=timeout)  # type: ignore[misc, no-any-return]
        if self.returncode is None and (status := self._server.status(self.pid, timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.returncode = self.returncode if self.returncode is not None else status
        return self.returncode

    def __exit__(self, kind: Any, *others: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *others)
