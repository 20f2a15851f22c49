"""A server that says whatever bytes it is told, also what is no HTTP: for what no library would send."""

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from cotforge.simulate.transport_faults import cut_connection
from tests.project import said

Said = Callable[[int, dict[str, Any]], bytes | Iterable[bytes]]
"""The bytes that answer the request of that number, from 1, with that body, perhaps without an end; the connection is closed after them."""


@dataclass(frozen=True, slots=True)
class Request:
    """One that was asked for a completion."""

    call: str
    """sha256, hex, of its bytes."""
    started: float
    """Seconds since the epoch."""


class Stranger:
    """In a thread of its own, on 127.0.0.1; a context manager. It serves no list of models, and every other page is a 404."""

    def __init__(self, says: Said, *, pause: float = 0.0, lists: bool = False) -> None:
        """With a `pause`, in seconds, the bytes come one at a time. With `lists` every page is answered so, also the list of models."""
        self.says, self.pause, self.lists = says, pause, lists
        self.ledger: list[Request] = []
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60), "the server did not start within 60 s"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
            asked = await reader.readexactly(size) if "/chat/completions" in head else b"{}" if self.lists else b""
            await self._say(writer, asked)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # who asked has left, or the test is over
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._writers.discard(writer)

    async def _say(self, writer: asyncio.StreamWriter, raw: bytes) -> None:
        if not raw:
            writer.write(http(404, ""))
            return
        self.ledger.append(Request(hashlib.sha256(raw).hexdigest(), time.time()))
        text = self.says(len(self.ledger), json.loads(raw))
        pieces = [text] if isinstance(text, bytes) else text
        if self.pause and isinstance(text, bytes):
            pieces = [text[place : place + 1] for place in range(len(text))]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self.pause)
        if isinstance(text, bytes) and b"\r\nreset: " in text:
            await asyncio.sleep(0.02)  # what was sent arrives
            cut_connection(writer.transport)


def http(status: int, body: str, *, kind: str = "application/json", length: bool = True, **headers: object) -> bytes:
    """A whole answer; without its `length` it ends with the connection. `retry_after=2` is the header Retry-After.

    With `reset=1` the connection is reset after it, and not closed.
    """
    told = {"Content-Type": kind, "Connection": "close"} | {name.replace("_", "-"): value for name, value in headers.items()}
    told |= {"Content-Length": len(body.encode())} if length else {}
    return (f"HTTP/1.1 {status} x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in told.items()) + "\r\n" + body).encode()


COUNTED = "counted"


def completion(text: str = said("awe"), *, usage: Any = COUNTED, finish: str = "stop", **message: Any) -> str:
    """The body of a sound reply, counted as `tests.teacher` counts it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    if usage == COUNTED:
        usage = {"prompt_tokens": 1, "completion_tokens": len(text.split())}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})
