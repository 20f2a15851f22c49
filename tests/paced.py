"""A stage of kind `sft` with a bandit, and what its sampler and its trainer did at each step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cotforge.plan import Sft
from cotforge.train.curriculum.of_stage import of_lessons
from cotforge.train.curriculum.samplers import RowSampler
from cotforge.train.data.lessons import find_lessons
from cotforge.train.data.prepared import Prepared
from cotforge.train.kinds import sft
from cotforge.train.students import loaded_student
from tests.test_train_sft import made, work


@dataclass
class Noting:
    """A sampler, and what it drew and was told."""

    sampler: RowSampler
    drawn: list[list[int]] = field(default_factory=list)
    told: list[list[float]] = field(default_factory=list)

    def draw(self, count: int) -> list[int]:
        self.drawn.append(self.sampler.draw(count))
        return self.drawn[-1]

    def see(self, values: Sequence[float]) -> None:
        self.told.append(list(values))
        self.sampler.see(values)

    def metrics(self) -> dict[str, float]:
        return self.sampler.metrics()

    def state(self) -> dict[str, Any]:
        return self.sampler.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.sampler.restore(state)


class Listening(sft.SftTrainer):
    """Keeps the batches that it learns, and the losses that it finds."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.learned: list[list[int]] = []
        """The sum of each lesson's tokens, by which lessons are told apart."""
        self.tokens: list[list[int]] = []
        """How many of each lesson's are learned."""
        self.found: list[list[float]] = []

    def chosen(self, batches: int, size: int) -> Iterator[dict[str, Any]] | None:
        found = list(super().chosen(batches, size) or ())
        for batch in found:
            self.learned.append((batch["input_ids"] * batch["attention_mask"]).sum(dim=1).tolist())
            self.tokens.append(batch["labels"].ne(-100).sum(dim=1).tolist())
        return iter(found)

    def after_losses(self, losses_B: torch.Tensor) -> None:  # noqa: N803
        super().after_losses(losses_B)
        self.found.append(losses_B.tolist())


def sum_of(prepared: Prepared, row: int) -> int:
    """Of a lesson's tokens."""
    tokens, _ = prepared[row]
    return int(tokens["prompt"].sum() + tokens["completion"].sum())


def learn(folder: Path, model: Path, dataset: Path, **keys: Any) -> tuple[Listening, Noting, Prepared, Any]:
    """A stage with a bandit: its trainer after the last step, the sampler, the lessons, and the student."""
    lessons = find_lessons(dataset, cache=folder / "cache")
    job = work(folder, model, lessons, curriculum={"by": "loss", "how": "bandit", "explore": 0.5}, learning_rate=3e-3, **keys)
    assert isinstance(job.stage, Sft)
    pupil = loaded_student.load_pupil(job.plan.student, model)
    prepared = made(folder, pupil, lessons)
    config, rows = sft.config_of(job.stage, job, prepared), list(range(len(lessons)))
    sampler = of_lessons(job.stage, job, config, lessons, [(row, prepared.lengths[row]) for row in rows])
    assert sampler is not None
    noting = Noting(sampler)
    trainer = Listening(prepared, rows, pupil, config, sampler=noting)
    trainer.train()
    return trainer, noting, prepared, pupil
