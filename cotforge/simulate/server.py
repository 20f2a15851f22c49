"""Serves simulated teachers over OpenAI's protocol, on 127.0.0.1 alone, with the faults their `simulate:` section asks for.

Only programs on this machine are answered (`callers`). Beside `/v1`: `/ledger` with what became of every request, as JSON, and, where a
teacher has a `queue`, vLLM's `/metrics`.
"""

import asyncio
import os
import time
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from cotforge.errors import PipelineError, TeacherError
from cotforge.garbage import rare_collections
from cotforge.simulate.callers import from_here_only
from cotforge.simulate.ledger import Ledger, metrics_page
from cotforge.simulate.reply import refusal_response
from cotforge.simulate.request import HttpRefusal, read_request
from cotforge.simulate.simulated_teacher import Role, SimulatedTeacher
from cotforge.simulate.transport_faults import cut_connection

HOST = "127.0.0.1"
MOST_BYTES = 64 << 20
"""Of a request's body."""
HIDING = frozenset({401, 403, 404})
"""Who is told one of these does not see the model in the list either."""


@dataclass(slots=True)
class SimulatedServer:
    """What is played at one port, and since when somebody listens."""

    stages: dict[str, SimulatedTeacher]
    """By model."""
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = 0.0
    """When the first completion was asked for, by the monotonic clock; meaningless before."""

    def since(self) -> float:
        """Seconds since the first request, which may be this one."""
        if not self.opened.is_set():
            self.began = time.monotonic()
            self.opened.set()
        return time.monotonic() - self.began


HOUSE: web.AppKey[SimulatedServer] = web.AppKey("house", SimulatedServer)


async def serve_teachers(
    roles: Sequence[Role],
    labels: Sequence[str],
    *,
    port: int,
    root: Path,
    ready: Callable[[str], object],
    ledgers: MutableMapping[str, Ledger] | None = None,
) -> None:
    """Serves until cancelled; `ready` gets the base URL, which all teachers share (a request's `model` tells them apart).

    `labels` are the task's, empty where the answer is free; `root` is the folder of the pipeline file; port 0 takes a free one. `ledgers`
    are kept by model, and shared with other ports where these are given the same.
    Raises PipelineError where a teacher cannot be trained, TeacherError where the port is taken.
    """
    with rare_collections(), ThreadPoolExecutor(2, thread_name_prefix="looking") as pool:
        house = SimulatedServer(_make_stages(roles, labels, {} if ledgers is None else ledgers, root, pool))
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[from_here_only])
        app.add_routes(
            [
                web.get("/v1/models", _handle_models),
                web.post("/v1/chat/completions", _handle_completion),
                web.get("/ledger", _handle_ledger),
            ]
        )
        if any(stage.role.simulated.queue for stage in house.stages.values()):
            app.add_routes([web.get("/metrics", _handle_metrics)])
        app[HOUSE] = house
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        try:
            await _listen_until(runner, house, port, ready)
        finally:
            await runner.cleanup()


async def _listen_until(runner: web.AppRunner, house: SimulatedServer, port: int, ready: Callable[[str], object]) -> None:
    """Listens until cancelled, but for the times in which a teacher is down."""
    site = await _start_site(runner, port)
    port = runner.addresses[0][1]
    ready(f"http://{HOST}:{port}/v1")
    await house.opened.wait()
    downs = {(down.after, down.after + down.lasts) for stage in house.stages.values() if (down := stage.role.simulated.down)}
    for begins, ends in sorted(downs):
        await asyncio.sleep(begins - house.since())
        await site.stop()
        for connection in runner.server.connections if runner.server else ():
            cut_connection(connection.transport)
        await asyncio.sleep(ends - house.since())
        site = await _start_site(runner, port)
    await asyncio.Event().wait()


async def _start_site(runner: web.AppRunner, port: int) -> web.TCPSite:
    site = web.TCPSite(runner, HOST, port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        raise TeacherError(
            f"{HOST}:{port}: cannot be listened on ({os.strerror(error.errno or 0)}); stop what runs there, or change the port: "
            "in teachers[].url, or --port for a teacher that is not on this machine"
        ) from error
    return site


def _make_stages(
    roles: Sequence[Role], labels: Sequence[str], ledgers: MutableMapping[str, Ledger], root: Path, pool: ThreadPoolExecutor
) -> dict[str, SimulatedTeacher]:
    """One per model. Raises PipelineError where two teachers of one model are to be played differently."""
    stages: dict[str, SimulatedTeacher] = {}
    for role in roles:
        ledger = ledgers.setdefault(role.model, Ledger())
        if role.name not in ledger.teachers:
            ledger.teachers.append(role.name)
        twin = stages.get(role.model)
        if twin is None:
            stages[role.model] = SimulatedTeacher(role, labels, ledger, root=root, pool=pool)
        elif twin.role[2:] != role[2:]:
            raise PipelineError(
                f"teachers {twin.role.name!r} and {role.name!r}: model {role.model!r} cannot be simulated in two ways at once"
            )
    return stages


async def _handle_models(request: web.Request) -> web.Response:
    found = {model: stage.refused(request.headers.get("Authorization")) for model, stage in request.app[HOUSE].stages.items()}
    served = [model for model, refused in found.items() if refused is None or refused.status not in HIDING]
    closed = [refused for refused in found.values() if refused is not None and refused.status in (401, 403)]
    if closed and not served:
        return refusal_response(closed[0])
    return web.json_response({"object": "list", "data": [{"id": model, "object": "model", "owned_by": "cotforge"} for model in served]})


async def _handle_completion(request: web.Request) -> web.StreamResponse:
    house = request.app[HOUSE]
    try:
        asked = read_request(await request.read())
        if asked.model not in house.stages:
            raise HttpRefusal(
                404, f"the model {asked.model!r} does not exist; served here: {', '.join(house.stages)}", code="model_not_found"
            )
    except HttpRefusal as refused:
        return refusal_response(refused)
    return await house.stages[asked.model].play(request, asked, since=house.since())


async def _handle_ledger(request: web.Request) -> web.Response:
    return web.json_response({model: stage.ledger.shown() for model, stage in request.app[HOUSE].stages.items()})


async def _handle_metrics(request: web.Request) -> web.Response:
    queues = (stage for stage in request.app[HOUSE].stages.values() if stage.role.simulated.queue)
    page = metrics_page((stage.role.model, stage.running, stage.in_flight - stage.running) for stage in queues)
    return web.Response(body=page.encode(), headers={"Content-Type": "text/plain; version=1.0.0; charset=utf-8"})
