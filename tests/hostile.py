"""Bodies that are meant to fill memory, and a client in a process of its own that tells how much of it they took.

python -m tests.hostile URL COUNT [models] prints the errors of so many requests at once, and the peak of memory above the idle process.
"""

import asyncio
import json
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path

import aiohttp

from cotforge.records import Call, Sample
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.openai import Session

MB = 2**20
CALL = Call("ab" * 32, Sample("1", (), "Which?"), "one", "m", 0, ({"role": "user", "content": [{"type": "text", "text": "Which?"}]},))


def head(*lines: str, status: int = 200) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} x", "Content-Type: application/json", "Connection: close", *lines, "", ""]).encode()


def whole(body: bytes, *, status: int = 200) -> Iterator[bytes]:
    yield head(f"Content-Length: {len(body)}", status=status)
    for place in range(0, len(body), 2**16):
        yield body[place : place + 2**16]


def endless(piece: bytes, *lines: str, status: int = 200) -> Iterator[bytes]:
    """Without a length, and without an end."""
    yield head(*lines, status=status)
    yield from repeat(piece)


def chunked(piece: bytes) -> Iterator[bytes]:
    yield head("Transfer-Encoding: chunked")
    yield from repeat(b"%x\r\n%b\r\n" % (len(piece), piece))


def bomb(encoding: str, *, size: int = 300 * MB) -> Iterator[bytes]:
    """Zeros that take a thousandth of their size on the way."""
    packed = zeros(encoding, size)
    yield head(f"Content-Encoding: {encoding}", f"Content-Length: {len(packed)}")
    yield packed


@cache
def zeros(encoding: str, size: int) -> bytes:
    packer = zlib.compressobj(1, wbits=31 if encoding == "gzip" else 15)
    return b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()


def text_with_an_emoji(size: int, *, field: str = "content") -> bytes:
    """A sound reply of so many bytes: as a Python text each of its characters takes four."""
    message = {"role": "assistant", "content": "awe", field: ""}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    filling = "\U0001f642".encode() + b"x" * (size - len(body) - 4)
    return body.replace(b'"%b": ""' % field.encode(), b'"%b": "%b"' % (field.encode(), filling))


def values(text: bytes, count: int) -> Iterator[bytes]:
    """A list of so many values."""
    yield head()
    yield b'{"data": [0'
    for _ in range(count // 10_000):
        yield (b"," + text) * 10_000
    yield b"]}"


@dataclass(frozen=True)
class Took:
    """What a client of its own told."""

    errors: Counter[str]
    details: set[str]
    mb: float
    """Peak above the idle process."""
    seconds: float


def client(url: str, count: int, *, what: str = "ask", timeout: float = 120) -> Took:
    """So many requests at once, from a process of its own."""
    command = [sys.executable, "-m", "tests.hostile", url, str(count), what, str(timeout)]
    told = json.loads(subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True).stdout)
    return Took(Counter(told["errors"]), set(told["details"]), told["mb"], told["seconds"])


def peak() -> int:
    """Most bytes that this process has held since `forget`."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


async def asked(url: str, count: int, what: str, timeout: float) -> list[tuple[str, str]]:
    """(error, detail) of each request."""
    teacher = OpenAITeacher(name="one", model="m", url=(url,), timeout=timeout, concurrency=count)
    async with Session() as session:

        async def once() -> tuple[str, str]:
            try:
                if what == "models":
                    return str((await session.models(teacher, url)).status), ""
                if what == "metrics":
                    return str(await session.queue(url, "m")), ""
                ended = await session.ask(CALL, teacher, url, images={}, number=1)
            except (aiohttp.ClientError, OSError, ValueError) as fault:
                return type(fault).__name__, ""
            await asyncio.sleep(0.05)  # so long it takes to keep it
            ended.let_go()
            return str(ended.error), ended.detail

        return list(await asyncio.gather(*(once() for _ in range(count))))


def main() -> None:
    url, count, what, timeout = sys.argv[1:]
    Path("/proc/self/clear_refs").write_text("5")
    idle, begun = peak(), time.monotonic()
    ended = asyncio.run(asked(url, int(count), what, float(timeout)))
    told = {
        "errors": Counter(error for error, _ in ended),
        "details": sorted({detail for _, detail in ended}),
        "mb": (peak() - idle) / MB,
        "seconds": time.monotonic() - begun,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
