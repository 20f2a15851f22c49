"""Where one model is played: who may ask, how long an answer takes, and which fault befalls it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import NamedTuple, Self

from aiohttp import web

from cotforge.errors import PipelineError
from cotforge.simulate import transport_faults
from cotforge.simulate.ledger import Ledger, LedgerEntry
from cotforge.simulate.reply import answer_response, completion_body, failure_response, refusal_response
from cotforge.simulate.request import HttpRefusal, ParsedRequest
from cotforge.simulate.speaker import Speaker, Spoken
from cotforge.teachers.simulated import Simulated
from cotforge.teachers.teacher import Teacher


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


class SimulatedTeacher:
    """One model at one port. Raises PipelineError where it cannot be trained."""

    def __init__(self, role: Role, labels: Sequence[str], ledger: Ledger, *, root: Path, pool: ThreadPoolExecutor) -> None:
        self.role = role
        self.ledger = ledger
        self.in_flight = 0
        """Requests that were not refused at the door: those worked on and those that wait."""
        self.running = 0
        simulated = role.simulated
        self._speaker = Speaker(role.model, simulated, labels, root=root)
        other = simulated.model_copy(update={"seed": simulated.seed + 1, "learn": None, "cells": None})
        self._successor = Speaker(role.model, other, labels, root=root)
        self._pool = pool
        self._chance = Random(simulated.seed)
        self._places = asyncio.Semaphore(simulated.queue or sys.maxsize)
        self._taken = 0

    def refused(self, authorization: str | None) -> HttpRefusal | None:
        """Why a request that carries this header is not answered at all; None where it may be."""
        ends = self.role.simulated.ends
        if self.role.key is not None and authorization != f"Bearer {self.role.key}":
            return HttpRefusal(401, "incorrect API key", code="invalid_api_key")
        return transport_faults.quota_refusal(ends.by) if ends is not None and self._taken >= ends.after else None

    async def play(self, request: web.Request, asked: ParsedRequest, *, since: float) -> web.StreamResponse:
        """The answer to a request, or its fault; `since` is how many seconds ago the server had its first."""
        with self.ledger.request() as entry:
            try:
                self._admit_request(request.headers.get("Authorization"), since)
                async with self._wait_turn():
                    return await self._answer_request(request, asked, entry)
            except HttpRefusal as refused:
                entry.ended = str(refused.status)
                return refusal_response(refused, self.role.simulated.retry_after)

    def _admit_request(self, authorization: str | None, since: float) -> None:
        """Takes a request, or raises Refused."""
        simulated = self.role.simulated
        if no := self.refused(authorization):
            raise no
        if simulated.bursts is not None and transport_faults.in_burst(simulated.bursts, since):
            raise HttpRefusal(429, "too many requests; slow down", code="rate_limit_exceeded")
        if simulated.limit is not None and self.in_flight >= simulated.limit:
            raise HttpRefusal(429, "too many requests in flight", code="rate_limit_exceeded")
        self._taken += 1
        if simulated.drift is not None and self._taken > simulated.drift:
            self._speaker = self._successor

    @contextlib.asynccontextmanager
    async def _wait_turn(self) -> AsyncIterator[None]:
        """A place among the requests worked on, waited for where all are taken."""
        self.in_flight += 1
        try:
            async with self._places:
                self.running += 1
                try:
                    yield
                finally:
                    self.running -= 1
        finally:
            self.in_flight -= 1

    async def _answer_request(self, request: web.Request, asked: ParsedRequest, entry: LedgerEntry) -> web.StreamResponse:
        loop, simulated = asyncio.get_running_loop(), self.role.simulated
        seconds = transport_faults.request_seconds(simulated, self.running, self._chance)
        fault = transport_faults.striking_fault(simulated, self._chance)
        if fault == "hang":
            entry.ended = "hung"
            await loop.create_future()
        if fault == "errors":
            await asyncio.sleep(seconds)
            entry.ended = str(simulated.error_status)
            return failure_response(simulated)
        until = loop.time() + seconds
        try:
            reply = await self._look_and_speak(asked)
        except Exception:
            await asyncio.sleep(until - loop.time())
            raise
        await asyncio.sleep(until - loop.time())
        return await self._send_reply(request, completion_body(asked, *reply, usage=simulated.usage), fault, entry)

    async def _look_and_speak(self, asked: ParsedRequest) -> tuple[list[Spoken], int]:
        """What is said, as `Speaker.reply`. To hand small pictures to a thread, and to be handed the reply, takes longer than to look."""
        if asked.has_small_pictures:
            return self._speaker.reply(asked)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._speaker.reply, asked)

    async def _send_reply(self, request: web.Request, body: bytes, fault: str, entry: LedgerEntry) -> web.StreamResponse:
        """The reply, on the wire as the fault has it."""
        if fault == "reset":
            entry.ended = "reset"
            return await transport_faults.reset_halfway(request, body)
        if fault == "garbage":
            entry.ended = "garbled"
            return answer_response(body[: len(body) // 2])
        trickle = self.role.simulated.trickle
        response = (
            await transport_faults.trickle_body(request, body, trickle.pause) if fault == "trickle" and trickle else answer_response(body)
        )
        entry.ended = "answered"
        return response
