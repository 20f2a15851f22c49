"""Teachers in processes of their own on this machine: one worker per GPU, each with the whole model."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cotforge.endings import Closing
from cotforge.errors import TeacherError
from cotforge.images import Urls
from cotforge.records import Call, Fault, Outcome, OutcomeKind
from cotforge.replies.attempt import Attempt, failed_attempt
from cotforge.teachers.kind import TeacherBackend
from cotforge.teachers.local.engine import Generation
from cotforge.teachers.local.spec import LocalTeacher
from cotforge.teachers.local.worker_process import Gone, Process
from cotforge.teachers.wire import attempt_of

__all__ = ["Local"]


class Local(TeacherBackend):
    """One local teacher while it is loaded: `async with Local(teacher, root) as local:` starts its workers and ends them.

    Inside, `addresses` names them: `gpu:0`, or `cpu`. Raises TeacherError, one line, where they cannot be. Pictures go by reference.
    """

    def __init__(self, teacher: LocalTeacher, root: Path) -> None:
        self.teacher = teacher
        self._model, self._devices = teacher.model_at(root), teacher.workers()
        self._workers: dict[str, _Worker] = {}
        self.addresses, self.most = tuple(self._devices), teacher.concurrency * teacher.ahead

    async def __aenter__(self) -> Self:
        """Waits until all workers are ready, be it after a download."""
        self._workers = {place: _Worker(self.teacher, self._model, place, devices) for place, devices in self._devices.items()}
        try:
            await asyncio.gather(*(worker.process() for worker in self._workers.values()))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Returns when their processes are gone, and their memory is free for the next teacher."""
        await asyncio.gather(*(worker.end() for worker in self._workers.values()))

    async def ask(
        self, call: Call, images: Urls | None, at: str, *, number: int, timeout: Callable[[], float], seed: int | None = None
    ) -> Attempt:
        """Ask one worker and wait for its end. With a `seed`, what is drawn is the same whatever else is asked.

        `unreached` where the worker died: it is started again by the next Call, once; then `closes` is `engine`.
        """
        begun, seconds_at_most = time.monotonic(), timeout()

        def ended(outcome: Outcome) -> Attempt:
            seconds = time.monotonic() - begun
            return failed_attempt(call.key, outcome, number=number, max_tokens=self.teacher.max_tokens, seconds=seconds)

        def passing(error: str, detail: str) -> Attempt:
            return ended(Outcome(OutcomeKind.PASSING, error, detail, retry=True))

        try:
            process = await self._workers[at].process()
            begun = time.monotonic()
            said = await process.ask(call, seconds_at_most, seed=seed)
        except TeacherError as fault:
            return ended(Outcome(OutcomeKind.GONE, "engine", str(fault), retry=True, unreached=True, closes=Closing.ENGINE))
        except Gone as fault:
            return ended(Outcome(OutcomeKind.PASSING, "engine", str(fault), retry=True, unreached=True))
        except Fault as fault:
            return ended(Outcome(OutcomeKind.REFUSED, fault.reason, fault.detail, of_request=True))
        except TimeoutError:
            return passing("timeout", f"no whole answer within {seconds_at_most:g} s")
        if said.error:
            kind = OutcomeKind.PASSING if said.passing else OutcomeKind.REFUSED
            return ended(Outcome(kind, said.error, said.detail, retry=said.passing, of_request=not said.passing))
        body = _completion_body(self.teacher.model, said)
        return attempt_of(body, number=number, call=call, teacher=self.teacher, seconds=time.monotonic() - begun).with_retry(False)


class _Worker:
    """The process at one place, and the one that may take its place."""

    def __init__(self, teacher: LocalTeacher, model: str, place: str, devices: str) -> None:
        self._teacher, self._model, self._place, self._devices = teacher, model, place, devices
        self._starting = self._start_process()
        self._again = True

    def _start_process(self) -> asyncio.Task[Process]:
        return asyncio.create_task(Process.start(self._teacher, self._model, place=self._place, devices=self._devices))

    async def process(self) -> Process:
        """The process, once it is ready; one that died is replaced, the first time. Raises TeacherError where there is none any more."""
        if self._is_alive() is False and self._again:
            self._again, self._starting = False, self._start_process()
        process = await asyncio.shield(self._starting)  # a Call that is cancelled leaves it to the others
        if process.gone and not self._again:
            raise TeacherError(f"{process.why}, the second time")
        return process

    def _is_alive(self) -> bool | None:
        """Whether the process lives; None where it is not there yet, or could not be started."""
        if not self._starting.done() or self._starting.cancelled() or self._starting.exception():
            return None
        return not self._starting.result().gone

    async def end(self) -> None:
        self._starting.cancel()
        await asyncio.wait([self._starting])
        if self._is_alive() is not None:
            await self._starting.result().end()


def _completion_body(model: str, said: Generation) -> str:
    """As a chat completion, the form in which the journal keeps every reply."""
    message = {"role": "assistant", "content": said.content}
    usage = {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
    }
    choice = {"index": 0, "message": message, "finish_reason": said.finish_reason}
    return json.dumps({"object": "chat.completion", "model": model, "choices": [choice], "usage": usage})
