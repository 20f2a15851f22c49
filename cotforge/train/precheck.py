"""Rewards of all stages, tried before anything is evaluated or trained, and by `cotforge check`. Nothing here imports torch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import pyarrow.parquet as pq

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.pipeline import Loaded
from cotforge.plan import Dpo, Grpo, Plan, Stage
from cotforge.prompts import Family
from cotforge.records import Fault, Sample
from cotforge.sandbox import LEARNING, Prompt
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.rewards import PromptedSample, Rewards
from cotforge.train.versions import vllm_lacks

TRIED = 32
"""Lessons that rewards are tried on."""
COLUMNS = ("id", "prompt", "question", "options", "answer", "label", "confidence", "completion")
"""Of them, where they have them."""
THOUGHT = "The picture shows several things. What matters for the question is seen in its middle, and the rest of it agrees with that."
"""A reasoning, where rewards are tried on labels alone."""

Rows = Iterable[Mapping[str, Any]]


class Context(Protocol):
    """What is known of a run."""

    @property
    def task(self) -> Task: ...
    @property
    def prompts(self) -> Family: ...
    @property
    def root(self) -> Path: ...
    @property
    def lessons(self) -> Callable[[], Lessons]: ...
    @property
    def source(self) -> Callable[[], Lessons]: ...


def is_rewarded(stage: Stage) -> TypeGuard[Grpo | Dpo]:
    """Whether a stage takes rewards of what its student says."""
    return isinstance(stage, Grpo) or (isinstance(stage, Dpo) and stage.makes_rollouts)


def try_rewards(stage: Grpo | Dpo, run: Context) -> Rewards:
    """The rewards of a stage, found, and tried on its data. Raises PipelineError with a line for each that is wrong.

    A stage on `source` learns no text, and the source has labels alone: there they are tried on the dataset's lessons, where there are any,
    else on labels in the form of a lesson.
    """
    try:
        rows = _first_rows(run.lessons())
    except PipelineError:
        if stage.learns_from != "source":
            raise
        rows = _first_rows(run.source(), run.prompts.completion)
    return _try_on_rows(stage, rows, task=run.task, root=run.root)


def _try_on_rows(stage: Grpo | Dpo, rows: Rows, *, task: Task, root: Path, made_up: bool = False) -> Rewards:
    """Rows that are `made_up`, because there is no lesson yet, show only that a reward can be taken and stays in its range."""
    try:
        rewards = _measure_rewards(stage, task, root)
        rewards.tried(((PromptedSample.of(row, task), row["completion"][-1]["content"]) for row in rows), made_up=made_up)
    except PipelineError as fault:
        raise PipelineError(*(f"stage {stage.name!r}: {line}" for line in fault.faults)) from fault
    return rewards


def _measure_rewards(stage: Grpo | Dpo, task: Task, root: Path) -> Rewards:
    """Those that are measures; nobody is asked here for that of a reader."""
    reader = stage.reader if isinstance(stage, Grpo) else None
    return Rewards.of(stage.rewards, task, root, beside=reader.weight if reader else 0.0)


def _first_rows(lessons: Lessons, says: Prompt | None = None) -> Iterator[dict[str, Any]]:
    """The first of the lessons, without their pictures; with `says`, their answers in the form of a lesson."""
    known = set(pq.read_schema(lessons.files[0]).names)
    for row in islice(lessons.rows([name for name in COLUMNS if name in known]), TRIED):
        yield row if says is None else row | {"completion": [{"role": "assistant", "content": says.complete(THOUGHT, row["answer"])}]}


def try_all(plan: Plan, take: Callable[[Grpo | Dpo], object]) -> None:
    """Have every stage with rewards tried by `take`. Raises PipelineError with the faults of all of them at once."""
    faults: list[str] = []
    for stage in plan.expanded():
        if is_rewarded(stage):
            try:
                take(stage)
            except PipelineError as fault:
                faults += fault.faults
    if faults:
        raise PipelineError(*faults)


def without_vllm(stages: Iterable[Stage], lacks: Callable[[], str] = vllm_lacks) -> list[str]:
    """A line for each of the stages whose completions vLLM is to make, where this machine `lacks` something for that."""
    wanted = [stage.name for stage in stages if isinstance(stage, Grpo) and stage.wants_vllm]
    lacked = lacks() if wanted else ""
    return [f"stage {name!r}: rollouts: vllm: {lacked}; set rollouts to transformers" for name in wanted if lacked]


def check_training(loaded: Loaded, run: Path, samples: Callable[[], Iterator[Sample | Fault]]) -> None:
    """What `cotforge check` tries of `train:` in a run folder: on its lessons where there are any, else on labels of the source.

    Nothing is fetched from the Hub. Raises PipelineError.
    """
    plan, task = loaded.pipeline.train, loaded.pipeline.task
    if plan is None:
        return
    folder = run / "dataset" if plan.data is None else loaded.root / plan.data
    held_out = loaded.pipeline.eval

    def take(stage: Grpo | Dpo) -> object:
        if folder.is_dir():
            lessons = find_lessons(folder, cache=run / "train" / "cache", without=held_out.split if held_out else None)
            return _try_on_rows(stage, _first_rows(lessons), task=task, root=loaded.root)
        rows = list(_labelled_rows(loaded, samples()))
        if not rows:
            return _measure_rewards(stage, task, loaded.root)
        return _try_on_rows(stage, rows, task=task, root=loaded.root, made_up=stage.learns_from == "lessons")

    try_all(plan, take)


def label_only(loaded: Loaded) -> Prompt:
    """What a student learns to say from a label without a reasoning."""
    says = loaded.prompts.completion
    return says if "reasoning" not in says.inputs else Prompt.load("label_only/completion", loaded.root, LEARNING)


def _labelled_rows(loaded: Loaded, samples: Iterable[Sample | Fault]) -> Iterator[dict[str, Any]]:
    """The first samples with a label as rows of lessons."""
    labelled = (sample for sample in samples if isinstance(sample, Sample) and sample.label is not None)
    for sample in islice(labelled, TRIED):
        with suppress(Fault):  # no prompt can be made of it: no lesson either
            asked, said = loaded.prompts.student.render(sample), loaded.prompts.completion.complete(THOUGHT, str(sample.label))
            yield {
                "id": sample.id, "prompt": [{"role": "user", "content": asked}], "question": sample.question,
                "options": sample.options or None, "answer": sample.label, "label": sample.label,
                "completion": [{"role": "assistant", "content": said}],
            }  # fmt: skip
