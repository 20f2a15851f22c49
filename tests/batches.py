"""A provider for tests: a real server of OpenAI's files and batches that works, or misbehaves, as it is told, and keeps a ledger.

    with Provider(answer=sees) as provider:
        ... provider.url, provider.paid

A batch makes one step per look (`GET /batches/<id>`): in_progress, finalizing, then its end.
"""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from aiohttp import BodyPartReader, web

from tests.teacher import ANSWER, Answer

Fate: TypeAlias = int | str | None
"""How one request of a batch ends: None (answered), a status, or one word:

unmade (in the error file, with the batch's state as its code), missing (in neither file), stranger (answered under another custom_id),
twice (answered twice, the second time otherwise), torn (a line that is no JSON besides the answer), bare (answered without usage),
overcounted (with far too many tokens).
"""
Trouble: TypeAlias = int | tuple[int, str, dict[str, str]] | str | None
"""How the server fails a request: None, a status (with body and headers), `lost` (it is done, and the connection closed unanswered), or
`cut` (closed in the middle of the body)."""


@dataclass
class Held:
    """A batch at the provider."""

    id: str
    input: str
    metadata: dict[str, str]
    names: list[str]
    """custom_ids, in order."""
    status: str = "validating"
    looks: int = 0
    code: str = ""
    output: str = ""
    errors: str = ""
    counts: dict[str, int] = field(default_factory=dict)


class Provider:
    """A server in a thread of its own, on 127.0.0.1; a context manager, `url` ends in /v1.

    `fate(body, number)` tells how a request ends, `end(number)` how the batch of that number (from 0) does. `trouble` is called with "POST
    /files", "POST /batches", "GET /batches", "GET /batches/id" or "GET /files/id/content", and `hook` with "before" and "after" these.
    `room`: requests that may wait at a time; a batch above it fails. `late`: looks between the end and the ids of the files.
    `page`: batches in a page of the list. `backwards`: results come in the reverse order.
    """

    def __init__(
        self,
        answer: Answer | Callable[[dict[str, Any]], Answer] = ANSWER,
        *,
        fate: Callable[[dict[str, Any], int], Fate] = lambda body, number: None,
        end: Callable[[int], str] = lambda number: "completed",
        trouble: Callable[[str], Trouble] = lambda what: None,
        hook: Callable[[str], object] = lambda when: None,
        models: list[str] | None = None,
        key: str | None = None,
        room: int | None = None,
        late: int = 0,
        page: int = 100,
        backwards: bool = False,
    ) -> None:
        self.answer, self.fate, self.end, self.trouble, self.hook = answer, fate, end, trouble, hook
        self.models, self.key, self.room, self.late, self.page, self.backwards = models, key, room, late, page, backwards
        self.files: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        """The file name each was uploaded under."""
        self.batches: list[Held] = []
        self.paid: list[str] = []
        """sha256 of the body of every request of every batch that was worked on."""
        self.log: list[str] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(60):
            raise RuntimeError("the test provider did not start within 10 s")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**30)
        routes: dict[tuple[str, str], Callable[[web.Request], Any]] = {
            ("POST", "/files"): self._upload,
            ("POST", "/batches"): self._create,
            ("GET", "/batches"): self._list,
            ("GET", "/batches/{id}"): self._look,
            ("POST", "/batches/{id}/cancel"): self._cancel,
            ("GET", "/files/{id}/content"): self._content,
            ("GET", "/models"): self._models,
        }
        for (method, path), handler in routes.items():
            app.router.add_route(method, f"/v1{path}", self._guarded(f"{method} {path}".replace("{id}", "id"), handler))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def _guarded(self, what: str, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.StreamResponse:
            self.log.append(what)
            if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
                return _error(401, "invalid_api_key", f"Incorrect API key provided: {request.headers.get('Authorization')}")
            self.hook(f"before {what}")
            trouble = self.trouble(what)
            if isinstance(trouble, int):
                return _error(trouble, f"status_{trouble}", "told to fail")
            if isinstance(trouble, tuple):
                status, body, headers = trouble
                return web.Response(status=status, text=body, headers=headers)
            answer: web.Response = await handler(request)
            self.hook(f"after {what}")
            if trouble in ("lost", "cut"):
                assert request.transport is not None
                if trouble == "cut":
                    assert isinstance(answer.body, bytes)
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\nContent-Length: {len(answer.body)}\r\n\r\n"
                    request.transport.write(head.encode() + answer.body[: len(answer.body) // 2])
                request.transport.close()
            return answer

        return respond

    async def _models(self, request: web.Request) -> web.Response:
        if self.models is None:
            return _error(404, "not_found", "no list")
        return web.json_response({"data": [{"id": name} for name in self.models]})

    async def _upload(self, request: web.Request) -> web.Response:
        form: dict[str, tuple[str | None, bytes]] = {}  # not `request.post()`: an upload that is cut off leaves its temporary file open
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            form[str(part.name)] = part.filename, bytes(await part.read())
        assert form["purpose"][1] == b"batch"
        name, data = form["file"]
        id = f"file-{len(self.files)}"
        self.files[id], self.names[id] = data, str(name)
        return web.json_response({"id": id, "object": "file", "purpose": "batch", "filename": name, "bytes": len(data)})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["endpoint"] == "/v1/chat/completions"
        assert all(isinstance(value, str) for value in body["metadata"].values())
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert all(line["url"] == body["endpoint"] and line["method"] == "POST" for line in lines)
        names = [line["custom_id"] for line in lines]
        assert len(names) == len(set(names))
        held = Held(f"batch_{len(self.batches)}", body["input_file_id"], body["metadata"], names)
        waiting = sum(len(batch.names) for batch in self.batches if batch.status in ("validating", "in_progress", "finalizing"))
        if self.room is not None and waiting + len(names) > self.room:
            held.code = "token_limit_exceeded"
        self.batches.append(held)
        return web.json_response(_said(held))

    async def _list(self, request: web.Request) -> web.Response:
        newest = self.batches[::-1]
        after = request.query.get("after")
        start = next((number + 1 for number, batch in enumerate(newest) if batch.id == after), 0)
        page = newest[start : start + min(self.page, int(request.query.get("limit", "20")))]
        return web.json_response({"data": [_said(batch) for batch in page], "has_more": start + len(page) < len(newest)})

    async def _look(self, request: web.Request) -> web.Response:
        held = next((batch for batch in self.batches if batch.id == request.match_info["id"]), None)
        if held is None:
            return _error(404, "not_found", "No batch found with that id")
        held.looks += 1
        if held.code and held.status == "validating":
            held.status = "failed"
        elif held.status in ("validating", "in_progress"):
            held.status = {"validating": "in_progress", "in_progress": "finalizing"}[held.status]
        elif held.status == "finalizing":
            self._finish(held)
        said = _said(held)
        if held.status not in ("failed", "in_progress", "finalizing") and held.looks < 3 + self.late:
            said |= {"output_file_id": None, "error_file_id": None}
        return web.json_response(said)

    async def _cancel(self, request: web.Request) -> web.Response:
        held = next(batch for batch in self.batches if batch.id == request.match_info["id"])
        held.status = "cancelled"
        return web.json_response(_said(held))

    async def _content(self, request: web.Request) -> web.Response:
        if (body := self.files.get(request.match_info["id"])) is None:
            return _error(404, "not_found", "No such file")
        return web.Response(body=body, content_type="application/jsonl")

    def _finish(self, held: Held) -> None:
        """Every request to its fate, and two files of results."""
        number = self.batches.index(held)
        held.status = self.end(number)
        if held.status == "failed":
            held.code = "invalid_json_line"
            return
        answers, errors = [], []
        for line in map(json.loads, self.files[held.input].splitlines()):
            fate = self.fate(line["body"], number)
            (errors if fate == "unmade" or isinstance(fate, int) else answers).extend(self._lines(line, fate, held.status))
        held.counts = {"total": len(held.names), "completed": len(answers), "failed": len(errors)}
        for lines, name in ((answers, "output"), (errors, "errors")):
            if lines:
                lines = lines[::-1] if self.backwards else lines
                setattr(held, name, f"file-{len(self.files)}")
                self.files[f"file-{len(self.files)}"] = "".join(line + "\n" for line in lines).encode()

    def _lines(self, line: dict[str, Any], fate: Fate, status: str) -> list[str]:
        name, body = line["custom_id"], line["body"]
        if fate == "unmade":
            return [json.dumps({"custom_id": name, "response": None, "error": {"code": f"batch_{status}", "message": "not made in time"}})]
        if fate == "missing":
            return []
        if isinstance(fate, int) or (fate == "no logprobs" and "logprobs" in body):
            status, why = (fate, "told to fail") if isinstance(fate, int) else (400, "you may not request logprobs from this model")
            error = {"error": {"code": "told", "message": why}}
            return [json.dumps({"custom_id": name, "response": {"status_code": status, "body": error}, "error": None})]
        self.paid.append(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())
        text = self.answer(body) if callable(self.answer) else self.answer
        message = {"role": "assistant", **({"content": text} if isinstance(text, str) else text)}
        told = {"logprobs": message.pop("logprobs")} if "logprobs" in message else {}
        reply: dict[str, Any] = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop", **told}]}
        if fate != "bare":
            reply["usage"] = {"prompt_tokens": 7_500_000 if fate == "overcounted" else 100, "completion_tokens": 10}
        whole = {"id": "batch_req", "custom_id": name, "response": {"status_code": 200, "body": reply}, "error": None}
        if fate == "stranger":
            return [json.dumps(whole | {"custom_id": f"{name.partition('-')[0]}-000000000000"})]
        if fate == "twice":
            other = json.loads(json.dumps(whole))
            other["response"]["body"]["choices"][0]["message"]["content"] = "<answer>fear</answer>"
            return [json.dumps(whole), json.dumps(other)]
        return [json.dumps(whole), '{"custom_id": '] if fate == "torn" else [json.dumps(whole)]


def _said(held: Held) -> dict[str, Any]:
    return {
        "id": held.id,
        "object": "batch",
        "status": held.status,
        "input_file_id": held.input,
        "output_file_id": held.output or None,
        "error_file_id": held.errors or None,
        "metadata": held.metadata,
        "request_counts": held.counts or {"total": len(held.names), "completed": 0, "failed": 0},
        "errors": {"data": [{"code": held.code, "message": f"told: {held.code}", "line": 1}]} if held.code else None,
    }


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "test_error", "code": code}}, status=status)
