"""One worker, from the side of whoever started it: how it is started, asked and ended."""

import asyncio
import contextlib
import itertools
import json
import os
import pickle
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

from cotforge import version
from cotforge.errors import TeacherError
from cotforge.records import Call, Picture
from cotforge.replies.text import one_line
from cotforge.teachers.local.engine import Generation
from cotforge.teachers.local.spec import LocalTeacher
from cotforge.teachers.local.worker import GRACE_S

LONGEST = 64 * 2**20
"""Bytes of one line that a worker says."""
QUIET = {
    "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
}  # fmt: skip
"""Environment of a worker, beside the user's: nothing is reported to anybody."""

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells a process that is one of several: a worker is not, even where such a process starts it."""


class Gone(Exception):
    """The process ended before it had answered: why, on one line."""


@dataclass(slots=True)
class _Held:
    """A picture that the worker has, or is about to have, for so many Calls in flight."""

    sent: asyncio.Task[None]
    calls: int = 0


class Process:
    """A worker's process, in a session of its own: Ctrl-C does not reach it, and it can be ended with all that it has started."""

    def __init__(self, teacher: LocalTeacher, place: str) -> None:
        self.gone = False
        self.why = ""
        """Why it is gone, on one line."""
        self._where = f"teacher {teacher.name!r}" + (f" on {place}" if place != "cpu" else "")
        self._waiting: dict[int, asyncio.Future[Generation]] = {}
        self._held: dict[str, _Held] = {}
        self._numbers = itertools.count()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process is gone
        self._life: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, teacher: LocalTeacher, model: str, *, place: str, devices: str) -> Self:
        """A worker that is ready to be asked. `devices` is what it sees as CUDA_VISIBLE_DEVICES.

        Raises TeacherError where it cannot be: a library is missing, the model is none or does not fit.
        """
        worker = cls(teacher, place)
        try:
            await worker._spawn_worker(devices)
            worker._send_message((teacher, model))
            await worker._ready
        except BaseException:
            await worker.end(grace=0.0)
            raise
        return worker

    async def _spawn_worker(self, devices: str) -> None:
        ours, theirs = socket.socketpair()
        home = str(Path(version.__file__).parents[1])  # the same cotforge, wherever this one was found
        program = (
            f"import sys; sys.path.insert(0, {home!r}); import cotforge; del sys.path[0]\n"
            f"from cotforge.teachers.local.worker import serve_socket\nsys.exit(serve_socket({theirs.fileno()}))"
        )
        inherited = {name: told for name, told in os.environ.items() if name not in LAUNCHED}
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=LONGEST)
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-c", program, pass_fds=(theirs.fileno(),), start_new_session=True,
                    stdin=asyncio.subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                    env=QUIET | inherited | {"CUDA_VISIBLE_DEVICES": devices},
                )  # fmt: skip
        except BaseException:
            self._writer.close()
            raise
        self._life = asyncio.create_task(self._run_reader(reader))

    async def _run_reader(self, reader: asyncio.StreamReader) -> None:
        listening = asyncio.create_task(self._listen_worker(reader))
        await self._process.wait()
        self._kill_worker()  # what it had started and left behind
        await listening
        self.why = self.why or self._last_words()
        self.gone = True
        self._writer.close()
        self._log.close()
        _fail_waiting(self._ready, TeacherError(f"{self._where}: {self.why}"))
        for answer in self._waiting.values():
            _fail_waiting(answer, Gone(self.why))

    async def _listen_worker(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionResetError):
            while line := await reader.readline():
                ((what, value),) = json.loads(line).items()
                if what == "said":
                    answer = self._waiting.get(value["id"])
                    if answer is not None and not answer.done():
                        answer.set_result(Generation(**value))
                elif what == "unfit":
                    self.why = one_line(value)
                elif not self._ready.done():
                    self._ready.set_result(None)

    def _last_words(self) -> str:
        """Why it ended, where it did not say so itself."""
        code = self._process.returncode or 0
        if code < 0:
            name = signal.Signals(-code).name
            return f"its process was ended by {name}" + ("; was there not enough memory?" if name == "SIGKILL" else "")
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 4000))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return f"its process ended with exit code {code}" + (f": {one_line(lines[-1])}" if lines else "")

    # asking

    async def ask(self, call: Call, timeout: float, *, seed: int | None = None) -> Generation:
        """What the model says; with a `seed`, what is drawn for it is the same whatever else is asked.

        Raises Gone where the process ended, Fault where a picture cannot be read, TimeoutError.
        """
        if self.gone:
            raise Gone(self.why)
        number = next(self._numbers)
        answer: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        pictures = {picture.digest: picture for picture in call.sample.pictures}.values()
        try:
            async with asyncio.timeout(timeout):
                await self._hand_over(pictures)
                self._send_message(("ask", number, call.messages, seed))
                return await answer
        finally:
            del self._waiting[number]
            if not answer.done() or answer.cancelled():
                self._send_message(("drop", number))
            self._take_back(pictures)

    async def _hand_over(self, pictures: Iterable[Picture]) -> None:
        """Count this Call to those that need the pictures, and see that the worker has them. Raises Fault."""
        for picture in pictures:
            if picture.digest not in self._held:
                self._held[picture.digest] = _Held(asyncio.create_task(self._send_picture(picture)))
            self._held[picture.digest].calls += 1
        for picture in pictures:
            await asyncio.shield(self._held[picture.digest].sent)  # another Call may wait for it too

    async def _send_picture(self, picture: Picture) -> None:
        content: bytes | str = picture.file if picture.file is not None else await asyncio.to_thread(picture.load)
        self._send_message(("picture", picture.digest, content))
        with contextlib.suppress(ConnectionError):  # then the process ends, which is told elsewhere
            await self._writer.drain()

    def _take_back(self, pictures: Iterable[Picture]) -> None:
        for picture in pictures:
            held = self._held[picture.digest]
            held.calls -= 1
            if not held.calls:
                del self._held[picture.digest]
                held.sent.add_done_callback(partial(self._forget_picture, picture.digest))

    def _forget_picture(self, digest: str, sent: asyncio.Task[None]) -> None:
        if not sent.cancelled() and sent.exception() is None and digest not in self._held:
            self._send_message(("forget", digest))

    def _send_message(self, message: tuple[Any, ...]) -> None:
        if not self.gone and not self._writer.is_closing():
            self._writer.write(pickle.dumps(message))

    # ending

    async def end(self, grace: float = GRACE_S) -> None:
        """Returns when the process, and all that it started, is gone. It has `grace` seconds to end by itself."""
        if self._life is None:
            self._log.close()
            return
        self._writer.close()
        try:
            await asyncio.wait([self._life], timeout=grace)
        finally:
            if not self._life.done():
                self._kill_worker()
        await self._life

    def _kill_worker(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _fail_waiting(waited: asyncio.Future[Any], fault: Exception) -> None:
    if not waited.done():
        waited.set_exception(fault)
        waited.exception()  # whoever waited for it may be gone as well
