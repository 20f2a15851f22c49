"""A stage of kind `grpo` in one of several processes: a rollout of given completions, then real ones. Run by tests/test_train_ranks.py."""

import json
import sys
import warnings
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from cotforge.answers import Task
from cotforge.plan import Grpo, Plan
from cotforge.prompts import Prompts
from cotforge.train import ranks
from cotforge.train.data.lessons import find_lessons
from cotforge.train.guards import MetricGuards
from cotforge.train.kinds import grpo
from cotforge.train.report.record import MetricsLog
from cotforge.train.rollouts.trainer import GrpoTrainer
from cotforge.train.stage_run import StageRun
from cotforge.train.students import loaded_student
from tests import squares

GROUP, ROLLOUT = 4, 12
"""Completions of a prompt, and of all processes together: of three groups, the second is one half here and one half there."""
TASK = Task(kind="classify", question="Which colour is this?", labels=tuple(squares.COLOURS))
SAID = [
    *map(squares.said, squares.COLOURS),
    squares.said("red"), "<think>Snow.</think>", "<answer>red</answer>", "",
    "<think>Warm.</think><answer>blue</answer>", "white", squares.said("white"), "<think>",
]  # fmt: skip
"""What is said in the first rollout, in the order of all processes: of some form or none, and right for some of the lessons."""


class Given(GrpoTrainer):
    """Says what it is given to say at first, and keeps the advantages that its own completions got."""

    own: list[float]

    def _generate_single_turn(self, prompt_ids: Any, *given: Any, **named: Any) -> Any:
        if self.state.global_step:
            return super()._generate_single_turn(prompt_ids, *given, **named)
        first = self.accelerator.process_index * len(prompt_ids)
        words = self.processing_class.tokenizer
        texts = SAID[first : first + len(prompt_ids)]
        return [[*words(text, add_special_tokens=False)["input_ids"], words.eos_token_id] for text in texts], None

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        found = super()._generate_and_score_completions(inputs)
        if not self.state.global_step:
            self.own = found["advantages"].tolist()
        return found


@dataclass(frozen=True)
class Scored:
    """What one process comes to."""

    own: list[float]
    """The advantages of its own completions of the first rollout."""
    weights: str
    """A hash of the student after all steps."""
    losses: list[float]
    budgeted: list[float]
    """Under a token budget: the loss of the first rollout, what is filled of the budget, and how many completions are taken."""


BUDGET = 120
"""Tokens: those of what the first process says, and of a part of what the second one does."""


def scored(folder: Path, model: Path, dataset: Path, *, processes: int) -> Scored:
    """Three steps of a stage in `folder`, of which this is one of so many processes, and one step under a token budget."""
    trainer, pupil = _trained(folder, model, dataset, processes=processes, steps=3)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    weights = sha256(b"".join(weight.detach().numpy().tobytes() for weight in pupil.model.parameters())).hexdigest()
    with_budget, _ = _trained(folder, model, dataset, processes=processes, steps=1, token_budget=BUDGET)
    row = with_budget.state.log_history[0]
    return Scored(trainer.own, weights, losses, [row["loss"], row["budget/filled"], row["budget/taken"]])


def _trained(folder: Path, model: Path, dataset: Path, *, processes: int, steps: int, token_budget: int | None = None) -> tuple[Given, Any]:
    stage = Grpo.model_validate(
        {
            "name": "reason", "kind": "grpo", "steps": steps, "token_budget": token_budget,
            "batch": ROLLOUT // processes, "accumulate": 1, "group": GROUP,
            "max_completion": 24, "learning_rate": 1e-3,
            "rewards": [{"measure": "well_formed", "weight": 0.5}, {"measure": "correct"}, {"measure": "finish_ok"}],
        }
    )  # fmt: skip
    lessons = find_lessons(dataset, cache=folder / "cache")
    work = StageRun(
        plan=Plan.model_validate({"student": {"model": str(model)}, "stages": [stage.model_dump(by_alias=True)]}), stage=stage, begin=model,
        out=folder, lessons=lambda: lessons, source=lambda: lessons, task=TASK, prompts=Prompts().load(folder), held_out=None, smoke=False,
        resume_from=None, record=MetricsLog(None, "reason"), cache=folder / "cache",
    )  # fmt: skip
    pupil = loaded_student.load_pupil(work.plan.student, model)
    rows = lessons.dataset([name for name in grpo.COLUMNS if name in lessons.dataset().column_names])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        trainer = Given(
            grpo.find_rewards(stage, work), rows, pupil, grpo.config_of(stage, work, pupil), watch=MetricGuards(print),
            table=folder / "completions" if token_budget is None else None, token_budget=token_budget,
        )  # fmt: skip
        trainer.train()
    return trainer, pupil


if __name__ == "__main__":
    torch.set_num_threads(1)
    ranks.join_processes()
    place, begin, learnt = map(Path, sys.argv[1:4])
    found = scored(place, begin, learnt, processes=2)
    (place / f"process-{torch.distributed.get_rank()}.json").write_text(json.dumps(vars(found)))
    torch.distributed.destroy_process_group()
