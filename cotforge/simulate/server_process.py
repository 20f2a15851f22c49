"""Simulated teachers in a process of their own, for as long as a block lasts."""

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from cotforge.errors import CotforgeError, TeacherError
from cotforge.simulate.eyes import silence_libraries
from cotforge.simulate.server import serve_teachers
from cotforge.simulate.simulated_teacher import Role

START = 60.0
"""Seconds a server may take to train its teachers and listen."""


class Server:
    """A context manager: `with Server(roles, labels, root=folder) as server:` serves at `server.url`.

    The process knows nothing but its roles, and ends with the block or with the process that started it.
    """

    def __init__(self, roles: Sequence[Role], labels: Sequence[str], *, root: Path, port: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self.url = ""
        """Base URL, once the block is entered."""
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(target=_run_server, args=(self._theirs, list(roles), list(labels), root, port), daemon=True)

    def __enter__(self) -> Self:
        """Waits until the teachers listen. Raises what `serve` raises."""
        self._process.start()
        self._theirs.close()
        try:
            said = self._pipe.recv() if self._pipe.poll(START) else None
        except EOFError:
            said = None
        if isinstance(said, str):
            self.url = said
            return self
        self.__exit__()
        raise said or TeacherError("the simulated teachers did not start")

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()


def _run_server(pipe: Connection, roles: Sequence[Role], labels: Sequence[str], root: Path, port: int) -> None:
    """Serves until the other end of the pipe is closed, be it by the death of its owner.

    Ctrl-C reaches the whole process group, but its owner may still want answers to what is in flight.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence_libraries()
    asyncio.run(_serve_while_open(pipe, roles, labels, root, port))


async def _serve_while_open(pipe: Connection, roles: Sequence[Role], labels: Sequence[str], root: Path, port: int) -> None:
    serving = asyncio.ensure_future(serve_teachers(roles, labels, port=port, root=root, ready=pipe.send))
    asyncio.get_running_loop().add_reader(pipe.fileno(), serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await serving
        except CotforgeError as error:
            pipe.send(error)
