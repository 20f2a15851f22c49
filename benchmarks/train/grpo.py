"""Seconds of a step of `grpo`, ours beside plain TRL's, step by step in turns: same student, lessons, batch, rewards and seed.

    python -m benchmarks.train.grpo [--steps 30] [--tokens 64] [--width 128]

Pictures of 448 pixels, 16 completions in groups of 8. The student is not trained before: it says what comes, and ends now and then by
itself, which is rewarded. Ours has its guards, its record and its table of completions.
"""

import argparse
import re
import tempfile
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from transformers import PrinterCallback
from trl import GRPOTrainer

from benchmarks.forge.table import print_table
from benchmarks.train import ground
from benchmarks.train.turns import Turn, steps
from cotforge.plan import Grpo
from cotforge.train.guards import MetricGuards
from cotforge.train.kinds import grpo
from cotforge.train.rewards import Rewards
from cotforge.train.rollouts.trainer import GrpoTrainer
from cotforge.train.stage_run import StageRun, drive_trainer
from cotforge.train.students import loaded_student

BATCH, GROUP = 16, 8
LESSONS = 32
FORM = re.compile(r"<think>.*?</think>\s*<answer>.*?</answer>", re.DOTALL)


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--steps", type=int, default=30)
    asked.add_argument("--tokens", type=int, default=64, help="of a completion, at most")
    asked.add_argument("--width", type=int, default=128, help="of the student's hidden states")
    given = asked.parse_args()
    measure(given.steps, given.tokens, given.width)


def measure(count: int, tokens: int, width: int) -> None:
    """So many steps of each, after one that is not counted."""
    ground.quiet()
    stage = Grpo.model_validate(
        {
            "name": "reason", "kind": "grpo", "batch": BATCH, "accumulate": 1, "group": GROUP, "max_completion": tokens, "steps": count + 1,
            "learning_rate": 1e-4, "rewards": [{"measure": "well_formed"}, {"measure": "finish_ok"}],
        }
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin, dataset = ground.student(folder / "student", width=width), ground.write(folder / "dataset", LESSONS)
        works = [ground.work(folder / each, begin, stage, dataset) for each in ("plain", "ours")]
        works[0].data().dataset()  # made for both
        taken = steps({"TRL": lambda turn: _plain(works[0], stage, turn), "cotforge": lambda turn: _ours(works[1], stage, turn)}, count + 1)
    print(f"{count} steps of {BATCH} completions of at most {tokens} tokens, groups of {GROUP}, width {width}; seconds a step\n")
    plain, ours = taken["TRL"], taken["cotforge"]
    middle = median(plain.seconds[1:])
    lines = []
    for name, each in taken.items():
        parts = quantiles(each.seconds[1:], n=4)
        lines.append((name, *(f"{part:.3f}" for part in parts), f"{parts[1] / middle:.2f}", f"{median(each.cpu[1:]):.3f}"))
    print_table(("", "lower quartile", "median", "upper quartile", "of TRL's", "median CPU s"), lines)
    low, half, high = quantiles([one / other for one, other in zip(ours.seconds[1:], plain.seconds[1:], strict=True)], n=4)
    apart = max(abs(one - other) for one, other in zip(ours.losses, plain.losses, strict=True))
    print(f"\nOurs over TRL's step by step: {half:.3f}, quartiles {low:.3f} and {high:.3f}. Their losses are at most {apart:.1e} apart.")


def _ours(work: StageRun, stage: Grpo, turn: Turn) -> None:
    pupil, rows = loaded_student.load_pupil(work.plan.student, work.begin), work.data().seen(grpo.COLUMNS)
    watch = MetricGuards(lambda line: None)
    rewards = Rewards.of(stage.rewards, work.task, work.root)
    config = grpo.config_of(stage, work, pupil)
    trainer = GrpoTrainer(rewards, rows, pupil, config, watch=watch, table=work.out / "completions")
    with work.record:
        drive_trainer(trainer, work, pupil, watch, last=turn)


def _plain(work: StageRun, stage: Grpo, turn: Turn) -> None:
    pupil, rows = loaded_student.load_pupil(work.plan.student, work.begin), work.data().dataset(grpo.COLUMNS)
    config = grpo.config_of(stage, work, pupil)
    config.reward_weights = [0.5, 0.5]
    end = pupil.processor.tokenizer.convert_tokens_to_ids(ground.END)

    def well_formed(completions: Any, **_: Any) -> list[float]:
        return [float(FORM.fullmatch(said[0]["content"]) is not None) for said in completions]

    def ended(completion_ids: Any, **_: Any) -> list[float]:
        return [float(end in ids) for ids in completion_ids]

    rewards: list[Any] = [well_formed, ended]
    trainer = GRPOTrainer(pupil.model, rewards, args=config, train_dataset=rows, processing_class=pupil.processor)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(turn)
    trainer.train()


if __name__ == "__main__":
    main()
