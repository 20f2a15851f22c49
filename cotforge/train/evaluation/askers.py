"""Whom held-out questions are put to: a checkpoint in this process, or any OpenAI-compatible URL. Greedy, both."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from cotforge.errors import PipelineError, TeacherError
from cotforge.images import Sending
from cotforge.plan import Student
from cotforge.records import ANSWERED, Call, Fault, Outcome, OutcomeKind, Reply, Sample
from cotforge.redaction import holds_credential
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.openai import Session
from cotforge.teachers.preflight import preflight

STUDENT = "student"
ATTEMPTS, WAIT_S = 5, 1.0
"""Times one question is put to a server, and seconds after the first, doubled each time (ours)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a Sample; where the last message is the assistant's, it is to be gone on with."""

    sample: Sample
    messages: tuple[Mapping[str, Any], ...]


class Asker(Protocol):
    """Answers questions greedily: the same answer each time."""

    name: str
    dtype: str | None
    """Of its weights, where that is known."""

    def answers(self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object]) -> list[Reply]:
        """A Reply each, in order, with `error` where none came; `done` is told how many more are over."""


class Checkpoint:
    """A student loaded into this process; it knows how large a batch fits."""

    def __init__(self, model: Any, processor: Any, *, name: str, batch: int = 16) -> None:
        from cotforge.teachers.local.transformers import Transformers  # torch

        self.name, self._model, self._batch = name, model, batch
        self.dtype: str | None = str(model.dtype).removeprefix("torch.")
        self._engine = Transformers(model, processor, batch=batch)

    @classmethod
    def load(cls, model: str, *, root: Path = Path(), batch: int = 16) -> "Checkpoint":
        """From a folder, relative to `root`, or a Hub id. Raises PipelineError where it is no vision-language model that can be loaded."""
        import torch
        from transformers.utils import logging

        from cotforge.train.students import student

        logging.disable_progress_bar()
        pupil = student.for_inference(Student(model=model), student.place(model, root))
        return cls(pupil.model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), pupil.processor, name=model, batch=batch)

    def answers(self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object]) -> list[Reply]:
        """Batches of questions whose pictures are read when their turn comes."""
        learning = self._model.training
        self._model.eval()
        try:
            found = dict(self._answers(questions, max_tokens, done))
        finally:
            self._model.train(learning)
        return [found[place] for place in range(len(questions))]

    def _answers(self, questions: Sequence[Question], max_tokens: int, done: Callable[[int], object]) -> Iterator[tuple[int, Reply]]:
        from cotforge.teachers.local.engine import Asking

        for first in range(0, len(questions), self._batch):
            chunk, waiting = questions[first : first + self._batch], 0
            for place, question in enumerate(chunk, first):
                try:
                    images = {picture.digest: picture.file or picture.load() for picture in question.sample.pictures}
                    self._engine.add(Asking(place, question.messages, images, max_tokens=max_tokens))
                except Fault as fault:
                    yield place, Reply("", outcome=Outcome(OutcomeKind.REFUSED, fault.reason, fault.detail))
                else:
                    waiting += 1
            while waiting:
                for said in self._engine.step():
                    waiting -= 1
                    yield said.id, Reply(
                        "", said.content, finish_reason=said.finish_reason, input_tokens=said.input_tokens,
                        output_tokens=said.output_tokens,
                        outcome=Outcome(OutcomeKind.REFUSED, said.error, said.detail) if said.error else ANSWERED,
                    )  # fmt: skip
            done(len(chunk))


class Endpoint:
    """A model behind a URL, asked at temperature 0. Raises TeacherError where it is not there, or refuses to go on."""

    dtype: str | None = None

    def __init__(self, teacher: OpenAITeacher, *, sending: Sending) -> None:
        self.name, self._teacher, self._sending = f"{teacher.model} at {teacher.url[0]}", teacher, sending

    @classmethod
    def at(cls, url: str, model: str | None, *, sending: Sending, key_env: str | None = None, concurrency: int = 16) -> "Endpoint":
        """`model` may be left out where only one is served. Raises TeacherError, PipelineError."""
        try:
            teacher = OpenAITeacher(name=STUDENT, model=model or "?", url=(url,), temperature=0.0, key_env=key_env, concurrency=concurrency)
        except ValueError as fault:
            told = "" if "@" in url else f" {url}"  # a password may stand before it
            raise PipelineError(f"--url{told}: is not a URL of a server; write it like 'http://localhost:8000/v1'") from fault
        if model is None:
            teacher = teacher.model_copy(update={"model": asyncio.run(_only_model(teacher))})
        asyncio.run(preflight([teacher]))
        return cls(teacher, sending=sending)

    def answers(self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object]) -> list[Reply]:
        continued = bool(questions) and questions[0].messages[-1]["role"] == "assistant"
        body = {"continue_final_message": True, "add_generation_prompt": False} if continued else {}
        return asyncio.run(self._all(questions, self._teacher.model_copy(update={"max_tokens": max_tokens, "body": body}), done))

    async def _all(self, questions: Sequence[Question], teacher: OpenAITeacher, done: Callable[[int], object]) -> list[Reply]:
        free = asyncio.Semaphore(teacher.concurrency)

        async def one(question: Question) -> Reply:
            async with free:
                reply = await self._ask(session, question, teacher)
            done(1)
            return reply

        async with Session() as session:
            return await asyncio.gather(*map(one, questions))

    async def _ask(self, session: Session, question: Question, teacher: OpenAITeacher) -> Reply:
        key = sha256(repr(question.messages).encode()).hexdigest()
        call = Call(key, question.sample, STUDENT, teacher.model, 0, question.messages)
        urls = self._sending.of(question.sample.pictures)
        try:
            await asyncio.to_thread(urls.encode)
        except Fault as fault:
            return Reply(key, outcome=Outcome(OutcomeKind.REFUSED, fault.reason, fault.detail))
        for attempt in range(ATTEMPTS):
            ended = await session.ask(call, teacher, teacher.url[0], images=urls, number=attempt)
            outcome = ended.outcome
            if outcome.closes:
                raise TeacherError(f"{self.name}: {outcome.error}: {outcome.detail}")
            if not outcome.retry:
                break
            await asyncio.sleep(min(30.0, WAIT_S * 2**attempt if outcome.after is None else outcome.after))
        return ended.reply


async def _only_model(teacher: OpenAITeacher) -> str:
    async with Session() as session:
        try:
            models = (await session.models(teacher, teacher.url[0])).models
        except (OSError, ValueError) as fault:
            raise TeacherError(f"{teacher.url[0]}: no answer: {fault}; is the server up?") from fault
    if len(models) != 1:
        raise TeacherError(f"{teacher.url[0]}: serves {len(models)} models; say which with --model")
    if holds_credential(models[0]):
        raise TeacherError(f"{teacher.url[0]}: the id of the model that it serves holds your key; say which with --model")
    return models[0]
