"""Stages of kind `sft`: lessons made once and never cut, TRL's own loss, batches of about one length."""

import csv
import gc
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl import SFTConfig, SFTTrainer

from cotforge.answers import Task
from cotforge.errors import PipelineError
from cotforge.plan import Plan, Sft
from cotforge.prompts import Prompts
from cotforge.train.data import prepared
from cotforge.train.data.grouped import ALIKE, POOL, Grouped
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.kinds import sft
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import StageRun, newest_whole
from cotforge.train.students import loaded_student, tiny
from tests.squares import SIZE, TEXTS, write

FAMILIES = {"llava": tiny.make_llava, "idefics3": tiny.make_idefics3, "qwen": tiny.make_qwen}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name, TEXTS, SIZE) for name, make in FAMILIES.items()}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    return find_lessons(write(folder / "dataset", 32, thoughts=["Hot. " * times for times in range(12)]), cache=folder / "cache")


def work(folder: Path, begin: Path, lessons: Lessons, **fields: Any) -> StageRun:
    keys = {name: fields.pop(name) for name in ("cache_gb", "student") if name in fields}
    folder.mkdir(exist_ok=True)
    stage = Sft.model_validate({"name": "inject", "kind": "sft", "batch": 8, **fields})
    plan = Plan.model_validate({"student": {"model": str(begin), **keys.pop("student", {})}, "stages": [stage], **keys})
    return StageRun(
        plan=plan, stage=stage, begin=begin, out=folder, lessons=lambda: lessons, source=lambda: lessons,
        task=Task(kind="classify", question="?", labels=("red", "green", "blue", "white")), prompts=Prompts().load(folder),
        held_out=None, smoke=False, resume_from=None, record=MetricsLog(folder / "metrics.jsonl", "inject"), cache=folder,
    )  # fmt: skip


def learn(given: StageRun) -> None:
    assert isinstance(given.stage, Sft)
    with given.record:
        sft.train(given.stage, given)


def left_out(folder: Path) -> dict[str, str]:
    with (folder / "left-out.csv").open(newline="") as file:
        return {row["id"]: row["reason"] for row in csv.DictReader(file)}


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def made(folder: Path, pupil: loaded_student.Pupil, lessons: Lessons, cache_gb: float = 1.0) -> prepared.Prepared:
    return prepared.prepare_lessons(lessons, pupil.processor, cache=folder, cache_gb=cache_gb, kind=torch.float32, tell=lambda line: None)


def load(model: Path) -> loaded_student.Pupil:
    return loaded_student.load_pupil(Plan.model_validate({"student": {"model": str(model)}, "preset": "label-only"}).student, model)


def test_sft_lowers_the_loss_and_leaves_other_weights(tmp_path: Path, models: dict[str, Path], lessons: Lessons) -> None:
    given = work(tmp_path, models["llava"], lessons, epochs=12, learning_rate=1e-2)
    learn(given)
    rows = metrics(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 49))
    assert {"loss", "grad_norm", "learning_rate", "mean_token_accuracy", "num_tokens", "epoch"} <= rows[0].keys()
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert loaded_student.weights_fingerprint(given.weights) != loaded_student.weights_fingerprint(models["llava"])
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_that_of_trl_on_the_same_batch(tmp_path: Path, models: dict[str, Path], lessons: Lessons, family: str) -> None:
    pupil = load(models[family])
    ours = made(tmp_path, pupil, lessons)
    config = SFTConfig(
        output_dir=str(tmp_path), max_length=None, use_cpu=True, bf16=False, activation_checkpointing=False, report_to="none"
    )
    plain = SFTTrainer(
        pupil.model, config, train_dataset=lessons.dataset(["images", "prompt", "completion"]), processing_class=pupil.processor
    )
    for rows in ([0, 5, 11, 20], [3], [11, 30]):
        theirs = plain.data_collator([plain.train_dataset[row] for row in rows])
        batch = prepared.collate_lessons([ours[row] for row in rows], pupil.processor.tokenizer.pad_token_id)
        assert torch.equal(batch["input_ids"], theirs["input_ids"])
        assert torch.equal(batch["labels"], theirs["labels"])
        assert torch.equal(batch["attention_mask"], theirs["attention_mask"])
        with torch.no_grad():
            losses = [plain.compute_loss(plain.model, dict(one)).item() for one in (batch, theirs)]
        assert abs(losses[0] - losses[1]) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_made_anew_are_those_that_are_kept(tmp_path: Path, models: dict[str, Path], lessons: Lessons, family: str) -> None:
    pupil = load(models[family])
    kept, anew = made(tmp_path, pupil, lessons), made(tmp_path, pupil, lessons, cache_gb=0)
    assert (kept.keeps_pictures, anew.keeps_pictures) == (True, False)
    for row in (0, 17, 31):
        (tokens, pictures), (same, made_again) = kept[row], anew[row]
        assert all(torch.equal(value, same[name]) for name, value in tokens.items())
        assert pictures.keys() == made_again.keys()
        assert all(torch.equal(value, made_again[name]) for name, value in pictures.items())


def test_workers_share_what_is_in_memory_before_them() -> None:
    gc.unfreeze()  # what the tests have kept out of the way
    with prepared.shared_heap(0):
        assert gc.get_freeze_count() == 0
    with prepared.shared_heap(1):
        assert gc.get_freeze_count() > 1_000
    assert gc.get_freeze_count() == 0


def test_it_comes_to_the_same_whether_pictures_are_kept_or_made_anew_by_workers(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons
) -> None:
    both = [work(tmp_path / name, models["llava"], lessons, epochs=1, **keys) for name, keys in (("kept", {}), ("anew", {"cache_gb": 0}))]
    for each in both:
        learn(each)
    assert metrics(both[0].out) == metrics(both[1].out)


def test_lessons_are_made_once(tmp_path: Path, models: dict[str, Path], lessons: Lessons) -> None:
    told: list[str] = []
    pupil = load(models["llava"])
    for _ in range(2):
        prepared.prepare_lessons(lessons, pupil.processor, cache=tmp_path, cache_gb=1, kind=torch.float32, tell=told.append)
    assert told == ["prepared pictures: 0.00 GB for 32 lessons; kept"]
    pupil.save(tmp_path / "saved")
    prepared.prepare_lessons(lessons, load(tmp_path / "saved").processor, cache=tmp_path, cache_gb=1, kind=torch.float32, tell=told.append)
    assert len(told) == 1


def test_a_lesson_that_is_too_long_is_left_out_whole_or_nothing_is_trained(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons
) -> None:
    lengths = made(tmp_path, load(models["llava"]), lessons).lengths
    longest = sorted(lengths)[-4]
    kept = sft.fitting_lessons(made(tmp_path, load(models["llava"]), lessons), longest)
    assert len(kept) == 32 - sum(length > longest for length in lengths)
    given = work(tmp_path, models["llava"], lessons, steps=1, longest=longest)
    learn(given)
    with (tmp_path / "too-long.csv").open() as file:
        assert {row["id"]: int(row["tokens"]) for row in csv.DictReader(file)} == {
            f"row-{row}": length for row, length in enumerate(lengths) if length > longest
        }
    for fields, words in (
        ({"longest": longest, "too_long": "fail"}, "lists them. Raise longest"),
        ({"longest": 5}, "32 of 32 lessons have more than 5 tokens"),
    ):
        with pytest.raises(PipelineError, match=words):
            learn(work(tmp_path, models["llava"], lessons, steps=1, **fields))


def test_adapters_can_be_trained(tmp_path: Path, models: dict[str, Path], lessons: Lessons) -> None:
    given = work(tmp_path, models["llava"], lessons, steps=2, student={"lora": {"rank": 2}, "freeze": ["vision"]})
    learn(given)
    assert metrics(tmp_path)[0]["learning_rate"] == pytest.approx(2e-4)
    assert "lora" not in "".join(load(given.weights).model.state_dict())


def test_a_class_without_lessons_is_told(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sft.absent_from(lessons, []) == []
    given = work(tmp_path, models["llava"], lessons, steps=1)
    learn(replace(given, task=Task(kind="classify", question="?", labels=("red", "violet", "green", "blue", "white", "pink"))))
    assert "no lesson has the answer 'violet', 'pink'; the student will hardly give it" in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_leaves_its_lesson_out(tmp_path: Path, models: dict[str, Path]) -> None:
    given = work(tmp_path / "out", models["llava"], find_lessons(write(tmp_path / "dataset", 4, broken=2), cache=tmp_path), steps=1)
    learn(given)
    assert left_out(tmp_path / "out") == {"row-2": "the student's processor cannot take it: cannot identify image file"}


def test_killed_after_its_last_step_it_does_not_train_on(tmp_path: Path, models: dict[str, Path], lessons: Lessons) -> None:
    begin = Path(shutil.copytree(models["llava"], tmp_path / "begin"))
    given = work(tmp_path, begin, lessons, steps=6, trl={"save_steps": 3})
    with pytest.raises(FileNotFoundError):
        learn(replace(given, record=Hiding(tmp_path / "metrics.jsonl", "inject")))
    (tmp_path / "hidden").rename(begin)
    left = newest_whole(tmp_path / "checkpoints")
    assert left is not None
    assert left.name == "checkpoint-6"
    learnt = (left / "model.safetensors").read_bytes()
    given.weights.mkdir()
    (given.weights / "half").touch()
    learn(replace(given, record=MetricsLog(tmp_path / "metrics.jsonl", "inject"), resume_from=left))
    assert [row["step"] for row in metrics(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert (given.weights / "model.safetensors").read_bytes() == learnt
    assert not (given.weights / "half").exists()


class Hiding(MetricsLog):
    """Takes away what the stage began with, so that it can train to its end and not leave its weights."""

    def row(self, step: int, metrics: dict[str, Any]) -> None:
        super().row(step, metrics)
        if step == 6:
            (self._path.parent / "begin").rename(self._path.parent / "hidden")


class Ending(MetricsLog):
    """Has the process told to end after a step."""

    after = 0

    def row(self, step: int, metrics: dict[str, Any]) -> None:
        super().row(step, metrics)
        if step == self.after:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("family", "keys"), [("llava", {}), ("idefics3", {}), ("qwen", {}), ("llava", {"lora": {"rank": 2, "dropout": 0.1}})]
)
def test_told_to_end_it_goes_on_as_if_undisturbed(
    tmp_path: Path, models: dict[str, Path], lessons: Lessons, family: str, keys: dict[str, Any]
) -> None:
    whole, halves = (
        work(tmp_path / name, models[family], lessons, steps=7, learning_rate=3e-3, accumulate=2, student=keys)
        for name in ("whole", "halves")
    )
    learn(whole)
    ending = Ending(halves.out / "metrics.jsonl", "inject")
    ending.after = 4  # a row is written when its step is over
    with pytest.raises(KeyboardInterrupt):
        learn(replace(halves, record=ending))
    left = newest_whole(halves.out / "checkpoints")
    assert left is not None
    assert left.name == "checkpoint-5"
    learn(replace(halves, record=MetricsLog(halves.out / "metrics.jsonl", "inject"), resume_from=left))
    assert metrics(halves.out) == metrics(whole.out)
    assert loaded_student.weights_fingerprint(halves.weights) == loaded_student.weights_fingerprint(whole.weights)


@given(
    lengths=st.lists(st.integers(1, 100), min_size=1, max_size=200),
    batch=st.integers(1, 9),
    seed=st.integers(0, 3),
    epoch=st.integers(0, 3),
)
def test_every_lesson_comes_once_per_epoch_beside_others_of_its_length(lengths: list[int], batch: int, seed: int, epoch: int) -> None:
    sampler = Grouped(lengths, batch, seed)
    sampler.set_epoch(epoch)
    rows = list(sampler)
    assert sorted(rows) == list(range(len(lengths)))
    assert rows == list(sampler)
    if len(lengths) <= POOL * batch:
        about = [lengths[row] // ALIKE for row in rows]
        spans = sorted((min(cut), max(cut)) for at in range(0, len(rows), batch) if (cut := about[at : at + batch]))
        assert all(high <= low for (_, high), (low, _) in pairwise(spans))


def test_lessons_of_nearly_one_length_are_mixed_so_that_no_batch_holds_one_kind_alone() -> None:
    lengths = [16, 17] * 32
    rows = list(Grouped(lengths, 8, seed=0))
    assert all({lengths[row] for row in rows[at : at + 8]} == {16, 17} for at in range(0, len(rows), 8))
