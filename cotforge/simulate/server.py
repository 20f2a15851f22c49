"""Serves simulated teachers over OpenAI's protocol, on 127.0.0.1 alone, with the faults their `simulate:` section asks for."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

from aiohttp import web

from cotforge.errors import PipelineError, TeacherError
from cotforge.simulate.request import Asked, Refused, read
from cotforge.simulate.speaker import Speaker, Spoken
from cotforge.teachers.simulated import Simulated
from cotforge.teachers.teacher import Teacher

HOST = "127.0.0.1"
MOST_BYTES = 64 << 20
"""Of a request's body."""


class Role(NamedTuple):
    """A teacher to be played."""

    name: str
    model: str
    simulated: Simulated
    key: str | None = None
    """The bearer key a request must carry; None asks for none."""

    @classmethod
    def of(cls, teacher: Teacher) -> Self:
        """A teacher of a pipeline, played as its `simulate` section says. Raises PipelineError where its key is not in the environment."""
        try:
            return cls(teacher.name, teacher.model, teacher.simulate or Simulated(), teacher.key())
        except KeyError as error:
            raise PipelineError(f"teacher {teacher.name!r}: the environment has no variable {teacher.key_env!r}") from error


async def serve(roles: Sequence[Role], labels: Sequence[str], *, port: int, root: Path, ready: Callable[[str], object]) -> None:
    """Serves until cancelled; `ready` gets the base URL, which all teachers share (a request's `model` tells them apart).

    `labels` are the task's, empty where the answer is free; `root` is the folder of the pipeline file; port 0 takes a free one.
    Raises PipelineError where a teacher cannot be trained, TeacherError where the port is taken.
    """
    with ThreadPoolExecutor(2, thread_name_prefix="looking") as pool:
        stages = _stages(roles, labels, root, pool)
        app = web.Application(client_max_size=MOST_BYTES)
        app.add_routes([web.get("/v1/models", _models), web.post("/v1/chat/completions", _complete)])
        app[STAGES] = stages
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port, backlog=1024).start()
            ready(f"http://{HOST}:{runner.addresses[0][1]}/v1")
            await asyncio.Event().wait()
        except OSError as error:
            raise TeacherError(
                f"{HOST}:{port}: cannot be listened on ({os.strerror(error.errno or 0)}); stop what runs there, or choose another port"
            ) from error
        finally:
            await runner.cleanup()


class Stage:
    """Where one teacher is played: its server's pace and faults."""

    def __init__(self, role: Role, speaker: Speaker, pool: ThreadPoolExecutor) -> None:
        self.role = role
        self.in_flight = 0
        self._speaker = speaker
        self._pool = pool
        self._chance = Random(role.simulated.seed)

    async def play(self, asked: Asked, *, gone: Callable[[], bool]) -> dict[str, Any]:
        """The body of a reply, after the teacher's latency. Raises Refused where it errs; hangs until the client is `gone`."""
        simulated = self.role.simulated
        if simulated.limit is not None and self.in_flight >= simulated.limit:
            raise Refused(429, "too many requests in flight", code="rate_limit_exceeded", retry_after=simulated.retry_after)
        self.in_flight += 1
        try:
            return await self._play(asked, simulated, gone)
        finally:
            self.in_flight -= 1

    async def _play(self, asked: Asked, simulated: Simulated, gone: Callable[[], bool]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        due = loop.time() + simulated.latency * self._chance.uniform(1 - simulated.jitter, 1 + simulated.jitter)
        if self._chance.random() < simulated.hang:
            await _until(gone)
        fails = self._chance.random() < simulated.errors or self._speaker.strikes(asked, "broken", simulated.broken)
        reply = None if fails else _body(asked, *await loop.run_in_executor(self._pool, self._speaker.reply, asked))
        await asyncio.sleep(max(0.0, due - loop.time()))
        if reply is None:
            raise Refused(500, "the simulated server failed", code="internal_error")
        return reply


async def _until(gone: Callable[[], bool]) -> None:
    while not gone():
        await asyncio.sleep(0.05)


STAGES: web.AppKey[dict[str, Stage]] = web.AppKey("stages", dict)


def _stages(roles: Sequence[Role], labels: Sequence[str], root: Path, pool: ThreadPoolExecutor) -> dict[str, Stage]:
    """One per model. Raises PipelineError where two teachers of one model are to be played differently."""
    stages: dict[str, Stage] = {}
    for role in roles:
        twin = stages.get(role.model)
        if twin is None:
            stages[role.model] = Stage(role, Speaker(role.model, role.simulated, labels, root=root), pool)
        elif twin.role[2:] != role[2:]:
            raise PipelineError(
                f"teachers {twin.role.name!r} and {role.name!r}: model {role.model!r} cannot be simulated in two ways at once"
            )
    return stages


async def _models(request: web.Request) -> web.Response:
    served = [stage.role.model for stage in request.app[STAGES].values() if _may(request, stage.role)]
    if not served:
        return _refusal(Refused(401, "incorrect API key", code="invalid_api_key"))
    return web.json_response({"object": "list", "data": [{"id": model, "object": "model", "owned_by": "cotforge"} for model in served]})


async def _complete(request: web.Request) -> web.Response:
    stages = request.app[STAGES]
    try:
        asked = read(await request.read())
        stage = stages.get(asked.model)
        if stage is None:
            raise Refused(404, f"the model {asked.model!r} does not exist; served here: {', '.join(stages)}", code="model_not_found")
        if not _may(request, stage.role):
            raise Refused(401, "incorrect API key", code="invalid_api_key")
        return web.json_response(await stage.play(asked, gone=lambda: request.transport is None))
    except Refused as refused:
        return _refusal(refused)


def _may(request: web.Request, role: Role) -> bool:
    return role.key is None or request.headers.get("Authorization") == f"Bearer {role.key}"


def _refusal(refused: Refused) -> web.Response:
    headers = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
    return web.json_response(refused.body(), status=refused.status, headers=headers)


def _body(asked: Asked, choices: Sequence[Spoken], input_tokens: int) -> dict[str, Any]:
    """A `chat.completion` object."""
    output_tokens = sum(choice.tokens for choice in choices)
    return {
        "id": f"chatcmpl-{asked.digest.hex()[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.model,
        "choices": [
            {"index": index, "message": {"role": "assistant", "content": choice.text}, "finish_reason": choice.finish_reason}
            for index, choice in enumerate(choices)
        ],
        "usage": {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": input_tokens + output_tokens},
    }
