"""Probes as stages of a run: their figures stand in `eval/`, in a line, and on the student's card."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cotforge.train.command import run_training
from cotforge.train.evaluation import routing, swapped
from cotforge.train.students import tiny
from tests import squares

STAGES: list[dict[str, Any]] = [
    {"name": "twice", "kind": "sft", "batch": 8, "steps": 2, "short_answers": True},
    {"name": "choice", "kind": "eval", "probe": "short_or_long"},
    {"name": "form", "kind": "sft", "from": "base", "batch": 8, "steps": 2, "shuffle_answers": True},
    {"name": "swap", "kind": "eval", "probe": "swapped_reasoning"},
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_run_measures_them_and_tells_of_them(tmp_path: Path) -> None:
    folder = squares.project(tmp_path / "p", *STAGES, eval={"split": "test", "when": "end", "at_most": 4})
    tiny.make_llava(folder / "student", squares.TEXTS, replace(squares.SIZE, context=160))  # it says nothing that ends
    lines: list[str] = []
    told = run_training(str(folder / "squares.yaml"), out=folder / "run", tell=lines.append)
    assert told == f"the student: {folder / 'run/train/student'}"
    plan = [line for line in lines if line[:2].isdigit()][:4]
    assert [line.split(", ")[-2:] for line in plan[::2]] == [
        ["100% in short form too", "16 of 32 lessons"],
        ["100% of the answers shuffled", "all 16 lessons"],
    ]
    assert [line.split(", ")[-1] for line in plan[1::2]] == ["probe short_or_long", "probe swapped_reasoning"]

    choice, swap = (json.loads((folder / "run" / "eval" / f"{name}.json").read_text()) for name in ("02-choice", "04-swap"))
    assert {"accuracy", "short_accuracy", "long_accuracy", "tokens", "tokens_saved"} <= choice[routing.NAME].keys()
    assert choice[routing.NAME]["n"] == choice[routing.NAME]["calibrated_on"] == 2
    assert swap[swapped.NAME].keys() >= {"n", *swapped.FIGURES}
    assert f"  02-choice: {routing.routing_text(choice)}" in lines
    assert f"  04-swap: {swapped.swaps_text(swap)}" in lines
    card = (folder / "run" / "train" / "student" / "README.md").read_text()
    assert (
        "- form learned 100% of its lessons with the answers of other samples (shuffle\\_answers), to teach the form of reasoning" in card
    )
    assert "Given the reasoning of another sample to go on from: swapped reasoning" in card
    assert "form of reasoning alone; right answers have to come from another stage.\n\n## On what it was not trained on" in card
