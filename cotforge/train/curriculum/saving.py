"""The state of a sampler in the checkpoints of its stage."""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from cotforge.train import ranks
from cotforge.train.curriculum.samplers import RowSampler

FILE = "curriculum.json"


class Saving(TrainerCallback):  # type: ignore[misc]
    """Writes the state into each checkpoint. It has to be called before a checkpoint is said to be whole."""

    def __init__(self, sampler: RowSampler) -> None:
        self.sampler = sampler

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint's folder is there; all processes have the same state."""
        if ranks.is_first():
            file = Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE
            file.write_text(json.dumps(self.sampler.state()), encoding="utf-8")


def restore_sampler(sampler: RowSampler, checkpoint: Path | None) -> None:
    """Have a sampler go on from a checkpoint, where there is one."""
    if checkpoint is not None:
        sampler.restore(json.loads((checkpoint / FILE).read_text(encoding="utf-8")))
