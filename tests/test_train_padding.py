"""Attention masks are left out where padding on the right changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cotforge.train.data.lessons import find_lessons
from cotforge.train.data.prepared import prepare_lessons
from cotforge.train.kinds import sft
from cotforge.train.students import loaded_student
from cotforge.train.students.padding import needs_mask
from tests.squares import write
from tests.test_families import loaded
from tests.test_train_sft import work


def batch(padding: int = 2) -> dict[str, Any]:
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 8]])
    mask, labels = torch.ones_like(ids), torch.tensor([[-100, 6, 7, 8], [-100, 6, 7, 8]])
    if padding:
        ids[1, -padding:], mask[1, -padding:], labels[1, -padding:] = 0, 0, -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def causal(one: dict[str, Any]) -> torch.Tensor:
    before = one["input_ids"].double().cumsum(dim=1)
    return before[one["labels"] != -100].sum()


def sees_all(one: dict[str, Any]) -> torch.Tensor:
    seen = one["input_ids"].double()
    seen = seen * one["attention_mask"] if "attention_mask" in one else seen
    return seen.sum()


def counts_places(one: dict[str, Any]) -> torch.Tensor:
    return causal(one) * (1.0 if "attention_mask" in one else 1.01)


def demands_one(one: dict[str, Any]) -> torch.Tensor:
    return causal(one) * one["attention_mask"].max()


@pytest.mark.parametrize(("loss_of", "needed"), [(causal, False), (sees_all, True), (counts_places, True), (demands_one, True)])
def test_a_mask_is_needed_where_the_loss_depends_on_it_or_on_the_padding(loss_of: Any, needed: bool) -> None:
    assert needs_mask(loss_of, batch()) is needed


def test_a_mask_stays_where_no_padding_is_there_to_try_it_with() -> None:
    assert needs_mask(causal, batch(padding=0))


@pytest.mark.parametrize(("family", "masked"), [("LLaVA", False), ("Qwen2.5-VL", False), ("SmolVLM", False), ("PaliGemma", None)])
def test_losses_are_those_with_masks_whatever_the_family(family: str, masked: bool | None, tmp_path: Path) -> None:
    pupil = loaded(tmp_path / "model", family)
    lessons = find_lessons(write(tmp_path / "dataset", 16, thoughts=["Hot. " * times for times in range(12)]), cache=tmp_path / "cache")
    given = work(tmp_path / "out", tmp_path / "model", lessons, learning_rate=1e-9)
    made = prepare_lessons(lessons, pupil.processor, cache=tmp_path / "made", cache_gb=1, kind=torch.float32, tell=lambda line: None)
    rows = sft.fitting_lessons(made, None)
    losses = []
    for stay in (True, False):
        pupil = loaded_student.load_pupil(given.plan.student, tmp_path / "model")
        assert isinstance(given.stage, sft.Sft)
        trainer = sft.SftTrainer(made, rows, pupil, sft.config_of(given.stage, given, made))
        trainer.masked = True if stay else None
        trainer.train()
        losses.append([row["loss"] for row in trainer.state.log_history if "loss" in row])
        assert masked is None or stay or trainer.masked is masked
    assert losses[0]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
