"""A student's folder in vLLM, in processes of its own."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from cotforge.coroutines import run_coroutine
from cotforge.errors import TeacherError
from cotforge.records import Call, Reply
from cotforge.teachers.kinds.vllm import VllmTeacher
from cotforge.teachers.local import Local
from cotforge.train.evaluation.askers import STUDENT, Question

IN_FLIGHT = 256
"""Questions that one process of vLLM has at a time: its own default for sequences in a batch."""
DAY_S = 86_400.0
"""Seconds for one answer: evaluation has no deadline."""


class InVllm:
    """A student's folder, asked in vLLM: one process a GPU, started for the questions and gone after them."""

    engine = "vllm"

    def __init__(self, folder: Path, *, name: str, dtype: Literal["float32", "bfloat16"], share: float | None) -> None:
        """`share` of each GPU's memory is vLLM's; None where there is no GPU."""
        self.name, self.dtype = name, dtype
        self._kept: tuple[asyncio.Runner, Local] | None = None
        # On a CPU, compiling takes longer than the compiled model saves.
        memory = {"enforce_eager": True} if share is None else {"gpu_memory_utilization": share}
        self._teacher = VllmTeacher(
            name=STUDENT, model=str(folder), temperature=0.0, concurrency=IN_FLIGHT, timeout=DAY_S, engine={"dtype": dtype, **memory}
        )

    def answers(
        self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
    ) -> list[Reply]:
        """Raises TeacherError where vLLM cannot be loaded, does not serve this student, or died twice."""
        if self._kept is not None:
            runner, local = self._kept
            return runner.run(_ask_all(local, questions, done))
        continued = bool(questions) and questions[0].messages[-1]["role"] == "assistant"
        return run_coroutine(_ask_alone(self._set_sampling(max_tokens, temperature, continued=continued), questions, done))

    @contextmanager
    def kept(self, *, max_tokens: int, temperature: float) -> Iterator[None]:
        """Has the processes stay for all calls of `answers`, which are to have these tokens and this temperature."""
        with asyncio.Runner() as runner:
            local = Local(self._set_sampling(max_tokens, temperature), Path())
            self._kept = runner, runner.run(local.__aenter__())
            try:
                yield
            finally:
                self._kept = None
                runner.run(local.__aexit__())

    def _set_sampling(self, max_tokens: int, temperature: float, *, continued: bool = False) -> VllmTeacher:
        """At a temperature it draws from all tokens, whatever the model's makers recommend."""
        body: dict[str, Any] = {"continue_final_message": True, "add_generation_prompt": False} if continued else {}
        drawn: dict[str, Any] = {"temperature": temperature}
        if temperature:
            drawn["top_p"] = 1.0
            body |= {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        return self._teacher.model_copy(update={"max_tokens": max_tokens, "body": body, **drawn})


async def _ask_alone(teacher: VllmTeacher, questions: Sequence[Question], done: Callable[[int], object]) -> list[Reply]:
    async with Local(teacher, Path()) as local:
        return await _ask_all(local, questions, done)


async def _ask_all(local: Local, questions: Sequence[Question], done: Callable[[int], object]) -> list[Reply]:
    free: asyncio.Queue[str] = asyncio.Queue()

    async def one(question: Question) -> Reply:
        at = await free.get()
        try:
            reply = await _ask_question(local, question, at)
        finally:
            free.put_nowait(at)
        done(1)
        return reply

    for _ in range(local.most):
        for address in local.addresses:
            free.put_nowait(address)
    return await asyncio.gather(*map(one, questions))


async def _ask_question(local: Local, question: Question, at: str) -> Reply:
    """Asked again once where the process died meanwhile."""
    key = sha256(repr(question.messages).encode()).hexdigest()
    call = Call(key, question.sample, STUDENT, local.teacher.model, 0, question.messages)
    for attempt in range(2):
        ended = await local.ask(call, None, at, number=attempt, timeout=lambda: DAY_S, seed=question.seed)
        if ended.outcome.closes:
            raise TeacherError(ended.outcome.detail)
        if not ended.outcome.retry:
            break
    return ended.reply
