"""Faults that strike a request at random, whatever it asks: what networks, gateways and servers do to a share of all traffic."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from cotforge.simulate.transport_faults import cut_connection

Fault = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
"""Answers a request for which `text` would be the sound body."""


def _status(status: int, code: str = "internal_error", **headers: str) -> Fault:
    async def answer(request: web.BaseRequest, text: str) -> web.StreamResponse:
        body = {"error": {"message": "try again", "type": "noise", "param": None, "code": code}}
        return web.json_response(body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def _body(change: Callable[[str], str], kind: str = "application/json", status: int = 200) -> Fault:
    async def answer(request: web.BaseRequest, text: str) -> web.StreamResponse:
        return web.Response(text=change(text), status=status, content_type=kind)

    return answer


def _raw(head: str, *, then: str) -> Fault:
    """Half of a body after some headers; then the connection is closed, reset, or kept open without another word."""

    async def answer(request: web.BaseRequest, text: str) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        if head:
            half = text[: len(text) // 2]
            size = f"{len(half):x}\r\n" if "chunked" in head else ""
            transport.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head.format(len(text))}\r\n\r\n{size}{half}".encode())
        while then == "hang" and not transport.is_closing():
            await asyncio.sleep(0.02)
        if then == "reset":
            cut_connection(transport)
        transport.close()
        return web.Response()

    return answer


LENGTH, CHUNKED = "Content-Length: {}", "Transfer-Encoding: chunked"

REFUSALS: Mapping[str, Fault] = {
    "429": _status(429, "rate_limit_exceeded"),
    "429, Retry-After: 1": _status(429, "rate_limit_exceeded", Retry_After="1"),
    "503, Retry-After: 1": _status(503, "overloaded", Retry_After="1"),
    "529": _status(529, "overloaded_error"),
}
"""Told at once."""

FAULTS: Mapping[str, Fault] = {
    **REFUSALS,
    "500": _status(500),
    "502, a page": _body(lambda text: "<html>Bad Gateway</html>", "text/html", 502),
    "503": _status(503),
    "504": _status(504),
    "hang": _raw("", then="hang"),
    "hang in mid-body": _raw(LENGTH, then="hang"),
    "reset": _raw("", then="reset"),
    "reset in mid-body": _raw(LENGTH, then="reset"),
    "half a body": _raw(LENGTH, then="close"),
    "half of the chunks": _raw(CHUNKED, then="close"),
    "broken JSON": _body(lambda text: text[: len(text) // 2]),
    "a page under 200": _body(lambda text: "<html>Welcome to nginx!</html>", "text/html"),
    "no choices": _body(lambda text: json.dumps({**json.loads(text), "choices": []})),
    "an empty body": _body(lambda text: "", "text/plain"),
}
"""Eighteen."""
