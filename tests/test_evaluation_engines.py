"""Who generates held-out answers: all processes of a run together, in batches as large as fit, or vLLM where it is asked for."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.plan import Student
from cotforge.train.evaluation.askers import by_size
from cotforge.train.evaluation.batch_size import LARGEST, next_batch
from cotforge.train.evaluation.engines import Candidate
from cotforge.train.students import tiny
from tests import squares
from tests.nursery import Nursery, module
from tests.project import ran
from tests.sharing import SCORED, answered, drawn, questions

INJECT = {"name": "inject", "kind": "sft", "batch": 8, "steps": 2}


def test_two_processes_answer_half_of_the_questions_each_and_all_as_one_would_and_draw_the_same(
    vlm: Path, tmp_path: Path, nursery: Nursery
) -> None:
    dataset = squares.write(tmp_path / "dataset", 8)
    done = nursery.train(tmp_path, vlm, dataset, tmp_path, count=2, program=module("tests.sharing"))
    assert done.returncode == 0, done.stderr
    two = [json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in (0, 1)]
    one = answered(vlm) | drawn(vlm, dataset, tmp_path / "one")
    assert two[0]["said"] == two[1]["said"] == one["said"]
    assert len(set(one["said"])) >= 4
    assert two[0]["pairs"] == two[1]["pairs"] == one["pairs"]
    assert two[0]["made"] == one["made"]
    assert [each["own"] for each in two] == [12, 11]
    assert one["own"] == 23
    assert (two[0]["told"], one["told"]) == (23, 23)
    assert two[0]["perplexities"] == two[1]["perplexities"] == one["perplexities"], "a text at a time, whoever takes it"
    assert len(set(one["perplexities"])) == SCORED
    assert two[0]["fault"] == two[1]["fault"] == "a fault of process 1"


def test_a_run_of_two_processes_has_the_figures_of_one_and_chooses_the_same_checkpoint(tmp_path: Path, nursery: Nursery) -> None:
    stage = INJECT | {"batch": 4, "learning_rate": 1e-3, "trl": {"save_steps": 1}}
    folder = squares.project(tmp_path / "p", stage, eval={"split": "test", "best": "accuracy", "between": 5})
    shutil.rmtree(folder / "student")
    tiny.make_llava(folder / "student", squares.TEXTS, replace(squares.SIZE, context=120))
    done = nursery.train(folder, "train", "squares.yaml", "--out", "run", count=2)
    assert done.returncode == 0, done.stderr
    two = {file.stem: json.loads(file.read_text()) for file in (folder / "run" / "eval").iterdir()}
    assert {name: found["n"] for name, found in two.items()} == {"00-base": 5, "01-inject": 8}
    assert done.stderr.count("held out (5)") == done.stderr.count("held out (8)") == 1
    best = json.loads((folder / "run" / "train" / "01-inject" / "manifest.json").read_text())["best"]
    assert [*best["tried"]] == ["1", "2"]
    shutil.rmtree(folder / "run" / "eval")
    alone = ran("train", "squares.yaml", "--out", "run", cwd=folder)
    assert "done already" in alone.stderr
    one = {file.stem: json.loads(file.read_text()) for file in (folder / "run" / "eval").iterdir()}
    for found in (*one.values(), *two.values()):
        found.pop("seconds")
    assert one == two


def test_questions_are_asked_by_pictures_and_length_the_longest_first() -> None:
    order = by_size(asked := questions())
    sizes = [(len(asked[place].sample.pictures), len(asked[place].messages[0]["content"][-1]["text"])) for place in order]
    assert sorted(order) == list(range(len(asked)))
    assert sizes == sorted(sizes, reverse=True)
    assert {pictures for pictures, _ in sizes} == {1, 2}


@given(st.integers(1, LARGEST), st.integers(0, 2**40), st.integers(0, 2**40))
def test_the_next_batch_never_shrinks_nor_more_than_doubles_and_fits_by_what_the_last_one_took(batch: int, used: int, room: int) -> None:
    found = next_batch(batch, used=used, room=room)
    assert batch <= found <= min(2 * batch, LARGEST)
    if found > batch and used:
        assert found * used <= batch * room
    if 2 * used <= room:
        assert found == min(2 * batch, LARGEST)


@pytest.mark.parametrize("make", [tiny.make_qwen, tiny.make_idefics3])
def test_a_model_is_evaluated_under_the_dtype_and_the_budget_of_pixels_of_the_plan(make: Any, tmp_path: Path) -> None:
    size = tiny.TinySize(width=32, side=64, patch=8, vocabulary=400)
    folder = make(tmp_path / "model", squares.TEXTS, size)
    wide = [question for question in questions(side=64) if len(question.sample.pictures) == 1][:2]
    read = {pixels: Candidate(str(folder), Student(model="m", max_pixels=pixels, dtype="bfloat16")).loaded() for pixels in (None, 32**2)}
    tokens = {pixels: asker.answers(wide, max_tokens=1, done=bool)[0].input_tokens for pixels, asker in read.items()}
    assert {asker.dtype for asker in read.values()} == {"bfloat16"}
    assert tokens[32**2] < tokens[None] or make is tiny.make_idefics3


def test_vllm_that_is_not_installed_is_a_line_before_anything_is_evaluated(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    folder = squares.project(tmp_path / "p", INJECT, eval={"split": "test", "engine": "vllm"})
    for command in (("train",), ("eval", "--model", "student")):
        done = ran(*command[:1], "squares.yaml", "--out", "run", *command[1:], cwd=folder)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == (
            "eval.engine: 'vllm' is not installed: pip install 'cotforge[vllm]', or set eval.engine to auto"
        )
    assert not (folder / "run" / "eval").exists()
