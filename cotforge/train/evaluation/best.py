"""The best checkpoint of a stage by a figure on what is held out: each is tried as it is saved, and the best one's weights are left."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from cotforge.atomic import replace_folder, write_whole
from cotforge.errors import PipelineError
from cotforge.plan import EntropyBand
from cotforge.train import ranks
from cotforge.train.evaluation.askers import CheckpointAsker
from cotforge.train.evaluation.trials import Trials
from cotforge.train.links import link_or_copy
from cotforge.train.report.record import MetricsLog
from cotforge.train.students.loaded_student import Pupil
from cotforge.train.trl_seam import load_weights

FILE = "best.json"
"""In a stage's folder: `metric`, `step` of the best checkpoint, its `figure`, and the figures of all by their step, `tried`.

Where a band of entropy is asked for, also that `band`, and `entropy` of all by their step.
"""
BESIDE = ("optimizer*", "scheduler*", "scaler*", "rng_state*", "training_args.bin", "trainer_state.json", "whole.json")
"""Files of a checkpoint that are no part of the student."""


@dataclass
class Best(TrainerCallback):  # type: ignore[misc]
    """Tries every checkpoint before it counts as whole, and keeps the student of the best; of two that are equal, the later one.

    With a `band` the best one is that whose entropy is nearest to it, and of those as near that with the highest figure.
    """

    trials: Trials
    metric: str
    pupil: Pupil
    folder: Path
    """The stage's."""
    record: MetricsLog
    band: EntropyBand | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Raises PipelineError where there will be no checkpoint to try."""
        if args.save_strategy == "no":
            raise PipelineError("eval.best: there is no checkpoint to choose from; leave save_strategy out of trl:")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is there, and not yet whole."""
        checkpoint, name = Path(args.output_dir) / f"checkpoint-{state.global_step}", f"step {state.global_step}"
        student = CheckpointAsker(self.pupil.model, self.pupil.processor, name=name)
        figure = self.trials.figures(student, name)[self.metric]
        entropy = None if self.band is None else self.trials.entropy(student, name)
        ranks.from_first(lambda: self._weigh_checkpoint(checkpoint, state.global_step, figure, entropy))

    def take(self, trainer: Any) -> None:
        """Have the trainer's student be the best one again."""
        held = chosen_checkpoints(self.folder)
        step, figure, tried = held["step"], held["figure"], held["tried"]
        if step != trainer.state.global_step:
            load_weights(trainer, str(self._kept_path(step)))
        which = f"of {len(tried):,} checkpoints that of step {step:,} is the best by {self.metric}, {figure:.3f}"
        if self.band is not None:
            nats, (low, high) = held["entropy"][str(step)], self.band.entropy
            near = "within" if not self.band.distance(nats) else "nearest to"
            which += f", of those {near} {low:g} to {high:g} nats a token: it has {nats:.3f}"
        self.record.say(f"{which}; its weights are the stage's")

    def _kept_path(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"best-{step}"

    def _weigh_checkpoint(self, checkpoint: Path, step: int, figure: float | None, entropy: float | None) -> None:
        """Keep the checkpoint where it is the best so far. Raises PipelineError where its figure is unknown."""
        if figure is None:
            raise PipelineError(f"eval.best: {self.metric} is unknown here; take another metric")
        held = chosen_checkpoints(self.folder)
        if not held or not self._kept_path(held["step"]).is_dir():
            held = {"metric": self.metric, "step": step, "figure": figure, "tried": {}}
            held |= {} if self.band is None else {"band": list(self.band.entropy), "entropy": {}}
        before = held["step"]
        held["tried"][str(step)] = figure
        if entropy is not None:
            held["entropy"][str(step)] = entropy
        if self._checkpoint_merit(held, step) >= self._checkpoint_merit(held, before):
            held |= {"step": step, "figure": figure}
            self._keep_checkpoint(checkpoint, step)
        write_whole(self.folder / FILE, json.dumps(held))
        if before != held["step"]:
            shutil.rmtree(self._kept_path(before), ignore_errors=True)
        told = f"step {step:,}: {self.metric} {figure:.3f} on what is held out"
        told += f", entropy {entropy:.3f} nats a token" if entropy is not None else ""
        self.record.say(f"{told}; the best is {held['figure']:.3f}, of step {held['step']:,}")

    def _checkpoint_merit(self, held: dict[str, Any], step: int) -> tuple[float, float]:
        """What the better of two checkpoints has more of."""
        outside = 0.0 if self.band is None else self.band.distance(held["entropy"][str(step)])
        return -outside, held["tried"][str(step)]

    def _keep_checkpoint(self, checkpoint: Path, step: int) -> None:
        """The student of a checkpoint, which will be removed when there are later ones."""
        beside = shutil.ignore_patterns(*BESIDE)
        with replace_folder(self._kept_path(step)) as passing:
            shutil.copytree(checkpoint, passing, copy_function=link_or_copy, ignore=beside, dirs_exist_ok=True)


def chosen_checkpoints(folder: Path) -> dict[str, Any]:
    """What is known of the checkpoints of a stage in its folder; nothing where none was tried."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
