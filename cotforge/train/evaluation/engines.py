"""Which engine generates a student's answers: vLLM in processes of its own, or transformers in all processes of the run together."""

import gc
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar

from cotforge.errors import PipelineError, TeacherError
from cotforge.plan import Student
from cotforge.records import Reply
from cotforge.train import ranks
from cotforge.train.evaluation.askers import STUDENT, Asker, CheckpointAsker, Question, by_size, dtype_of
from cotforge.train.evaluation.in_vllm import InVllm
from cotforge.train.links import link_or_copy

T = TypeVar("T")
Engine = Literal["auto", "vllm", "transformers"]

FEWEST = 256
"""Questions below which `auto` takes transformers: vLLM needs about a minute before its first answer."""
MOST_OF_GPU, LEFT_FREE = 0.9, 0.04
"""Share of a GPU's memory that vLLM may use (its own default), and the share of it that is left to whatever else is on the GPU."""
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

    def answers(
        self, questions: Sequence[Question], *, max_tokens: int, done: Callable[[int], object], temperature: float = 0.0
    ) -> list[Reply]:
        """In order. `done` is told what this process has done, times the number of processes."""
        if not ranks.is_distributed():
            return self.asker.answers(questions, max_tokens=max_tokens, done=done, temperature=temperature)
        order, told = by_size(questions), 0

        def counted(more: int) -> None:
            nonlocal told
            more = min(more * ranks.process_count(), len(questions) - told)
            told += more
            done(more)

        own = [questions[place] for place in ranks.share_of(order)]
        parts = ranks.gather_processes(lambda: self.asker.answers(own, max_tokens=max_tokens, done=counted, temperature=temperature))
        done(len(questions) - told)
        found = {
            place: reply for process, part in enumerate(parts) for place, reply in zip(ranks.share_of(order, process), part, strict=True)
        }
        return [found[place] for place in range(len(questions))]

    def perplexities(self, texts: Sequence[tuple[Question, str]]) -> list[float]:
        """In order, a part of them by each process. Raises PipelineError where its own asker cannot tell them."""
        asker = self.asker
        if not isinstance(asker, CheckpointAsker):
            raise PipelineError(f"{asker.name}: perplexities are told by transformers alone; set eval.engine to transformers")
        order = list(range(len(texts)))
        parts = ranks.gather_processes(lambda: asker.perplexities([texts[place] for place in ranks.share_of(order)]))
        found = dict[int, float]()
        for process, part in enumerate(parts):
            found.update(zip(ranks.share_of(order, process), part, strict=True))
        return [found[place] for place in order]


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
        return Shared(CheckpointAsker.load(self.model, root=self.root, batch=self.batch, spec=self.spec))

    def in_vllm(self, cache: Path) -> InVllm:
        """For the first of the processes; called in all of them, which free their GPU's memory first.

        Under a budget of pixels vLLM is given the processor with that budget, in a folder of links in `cache`.
        """
        share = min((free for free in ranks.gather_processes(_free_memory) if free is not None), default=None)
        return InVllm(ranks.from_first(lambda: self._serving_folder(cache)), name=self.model, dtype=dtype_of(self.spec), share=share)

    def _serving_folder(self, cache: Path) -> Path:
        from cotforge.train.students import processors

        weights = self.root / self.model
        if not weights.is_dir():
            from cotforge.train.students import loaded_student

            weights = loaded_student.model_folder(self.model, self.root)
        if self.spec is None or self.spec.max_pixels is None:
            return weights
        folder = cache / "served"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        processor = processors.load_processor(weights)
        processors.bound_pixels(processor, self.spec.max_pixels)
        processors.save_processor(processor, folder)
        for file in weights.iterdir():
            if file.is_file() and file.name != OLD_PROCESSOR and not (folder / file.name).exists():
                link_or_copy(str(file.resolve()), str(folder / file.name))
        return folder


def evaluate_candidate(
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
            return ranks.from_first(lambda: by(asker))
        except TeacherError as fault:
            said = str(fault).removeprefix(f"teacher {STUDENT!r}").lstrip(" :")
            if engine == "vllm":
                raise PipelineError(f"{key}: vLLM cannot run this student: {said}; set it to auto or transformers") from fault
            tell(f"  vLLM cannot run this student: {said}; transformers does")
    return by(candidate.loaded())


def check_engine(engine: Engine, key: str = "eval.engine") -> None:
    """Raises PipelineError where the engine that is asked for, by a key of the pipeline file, is not installed."""
    if engine == "vllm" and find_spec("vllm") is None:
        raise PipelineError(f"{key}: 'vllm' is not installed: pip install 'cotforge[vllm]', or set {key} to auto")


def _takes_vllm(engine: Engine, questions: int, key: str) -> bool:
    import torch

    check_engine(engine, key)
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
