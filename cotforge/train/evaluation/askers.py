"""Whom questions are put to: a checkpoint in this process, or any OpenAI-compatible URL. Greedy, where no temperature is given."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol

from cotforge.coroutines import run_coroutine
from cotforge.errors import PipelineError, TeacherError
from cotforge.images import Sending
from cotforge.plan import Student
from cotforge.records import ANSWERED, Call, Fault, Outcome, OutcomeKind, Reply, Sample
from cotforge.redaction import holds_credential
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.local.engine import Asking, Generation
from cotforge.teachers.openai import Session
from cotforge.teachers.preflight import check_teachers
from cotforge.train.evaluation.batch_size import BATCH, next_batch

STUDENT = "student"
SPARE = 0.8
"""Share of a device's free memory that a larger batch may be reckoned to fill: answers may be longer than those seen so far."""
SEED = 0
"""Of answers that are drawn by chance in this process."""
ATTEMPTS, WAIT_S = 5, 1.0
"""Times one question is put to a server, and seconds after the first, doubled each time (ours)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a Sample; where the last message is the assistant's, it is to be gone on with."""

    sample: Sample
    messages: tuple[Mapping[str, Any], ...]
    seed: int | None = None
    """Of what is drawn for it, at a temperature, from all tokens: the same whatever is asked beside it. In [0, 2**63)."""


def by_size(questions: Sequence[Question]) -> list[int]:
    """Their places, the largest first: by the number of pictures, then by letters and pixels, which stand for tokens."""
    return sorted(range(len(questions)), key=lambda place: _question_size(questions[place]), reverse=True)


def _question_size(question: Question) -> tuple[int, int]:
    letters = sum(len(part["text"]) for message in question.messages for part in message["content"] if part["type"] == "text")
    pictures = question.sample.pictures
    return len(pictures), letters // 4 + sum(picture.width * picture.height for picture in pictures) // 28**2


class Asker(Protocol):
    """Answers questions; at a temperature of 0 greedily: the same answer each time, as it is where a question has a seed."""

    @property
    def name(self) -> str:
        """As figures name the model."""

    @property
    def dtype(self) -> str | None:
        """Of its weights, where that is known."""

    @property
    def engine(self) -> str:
        """What generates its answers."""

    def answers(
        self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
    ) -> list[Reply]:
        """A Reply each, in order, with `error` where none came; `done` is told how many more are over."""


class CheckpointAsker:
    """A student loaded into this process; it knows how large a batch fits."""

    engine = "transformers"

    def __init__(self, model: Any, processor: Any, *, name: str, batch: int | None = None) -> None:
        """With `batch`, none has more questions; without, they grow on a GPU as its memory allows."""
        from cotforge.teachers.local.transformers import Transformers  # torch

        self.name, self._model, self._grows = name, model, batch is None
        self.dtype: str | None = str(model.dtype).removeprefix("torch.")
        self._engine = Transformers(model, processor, batch=batch or BATCH)

    @classmethod
    def load(cls, model: str, *, root: Path = Path(), batch: int | None = None, spec: Student | None = None) -> "CheckpointAsker":
        """From a folder, relative to `root`, or a Hub id; in the dtype and with the budget of pixels of `spec`, where there is one.

        Raises PipelineError where it is no vision-language model that can be loaded.
        """
        import torch
        from transformers.utils import logging

        from cotforge.train.students import loaded_student

        logging.disable_progress_bar()
        asked = Student(model=model, dtype=dtype_of(spec), max_pixels=spec.max_pixels if spec else None)
        pupil = loaded_student.for_inference(asked, loaded_student.model_folder(model, root))
        return cls(pupil.model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), pupil.processor, name=model, batch=batch)

    def answers(
        self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
    ) -> list[Reply]:
        """Batches of questions about as long, the longest first, whose pictures are read when their turn comes.

        At a temperature the same answers each time too, as long as batches are the same.
        """
        found = self._generate_said(questions, done, max_tokens=max_tokens, temperature=temperature)
        return [_reply_of(found[place]) for place in range(len(questions))]

    def drawn(self, questions: Sequence[Question], *, max_tokens: int, seed: int, done: Callable[[int], object]) -> list[Generation]:
        """What it says at temperature 1, with the entropy of its tokens: the same for the same seed; no other draw is touched."""
        plain = {"temperature": 1.0, "top_p": 1.0, "body": {"top_k": 0, "repetition_penalty": 1.0}}
        found = self._generate_said(questions, done, seed=seed, max_tokens=max_tokens, entropy=True, **plain)
        return [found[place] for place in range(len(questions))]

    def _generate_said(
        self, questions: Sequence[Question], done: Callable[[int], object], *, seed: int = SEED, **sampling: Any
    ) -> dict[int, Generation]:
        """By the place of a question, what became of it. What else is drawn in this process is not touched."""
        import torch

        learning, device = self._model.training, self._model.device
        left, found = by_size(questions), dict[int, Generation]()
        self._model.eval()
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(seed)
                while left:
                    size = self._engine.batch
                    chunk, left = left[:size], left[size:]
                    with self._adapt_batch_size(size):
                        found |= {said.id: said for said in self._generate_batch([(place, questions[place]) for place in chunk], sampling)}
                    done(len(chunk))
        finally:
            self._model.train(learning)
        return found

    def _generate_batch(self, chunk: Sequence[tuple[int, Question]], sampling: Mapping[str, Any]) -> Iterator[Generation]:
        waiting = 0
        for place, question in chunk:
            try:
                images = {picture.digest: picture.file or picture.load() for picture in question.sample.pictures}
                self._engine.add(Asking(place, question.messages, images, seed=question.seed, **sampling))
            except Fault as fault:
                yield Generation(place, error=fault.reason, detail=fault.detail)
            else:
                waiting += 1
        while waiting:
            said = self._engine.step()
            waiting -= len(said)
            yield from said

    def perplexities(self, texts: Sequence[tuple[Question, str]]) -> list[float]:
        """exp(-1/T sum log p) over the T tokens of each text as the answer to a question. Raises Fault where a picture cannot be read."""
        from cotforge.train.evaluation.perplexity import completion_perplexities  # torch

        learning = self._model.training
        self._model.eval()
        try:
            return list(
                completion_perplexities(self._model, self._engine.processor, (_question_row(question, text) for question, text in texts))
            )
        finally:
            self._model.train(learning)

    @contextmanager
    def _adapt_batch_size(self, size: int) -> Iterator[None]:
        """Sets the size of the next batch by the memory that this one takes; one that did not fit is the last that was tried."""
        import torch

        if not self._grows or not torch.cuda.is_available():
            yield
            return
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield
        if self._engine.batch < size:
            self._grows = False
            return
        room = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - before
        self._engine.batch = next_batch(size, used=torch.cuda.max_memory_allocated() - before, room=int(SPARE * room))


def _reply_of(said: Generation) -> Reply:
    return Reply(
        "", said.content, finish_reason=said.finish_reason, input_tokens=said.input_tokens, output_tokens=said.output_tokens,
        outcome=Outcome(OutcomeKind.REFUSED, said.error, said.detail) if said.error else ANSWERED,
    )  # fmt: skip


def _question_row(question: Question, text: str) -> dict[str, Any]:
    """A question and an answer as a row of lessons. Raises Fault where a picture cannot be read."""
    from cotforge.teachers.local.engine import open_picture

    asked = "\n".join(part["text"] for message in question.messages for part in message["content"] if part["type"] == "text")
    return {
        "images": [open_picture(picture.file or picture.load(), picture.digest) for picture in question.sample.pictures],
        "prompt": [{"role": "user", "content": asked}],
        "completion": [{"role": "assistant", "content": text}],
    }


def dtype_of(spec: Student | None) -> Literal["float32", "bfloat16"]:
    """Of the weights of a student that is evaluated: as the plan says, else bfloat16 on a GPU and float32 on a CPU."""
    import torch

    return spec.dtype if spec is not None and spec.dtype else "bfloat16" if torch.cuda.is_available() else "float32"


class Endpoint:
    """A model behind a URL. Raises TeacherError where it is not there, or refuses to go on."""

    dtype: str | None = None
    engine = "server"

    def __init__(self, teacher: OpenAITeacher, *, sending: Sending, patience: float | None = None) -> None:
        """`patience`: seconds for one answer, all attempts together; a question that takes longer fails. None waits for all attempts."""
        self._patience = patience
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
            teacher = teacher.model_copy(update={"model": run_coroutine(_only_model(teacher))})
        run_coroutine(check_teachers([teacher]))
        return cls(teacher, sending=sending)

    def answers(
        self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
    ) -> list[Reply]:
        continued = bool(questions) and questions[0].messages[-1]["role"] == "assistant"
        body = {"continue_final_message": True, "add_generation_prompt": False} if continued else {}
        sampled = {"max_tokens": max_tokens, "body": body, "temperature": temperature}
        return run_coroutine(self._ask_all(questions, self._teacher.model_copy(update=sampled), done))

    async def _ask_all(self, questions: Sequence[Question], teacher: OpenAITeacher, done: Callable[[int], object]) -> list[Reply]:
        free = asyncio.Semaphore(teacher.concurrency)

        async def one(question: Question) -> Reply:
            async with free:
                try:
                    async with asyncio.timeout(self._patience):
                        reply = await self._ask_one(session, question, teacher)
                except TimeoutError:
                    reply = Reply("", outcome=Outcome(OutcomeKind.PASSING, "timeout", f"no answer within {self._patience:g} s"))
            done(1)
            return reply

        async with Session() as session:
            return await asyncio.gather(*map(one, questions))

    async def _ask_one(self, session: Session, question: Question, teacher: OpenAITeacher) -> Reply:
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
