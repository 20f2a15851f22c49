"""A teacher for tests: a real server of OpenAI's protocol that answers, or misbehaves, as it is told, and keeps a ledger.

    with Teacher(answer="<think>...</think><answer>awe</answer>", fail=lambda body: 500) as teacher:
        ... teacher.url, teacher.ledger

In a process of its own, for SIGKILL tests and benchmarks; the first line on stdout is its URL, and every request it
serves stands in the ledger file before it is answered:

    python tests/teacher.py --port 0 --ledger served.jsonl --latency 0.05
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from aiohttp import web

sys.path[:0] = [str(Path(__file__).parents[1])]  # where it is a program
from tests.noise import FAULTS, REFUSALS  # noqa: E402

ANSWER = "<think>It is wide and bright, and nothing in it threatens; awe fits better than fear.</think>\n<answer>awe</answer>"


@dataclass(frozen=True)
class Raw:
    """A response exactly as it goes over the wire: for servers whose replies have forms of their own."""

    body: str | bytes
    status: int = 200
    content_type: str = "application/json"

    def response(self) -> web.Response:
        """As aiohttp sends it."""
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return web.Response(body=body, status=self.status, headers={"Content-Type": self.content_type})


Answer: TypeAlias = str | dict[str, Any] | Raw
"""The text of a reply, its whole message (`{"content": ..., "logprobs": ...}`: these stand beside it), or the whole response."""
Failure: TypeAlias = int | str | tuple[int, str] | None
"""None, a status, a status with OpenAI's error code, or one word:

hang (never answered, until the client leaves), reset (the socket is closed unanswered), cut (closed in the middle of the body), html (a web
page with status 200), garbage (broken JSON), empty (no choices), bare (no usage), truncated (half the text, `length`), filtered
(`content_filter`).
"""


@dataclass
class Entry:
    """One request as it came in; `finished` and `status` are filled in when it was answered."""

    call: str
    """sha256, hex, of the request's bytes."""
    model: str
    started: float
    """Seconds since the epoch."""
    images: tuple[str, ...] = ()
    """sha256, hex, of each image's bytes; empty unless bodies are parsed."""
    prompt: str = ""
    """The text parts, joined by newlines; empty unless bodies are parsed."""
    sampling: dict[str, Any] = field(default_factory=dict)
    """Everything of the body but messages and model."""
    finished: float | None = None
    status: int | str | None = None
    """As answered, or the word of its failure; None while it is in flight."""


class Teacher:
    """A server in a thread of its own, on 127.0.0.1; a context manager, `url` ends in /v1.

    `answer` and `fail` are called with the parsed body, in the server's thread. Without either, and with `parse=False`, a body is not
    parsed at all: the entry then has `call` and `model` alone. `limit`: above that many in flight the answer is 429. `knee`: with n above
    that many in flight an answer takes (n / knee)^2 times as long. `broken`: share of calls that always end in 500. `noise`: names of
    `tests.noise.FAULTS`, each of which strikes a `share` of all requests at random. `models=None`: there is
    no list, and every model is served. `listing`: what /models answers, whatever `models` are. `refusal`: what a wrong key is told instead
    of 401. `answer`, `listing` and `refusal` may be set anew while it serves.
    """

    def __init__(
        self,
        answer: Answer | Callable[[dict[str, Any]], Answer] = ANSWER,
        *,
        fail: Callable[[dict[str, Any]], Failure] | None = None,
        latency: float = 0.0,
        knee: int | None = None,
        broken: float = 0.0,
        noise: Sequence[str] = (),
        share: float = 0.0,
        limit: int | None = None,
        retry_after: float | None = 1.0,
        models: list[str] | None = None,
        key: str | None = None,
        listing: Raw | None = None,
        refusal: Raw | None = None,
        parse: bool = True,
        ledger: Path | None = None,
        port: int = 0,
    ) -> None:
        self.answer, self.fail, self.latency, self.limit, self.retry_after = answer, fail, latency, limit, retry_after
        self.models, self.key, self.parse, self.port = models, key, parse or fail is not None or callable(answer), port
        self.knee, self.broken, self.listing, self.refusal = knee, broken, listing, refusal
        self.noise, self.share, self.chance = tuple(noise or ()), share, random.Random(0)
        self.held = False
        """While it is true nothing is answered."""
        self.ledger: list[Entry] = []
        self.in_flight = self.most_in_flight = self.refused = 0
        self._file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if ledger else None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(self._ready.set)), daemon=True)

    @property
    def url(self) -> str:
        """The base URL; valid once the server is up."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(60):
            raise RuntimeError("the test teacher did not start within 60 s")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if self._file is not None:
            os.close(self._file)

    async def serve(self, ready: Callable[[], object]) -> None:
        """Serves until stopped; `ready` is called once requests are taken."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(self._route, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.05)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=4096)
        await site.start()
        self.port = runner.addresses[0][1]
        ready()
        await self._stop.wait()
        await runner.cleanup()

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        """Keys, then paths: the order in which real servers say no."""
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return self.refusal.response() if self.refusal else _error(401, "invalid_api_key", "Incorrect API key provided")
        if request.path == "/v1/models" and self.listing is not None:
            return self.listing.response()
        if request.path == "/v1/models" and self.models is not None:
            return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})
        if not request.path.endswith("/chat/completions"):
            return _error(404, "not_found", f"no route {request.path}")
        noise = self._noise()
        if noise in REFUSALS:
            raw = await request.content.read()
            self._note(Entry(hashlib.sha256(raw).hexdigest(), "", time.time(), finished=time.time(), status=noise))
            return await REFUSALS[noise](request, "")
        if self.limit is not None and self.in_flight >= self.limit:
            self.refused += 1
            raw = await request.content.read()
            self._note(Entry(hashlib.sha256(raw).hexdigest(), "", time.time(), finished=time.time(), status=429))
            headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
            return _error(429, "rate_limit_exceeded", "too many in flight", headers=headers)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._complete(request, noise)
        finally:
            self.in_flight -= 1

    def _noise(self) -> str:
        """The fault that strikes now; empty where none does."""
        place = int(self.chance.random() / self.share) if self.noise else 0
        return self.noise[place] if place < len(self.noise) else ""

    async def _complete(self, request: web.BaseRequest, noise: str = "") -> web.StreamResponse:
        raw = await request.content.read()
        body = json.loads(raw) if self.parse else {}
        entry = _entry(raw, body)
        self.ledger.append(entry)
        failure = self.fail(body) if self.fail else None
        if failure is None and int(entry.call[:8], 16) < self.broken * 2**32:
            failure = 500
        if self.latency:
            await asyncio.sleep(self.latency * max(1.0, self.in_flight / self.knee if self.knee else 1.0) ** 2)
        while self.held:
            await asyncio.sleep(0.01)
        if failure is None and self.models is not None and entry.model not in self.models:
            failure = (404, "model_not_found")
        if noise:
            entry.status, entry.finished = noise, time.time()
            self._note(entry)
            return await FAULTS[noise](request, json.dumps(_reply(None, str(self.answer), entry.model, len(raw))))
        entry.status = 200 if failure is None else failure[0] if isinstance(failure, tuple) else failure
        entry.finished = None if failure == "hang" else time.time()
        self._note(entry)
        while failure == "hang" and request.transport is not None:
            await asyncio.sleep(0.02)
        answer = self.answer(body) if callable(self.answer) else self.answer
        return await _respond(request, failure, answer, entry.model, len(raw))

    def _note(self, entry: Entry) -> None:
        """Into the file, before the answer; there also what was turned away."""
        if self._file is not None:
            os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")


def _entry(raw: bytes, body: dict[str, Any]) -> Entry:
    call, now = hashlib.sha256(raw).hexdigest(), time.time()
    if not body:
        at = raw.find(b'"model"')
        return Entry(call, raw[at + 7 : at + 500].split(b'"')[1].decode() if at >= 0 else "", now)
    parts = [part for message in body["messages"] for part in _parts(message["content"])]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    digests = tuple(hashlib.sha256(_image(url)).hexdigest() for url in urls)
    prompt = "\n".join(part["text"] for part in parts if part["type"] == "text")
    sampling = {name: value for name, value in body.items() if name not in ("messages", "model")}
    return Entry(call, body.get("model", ""), now, digests, prompt, sampling)


def _image(url: str) -> bytes:
    """The bytes of a `data:` URL, or of a file on this machine, found as vLLM finds it."""
    if url.startswith("file:"):
        return Path(url2pathname(urlsplit(url).path)).read_bytes()
    return base64.b64decode(url.partition(",")[2])


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


async def _respond(request: web.BaseRequest, failure: Failure, answer: Answer, model: str, size: int) -> web.StreamResponse:
    """The answer, or its failure, on the wire."""
    if isinstance(failure, int | tuple):
        status, code = failure if isinstance(failure, tuple) else (failure, f"status_{failure}")
        return _error(status, code, f"told to fail with {status}")
    if failure == "html":
        return web.Response(text="<html><body>Welcome to nginx!</body></html>", content_type="text/html")
    if isinstance(answer, Raw):
        return answer.response()
    reply = _reply(failure, answer, model, size)
    text = json.dumps(reply)
    if failure in ("reset", "cut"):
        assert request.transport is not None
        if failure == "cut":
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            request.transport.write((head + text[: len(text) // 2]).encode())
        request.transport.close()
        return web.Response()
    return web.Response(text=text[: len(text) // 2] if failure == "garbage" else text, content_type="application/json")


def _reply(failure: Failure, answer: str | dict[str, Any], model: str, size: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", **({"content": answer} if isinstance(answer, str) else answer)}
    finish = {"truncated": "length", "filtered": "content_filter"}.get(str(failure), "stop")
    if finish != "stop":
        message["content"] = message["content"][: len(message["content"]) // 2] if failure == "truncated" else ""
    words, told = len((message["content"] or "").split()), {"logprobs": message.pop("logprobs")} if "logprobs" in message else {}
    reply = {"id": "chatcmpl-test", "object": "chat.completion", "created": int(time.time()), "model": model}
    reply["choices"] = [] if failure == "empty" else [{"index": 0, "message": message, "finish_reason": finish, **told}]
    if failure != "bare":
        reply["usage"] = {"prompt_tokens": size // 100, "completion_tokens": words, "total_tokens": size // 100 + words}
    return reply


def _error(status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"message": message, "type": "test_error", "param": None, "code": code}}
    return web.json_response(body, status=status, headers=headers)


@contextlib.contextmanager
def process(ledger: Path, *options: str) -> Iterator[str]:
    """The URL of a teacher in a process of its own, for as long as the block lasts."""
    command = [sys.executable, __file__, "--ledger", str(ledger), *options]
    with Popen(command, stdout=PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def served(ledger: Path) -> list[dict[str, Any]]:
    """What a teacher's ledger file holds, in the order of the answers."""
    return [json.loads(line) for line in ledger.read_text().splitlines()]


def main() -> None:
    """Serves until killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ledger", type=Path, help="append one JSON line per request served")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--limit", type=int, help="429 above that many in flight")
    parser.add_argument("--retry-after", type=float, help="seconds sent with it")
    parser.add_argument("--knee", type=int, help="slower, by the square, above that many in flight")
    parser.add_argument("--broken", type=float, default=0.0, help="share of calls that always end in 500")
    parser.add_argument("--noise", action="append", help="a name of tests.noise.FAULTS; may be given several times")
    parser.add_argument("--share", type=float, default=0.0, help="share of all requests that each of them strikes")
    parser.add_argument("--model", dest="models", action="append", help="serve only these")
    parser.add_argument("--answer", default=ANSWER)
    parser.add_argument("--parse", action="store_true", help="also note images, prompt and sampling")
    teacher = Teacher(**vars(parser.parse_args()))
    asyncio.run(teacher.serve(lambda: print(teacher.url, flush=True)))


if __name__ == "__main__":
    main()
