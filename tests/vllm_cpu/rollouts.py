"""Rollouts of a stage of kind `grpo` by vLLM on a CPU, beside what the student itself says: one line, FOUND and JSON.

python -m tests.vllm_cpu.rollouts FOLDER [URL]; FOLDER has `begin`, which vLLM starts with, `student`, which is trained, and `dataset`. With
a URL the rollouts are those of vLLM's server there, else of a vLLM in this process.
"""

import functools
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trl.generation.vllm_generation as by_vllm
import vllm

from cotforge.answers import Task
from cotforge.plan import Grpo, Plan
from cotforge.prompts import Prompts
from cotforge.train.data.lessons import find_lessons
from cotforge.train.guards import MetricGuards
from cotforge.train.kinds import grpo
from cotforge.train.report.record import MetricsLog
from cotforge.train.rollouts import rollout_engine
from cotforge.train.rollouts.trainer import GrpoTrainer
from cotforge.train.stage_run import StageRun
from cotforge.train.students import loaded_student
from tests import squares
from tests.vllm_cpu import transfer

TASK = Task(kind="classify", question="Which colour is this?", labels=tuple(squares.COLOURS))
STEPS = 2


class Compared(GrpoTrainer):
    """Asks vLLM also for its likeliest texts, and the student itself, with the weights of the same step."""

    found: list[dict[str, Any]]
    mute: list[int]

    def _generate_single_turn(self, prompt_ids: Any, images: Any, fields: Any, *given: Any, **named: Any) -> Any:
        sampled = super()._generate_single_turn(prompt_ids, images, fields, *given, **named)
        vllm, decode = self.vllm_generation, self.processing_class.tokenizer.decode
        vllm.top_k = 1
        _, theirs, *_ = vllm.generate(prompts=prompt_ids, images=images, num_generations=self.num_generations)
        vllm.top_k = self.args.top_k
        own = [self._said(ids, fields["pixel_values"][row]) for row, ids in enumerate(prompt_ids)]
        self.found.append({"vllm": [*map(decode, theirs)], "own": [*map(decode, own)], "sampled": [*map(decode, sampled[0])]})
        return sampled

    @torch.no_grad()
    def _said(self, prompt: list[int], picture: Any) -> list[int]:
        ids = torch.tensor([prompt])
        said = self.model.eval().generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=torch.tensor(np.array(picture))[None], do_sample=False,
            max_new_tokens=self.args.max_completion_length, suppress_tokens=self.mute,
        )  # fmt: skip
        self.model.train()
        return said[0, len(prompt) :].tolist()  # type: ignore[no-any-return]


def reloaded(sync: Any) -> Any:
    """vLLM's CPU build packs weights once they are loaded; this unpacks them for TRL's `sync_weights`, and packs them again."""

    @functools.wraps(sync)
    def synced(self: Any) -> None:
        if self.mode == "colocate":
            runner = self.llm.llm_engine.model_executor.driver_worker.model_runner
            transfer.initialize_layerwise_reload(runner.model)
            sync(self)
            transfer.finalize_layerwise_reload(runner.model, runner.model_config)
        else:
            sync(self)

    return synced


def main(folder: Path, url: str | None) -> dict[str, Any]:
    stage = Grpo.model_validate(
        {
            "name": "reason", "kind": "grpo", "steps": STEPS, "batch": 8, "accumulate": 1, "group": 2, "max_completion": 48,
            "learning_rate": 1e-2, "rewards": [{"measure": "scores.py:varied"}], "rollouts": "transformers",
        }
    )  # fmt: skip
    (folder / "scores.py").write_text(squares.VARIED)
    lessons = find_lessons(folder / "dataset", cache=folder / "cache")
    work = StageRun(
        plan=Plan.model_validate({"student": {"model": "student"}, "stages": [stage.model_dump(by_alias=True)]}), stage=stage,
        begin=folder / "student", out=folder, lessons=lambda: lessons, source=lambda: lessons, task=TASK, prompts=Prompts().load(folder),
        held_out=None, smoke=False, resume_from=None, record=MetricsLog(None, "reason"), cache=folder / "cache",
        root=folder,
    )  # fmt: skip
    pupil = loaded_student.load_pupil(work.plan.student, work.begin)
    config = grpo.config_of(stage, work, pupil)
    asked = stage.model_copy(update={"rollouts": "vllm"} | ({"trl": stage.trl | {"vllm_server_base_url": url}} if url else {}))
    fields = rollout_engine.choose_engine(asked, pupil, gpu=True).fields
    for name, value in {**fields, "vllm_server_base_url": url, "vllm_enable_sleep_mode": False}.items():
        setattr(config, name, value)
    config.generation_kwargs = grpo._mute_pictures(pupil, vllm=True)
    rollout_engine.fit_vllm(config, stage, pupil, longest=160, total=1 << 34)
    rollout_engine.read_from(pupil, folder / "begin")
    rows = lessons.dataset([name for name in grpo.COLUMNS if name in lessons.dataset().column_names])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Compared(grpo.find_rewards(stage, work), rows, pupil, config, watch=MetricGuards(print))
        trainer.found, trainer.mute = [], sorted(map(int, config.generation_kwargs["logit_bias"]))
        trainer.train()
    return {"rollouts": trainer.found, "log": [row for row in trainer.state.log_history if "loss" in row]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    by_vllm.LLM = functools.partial(vllm.LLM, enforce_eager=True, dtype="float32")
    by_vllm.VLLMGeneration.sync_weights = reloaded(by_vllm.VLLMGeneration.sync_weights)
    transfer.use_files(by_vllm.VLLMClient, Path(sys.argv[1]) / "weights.safetensors")
    print("\nFOUND " + json.dumps(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None), default=float), flush=True)
