"""Memory: nothing of a stage is alive in the next, the longest batch comes first, and memory that is short is one line."""

import gc
from collections import Counter
from pathlib import Path
from weakref import WeakSet

import pytest
import torch
from transformers import PreTrainedModel

from cotforge.train.command import train
from tests.squares import project

SFT = {"name": "inject", "kind": "sft", "steps": 2, "batch": 4}
GRPO = {
    "name": "reason", "kind": "grpo", "steps": 2, "batch": 4, "group": 2, "max_completion": 8, "beta": 0.1, "learning_rate": 1e-5,
    "rewards": [{"measure": "well_formed"}],
}  # fmt: skip
DPO = {"name": "prefer", "kind": "dpo", "steps": 2, "batch": 4}


@pytest.mark.parametrize("student", [{}, {"lora": {"rank": 2}}])
def test_nothing_of_a_stage_is_alive_in_the_next(tmp_path: Path, student: dict[str, object]) -> None:
    """Each line that is told finds no model and no optimizer but those that were there before."""
    folder = project(tmp_path, SFT, GRPO, DPO, {"name": "again", "kind": "sft", "steps": 1, "batch": 4}, student=student)
    alive: list[Counter[str]] = []
    kinds = (PreTrainedModel, torch.optim.Optimizer)
    known = WeakSet(each for each in gc.get_objects() if isinstance(each, kinds))

    def tell(line: str) -> None:
        if line[:2].isdigit() or "held out" in line or "done in" in line:
            found = [each for each in gc.get_objects() if isinstance(each, kinds) and each not in known]
            alive.append(Counter(type(each).__name__ for each in found))

    told = train(str(folder / "squares.yaml"), out=folder / "run", tell=tell)
    assert told.startswith("the student: ")
    assert len(alive) >= 8
    assert not any(alive)
