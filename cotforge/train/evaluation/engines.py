"""Which engine generates a student's answers: vLLM in processes of its own, or transformers in all processes of the run together."""

import asyncio
import gc
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

from cotforge.errors import PipelineError, TeacherError
from cotforge.plan import Student
from cotforge.records import Call, Reply
from cotforge.teachers.kinds.vllm import VllmTeacher
from cotforge.teachers.local import Local
from cotforge.train import ranks
from cotforge.train.evaluation.askers import STUDENT, Asker, Checkpoint, Question, by_size, dtype_of
from cotforge.train.links import linked

T = TypeVar("T")
Engine = Literal["auto", "vllm", "transformers"]

FEWEST = 256
"""Questions below which `auto` takes transformers: vLLM needs about a minute before its first answer."""
IN_FLIGHT = 256
"""Questions that one process of vLLM has at a time: its own default for sequences in a batch."""
MOST_OF_GPU, LEFT_FREE = 0.9, 0.04
"""Share of a GPU's memory that vLLM may use (its own default), and the share of it that is left to whatever else is on the GPU."""
DAY_S = 86_400.0
"""Seconds for one answer: evaluation has no deadline."""
OLD_PROCESSOR = "preprocessor_config.json"
"""Where older students have the budget of pixels; those saved by transformers 5 have it in `processor_config.json`."""


@dataclass(frozen=True)
class Shared:
    """An asker in each process of a run: each answers a part of the questions, and all get all answers."""

    asker: Asker
    """This process's own."""

    @property
    def name(self) -> str:
        return self.asker.name

    @property
    def dtype(self) -> str | None:
        return self.asker.dtype

    @property
    def engine(self) -> str:
        return self.asker.engine

    def answers(self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object]) -> list[Reply]:
        """In order. `done` is told what this process has done, times the number of processes."""
        if not ranks.several():
            return self.asker.answers(questions, max_tokens=max_tokens, done=done)
        order, told = by_size(questions), 0

        def counted(more: int) -> None:
            nonlocal told
            more = min(more * ranks.processes(), len(questions) - told)
            told += more
            done(more)

        own = [questions[place] for place in ranks.share_of(order)]
        parts = ranks.every(lambda: self.asker.answers(own, max_tokens=max_tokens, done=counted))
        done(len(questions) - told)
        found = {
            place: reply for process, part in enumerate(parts) for place, reply in zip(ranks.share_of(order, process), part, strict=True)
        }
        return [found[place] for place in range(len(questions))]


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

    def answers(self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object]) -> list[Reply]:
        """Raises TeacherError where vLLM cannot be loaded, does not serve this student, or died twice."""
        if not questions:
            return []
        if self._kept is not None:
            runner, local = self._kept
            return runner.run(_all(local, questions, done))
        return asyncio.run(self._alone(questions, max_tokens, done))

    @contextmanager
    def kept(self, max_tokens: int, *, temperature: float) -> Iterator[None]:
        """Has the processes stay for all calls of `answers`, with so many tokens, whose questions are drawn at one temperature."""
        with asyncio.Runner() as runner:
            local = Local(self._set(max_tokens, temperature), Path())
            self._kept = runner, runner.run(local.__aenter__())
            try:
                yield
            finally:
                self._kept = None
                runner.run(local.__aexit__())

    def _set(self, max_tokens: int, temperature: float | None, *, continued: bool = False) -> VllmTeacher:
        """Greedy without a temperature; else it draws from all tokens, whatever the model's makers recommend."""
        body: dict[str, Any] = {"continue_final_message": True, "add_generation_prompt": False} if continued else {}
        if temperature is None:
            return self._teacher.model_copy(update={"max_tokens": max_tokens, "body": body})
        body |= {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        return self._teacher.model_copy(update={"max_tokens": max_tokens, "temperature": temperature, "top_p": 1.0, "body": body})

    async def _alone(self, questions: Sequence[Question], max_tokens: int, done: Callable[[int], object]) -> list[Reply]:
        first = questions[0]
        temperature = None if first.draw is None else first.draw.temperature
        teacher = self._set(max_tokens, temperature, continued=first.messages[-1]["role"] == "assistant")
        async with Local(teacher, Path()) as local:
            return await _all(local, questions, done)


async def _all(local: Local, questions: Sequence[Question], done: Callable[[int], object]) -> list[Reply]:
    free: asyncio.Queue[str] = asyncio.Queue()

    async def one(question: Question) -> Reply:
        at = await free.get()
        try:
            reply = await _asked(local, question, at)
        finally:
            free.put_nowait(at)
        done(1)
        return reply

    for _ in range(local.most):
        for address in local.addresses:
            free.put_nowait(address)
    return await asyncio.gather(*map(one, questions))


async def _asked(local: Local, question: Question, at: str) -> Reply:
    """Asked again once where the process died meanwhile."""
    key = sha256(repr(question.messages).encode()).hexdigest()
    call = Call(key, question.sample, STUDENT, local.teacher.model, 0, question.messages)
    seed = None if question.draw is None else question.draw.seed
    for attempt in range(2):
        ended = await local.ask(call, None, at, number=attempt, timeout=lambda: DAY_S, seed=seed)
        if ended.outcome.closes:
            raise TeacherError(ended.outcome.detail)
        if not ended.outcome.retry:
            break
    return ended.reply


@dataclass(frozen=True)
class Candidate:
    """A model that is to be evaluated on this machine."""

    model: str
    """A folder, relative to `root`, or a Hub id."""
    spec: Student | None = None
    """Whose dtype and budget of pixels it is evaluated under; None leaves it its own."""
    root: Path = Path()
    batch: int | None = None
    """Questions at a time, at most, by transformers; None leaves that to the memory there is."""

    def loaded(self) -> Shared:
        """By transformers, in every process. Raises as `Checkpoint.load`."""
        return Shared(Checkpoint.load(self.model, root=self.root, batch=self.batch, spec=self.spec))

    def in_vllm(self, cache: Path) -> InVllm:
        """For the first of the processes; called in all of them, which free their GPU's memory first.

        Under a budget of pixels vLLM is given the processor with that budget, in a folder of links in `cache`.
        """
        share = min((free for free in ranks.every(_free_memory) if free is not None), default=None)
        return InVllm(ranks.shared(lambda: self._served(cache)), name=self.model, dtype=dtype_of(self.spec), share=share)

    def _served(self, cache: Path) -> Path:
        from cotforge.train.students import processors

        weights = self.root / self.model
        if not weights.is_dir():
            from cotforge.train.students import student

            weights = student.place(self.model, self.root)
        if self.spec is None or self.spec.max_pixels is None:
            return weights
        folder = cache / "served"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        processor = processors.load(weights)
        processors.bound(processor, self.spec.max_pixels)
        processors.save(processor, folder)
        for file in weights.iterdir():
            if file.is_file() and file.name != OLD_PROCESSOR and not (folder / file.name).exists():
                linked(str(file.resolve()), str(folder / file.name))
        return folder


def evaluated(
    candidate: Candidate,
    engine: Engine,
    questions: int,
    *,
    cache: Path,
    tell: Callable[[str], object],
    by: Callable[[Asker], T],
    key: str = "eval.engine",
) -> T:
    """What `by` makes of the candidate's asker, in all processes. Where vLLM serves it, the first one alone asks.

    Under `auto` vLLM is taken on a GPU, where it is installed and there are questions enough; where it cannot be, a line tells so. `key`
    of the pipeline file says which engine, for messages.
    Raises PipelineError where `vllm` is asked for and cannot be had, and what `by` raises.
    """
    if _takes_vllm(engine, questions, key):
        asker = candidate.in_vllm(cache)
        try:
            return ranks.shared(lambda: by(asker))
        except TeacherError as fault:
            said = str(fault).removeprefix(f"teacher {STUDENT!r}").lstrip(" :")
            if engine == "vllm":
                raise PipelineError(f"{key}: vLLM cannot run this student: {said}; set it to auto or transformers") from fault
            tell(f"  vLLM cannot run this student: {said}; transformers does")
    return by(candidate.loaded())


def check(engine: Engine, key: str = "eval.engine") -> None:
    """Raises PipelineError where the engine that is asked for, by a key of the pipeline file, is not installed."""
    if engine == "vllm" and find_spec("vllm") is None:
        raise PipelineError(f"{key}: 'vllm' is not installed: pip install 'cotforge[vllm]', or set {key} to auto")


def _takes_vllm(engine: Engine, questions: int, key: str) -> bool:
    import torch

    check(engine, key)
    installed = find_spec("vllm") is not None
    return engine == "vllm" or (engine == "auto" and questions >= FEWEST and installed and torch.cuda.is_available())


def _free_memory() -> float | None:
    """The share of this process's GPU that vLLM may use; None without a GPU."""
    import torch

    gc.collect()
    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return max(0.0, min(MOST_OF_GPU, round(float(free / total) - LEFT_FREE, 2)))
