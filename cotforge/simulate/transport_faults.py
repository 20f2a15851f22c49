"""The faults of a simulated server: when it refuses everybody, what strikes an attempt, and how a body goes wrong on the wire."""

import asyncio
import socket
import struct
from random import Random

from aiohttp import web

from cotforge.simulate.request import HttpRefusal
from cotforge.teachers.simulated import Bursts, Simulated

TAIL = 20
"""How many times longer the long tail takes."""
NO_LINGER = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing drops what was not sent yet and resets the connection."""
ENDS = {
    "quota": (429, "you exceeded your current quota, please check your plan and billing details", "insufficient_quota"),
    "payment": (402, "insufficient balance", "insufficient_balance"),
    "key": (401, "incorrect API key", "invalid_api_key"),
    "forbidden": (403, "this key may not use this model", "permission_denied"),
    "model": (404, "the model does not exist any more", "model_not_found"),
}
"""By `simulate.ends.by`: status, message and code."""


def quota_refusal(by: str) -> HttpRefusal:
    """What a server says that has stopped answering for good."""
    status, message, code = ENDS[by]
    return HttpRefusal(status, message, code=code)


def in_burst(bursts: Bursts, seconds: float) -> bool:
    """Whether it is a time of 429s, so many seconds after the first request."""
    return seconds % bursts.every >= bursts.every - bursts.lasts


def request_seconds(simulated: Simulated, running: int, chance: Random) -> float:
    """How long one request takes when so many are worked on."""
    spread = chance.uniform(1 - simulated.jitter, 1 + simulated.jitter)
    tail = TAIL if chance.random() < simulated.tail else 1
    load = 1.0 if simulated.knee is None else max(1.0, running / simulated.knee) ** 2
    return simulated.latency * spread * tail * load


def striking_fault(simulated: Simulated, chance: Random) -> str:
    """The key of the fault that strikes an attempt, by chance; empty where none does."""
    shares = {name: getattr(simulated, name) for name in ("hang", "errors", "reset", "garbage")}
    shares["trickle"] = simulated.trickle.share if simulated.trickle else 0.0
    return next((name for name, share in shares.items() if chance.random() < share), "")


async def reset_halfway(request: web.Request, body: bytes) -> web.StreamResponse:
    """Sends half of the body and resets the connection."""
    response = await _begin_body(request, body)
    await response.write(body[: len(body) // 2])
    cut_connection(request.transport)
    return response


async def trickle_body(request: web.Request, body: bytes, pause: float) -> web.StreamResponse:
    """Sends the body byte by byte."""
    response = await _begin_body(request, body)
    for place in range(len(body)):
        await asyncio.sleep(pause)
        await response.write(body[place : place + 1])
    return response


def cut_connection(transport: asyncio.BaseTransport | None) -> None:
    """Resets a connection, as a server does whose process has died."""
    if isinstance(transport, asyncio.Transport):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        transport.abort()


async def _begin_body(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    return response
