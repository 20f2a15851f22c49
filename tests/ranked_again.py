"""A rollout whose groups are drawn again, in one of two processes that have different numbers of them. Run by tests/test_train_ranks.py."""

import json
import sys
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

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
from tests.ranked import TASK

GROUP, GROUPS = 4, 2
"""Completions of a prompt, and groups of each process."""
FORM, NONE = "<think>Warm.</think>\n<answer>mauve</answer>", "?"
VARIED, SAME = [FORM, NONE] * 2, [NONE] * 4
SAID = {0: [VARIED + SAME, VARIED, VARIED], 1: [SAME + SAME, SAME + VARIED, VARIED]}
"""By process, what is said in each draw of the first rollout: of the first, one has one group without variance, the other has two.

Both must draw as many each time: the first process draws two groups, of which it needs one, and at last one, of which it needs none.
"""


class Given(GrpoTrainer):
    """Says what it is given to say in the first rollout."""

    draws = 0
    advantages: list[float]

    def _generate_single_turn(self, prompt_ids: Any, *given: Any, **named: Any) -> Any:
        if self.state.global_step:
            return super()._generate_single_turn(prompt_ids, *given, **named)
        words, texts = self.processing_class.tokenizer, SAID[self.accelerator.process_index][self.draws]
        self.draws += 1
        texts = (texts * GROUPS)[: len(prompt_ids)]
        return [[*words(text, add_special_tokens=False)["input_ids"], words.eos_token_id] for text in texts], None

    def rollout(self, rows: Any) -> Any:
        made = super().rollout(rows)
        if not self.state.global_step:
            self.advantages = made["advantages"].tolist()
        return made


def main(folder: Path, model: Path, dataset: Path) -> None:
    """Two steps; what this process found is left as JSON."""
    stage = Grpo.model_validate(
        {
            "name": "reason", "kind": "grpo", "steps": 2, "batch": GROUP * GROUPS, "accumulate": 1, "group": GROUP, "max_completion": 24,
            "learning_rate": 1e-3, "resample": 3, "rewards": [{"measure": "well_formed"}],
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
        config = grpo.config_of(stage, work, pupil)
        trainer = Given(
            grpo.find_rewards(stage, work), rows, pupil, config, watch=MetricGuards(print), table=folder / "completions", resample=3
        )
        trainer.train()
    rank = torch.distributed.get_rank()
    first = next(row for row in trainer.state.log_history if "resample/flat" in row)
    told = {name: first[name] for name in ("resample/flat", "resample/drawn", "frac_reward_zero_std")}
    weights = sha256(b"".join(weight.detach().numpy().tobytes() for weight in pupil.model.parameters())).hexdigest()
    found = {"draws": trainer.draws, "advantages": trainer.advantages, "weights": weights, "told": told}
    (folder / f"process-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    ranks.join_processes()
    main(*map(Path, sys.argv[1:4]))
    torch.distributed.destroy_process_group()
