"""Stages with a curriculum: a student learns by it, a killed stage draws the rows of an undisturbed one, and processes draw alike."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from cotforge.difficulty import FILE, Rated, read_rated, write_rated
from cotforge.errors import PipelineError
from cotforge.train.curriculum.saving import FILE as STATE
from cotforge.train.data.lessons import Lessons, find_lessons
from cotforge.train.kinds import grpo, sft
from cotforge.train.report.record import MetricsLog
from cotforge.train.stage_run import StageRun, newest_whole
from cotforge.train.students import loaded_student, tiny
from tests import squares
from tests.nursery import Nursery, module
from tests.paced import learn, sum_of
from tests.project import ran
from tests.test_grpo import REWARDS
from tests.test_grpo import work as grpo_work
from tests.test_train_sft import work as sft_work


class Killed(BaseException):
    """As SIGKILL would: nothing is saved any more."""


class Killing(MetricsLog):
    """Dies after a step."""

    after = 0

    def row(self, step: int, metrics: dict[str, Any]) -> None:
        super().row(step, metrics)
        if step == self.after:
            raise Killed


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("model") / "begin", squares.TEXTS, squares.SIZE)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    thoughts = ["Hot. " * times for times in range(12)]
    return squares.write(tmp_path_factory.mktemp("lessons") / "dataset", 32, thoughts=thoughts)


@pytest.fixture(scope="module")
def lessons(dataset: Path) -> Lessons:
    return find_lessons(dataset, cache=dataset.parent / "cache")


def trained(job: StageRun) -> list[dict[str, Any]]:
    with job.record:
        if job.stage.kind == "sft":
            sft.train(job.stage, job)  # type: ignore[arg-type]
        else:
            grpo.train(job.stage, job)  # type: ignore[arg-type]
    return [json.loads(line) for line in (job.out / "metrics.jsonl").read_text().splitlines()]


def resumed(job: StageRun, *, after: int) -> list[dict[str, Any]]:
    """Killed after a step, and done to its end from the newest whole checkpoint."""
    record = Killing(job.out / "metrics.jsonl", job.stage.name)
    record.after = after
    with pytest.raises(Killed):
        trained(replace(job, record=record))
    checkpoint = newest_whole(job.out / "checkpoints")
    assert checkpoint is not None
    assert STATE in json.loads((checkpoint / "whole.json").read_text())
    return trained(replace(job, resume_from=checkpoint, record=MetricsLog(job.out / "metrics.jsonl", job.stage.name)))


def rates(count: int = 32) -> dict[str, float]:
    """Pass rates of all lessons but some."""
    return {f"row-{number}": number % 5 / 4 for number in range(count) if number % 9}


SFT = {"steps": 9, "batch": 4, "learning_rate": 3e-3, "trl": {"save_steps": 4}}


def test_lessons_chosen_by_their_losses_are_the_same_after_a_kill(tmp_path: Path, model: Path, lessons: Lessons) -> None:
    keys = {
        "accumulate": 2,
        "student": {"lora": {"rank": 2, "dropout": 0.1}},
        "curriculum": {"by": "loss", "how": "bandit", "explore": 0.3},
    }
    whole, cut = (replace(sft_work(tmp_path / name, model, lessons, **SFT, **keys), pass_rates=rates) for name in ("whole", "cut"))
    rows = trained(whole)
    assert resumed(cut, after=6) == rows
    assert loaded_student.weights_fingerprint(cut.weights) == loaded_student.weights_fingerprint(whole.weights)
    assert [row["step"] for row in rows] == list(range(1, 10))
    assert len({row["curriculum/arm"] for row in rows}) > 1


def test_after_some_steps_the_lessons_of_the_highest_loss_come_once_more(tmp_path: Path, model: Path, lessons: Lessons) -> None:
    keys = {"steps": 7, "curriculum": {"by": "loss", "how": "review", "every": 2, "share": 0.5}}
    rows = trained(sft_work(tmp_path, model, lessons, **SFT | keys))
    assert [row["curriculum/reviewed"] for row in rows] == [0, 0, 1, 0, 0, 1, 0]


def test_the_loss_that_a_curriculum_is_told_is_each_lesson_s_own(tmp_path: Path, model: Path, dataset: Path) -> None:
    trainer, noting, prepared, _ = learn(tmp_path, model, dataset, steps=2, batch=4)
    assert noting.told == trainer.found
    assert trainer.learned == [[sum_of(prepared, row) for row in rows] for rows in noting.drawn]
    logged = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    for tokens, losses, loss in zip(trainer.tokens, noting.told, logged, strict=True):
        assert sum(count * each for count, each in zip(tokens, losses, strict=True)) / sum(tokens) == pytest.approx(loss, abs=1e-4)
        assert len(set(losses)) > 1


def test_short_lessons_come_first(tmp_path: Path, model: Path, lessons: Lessons) -> None:
    job = sft_work(tmp_path, model, lessons, curriculum={"by": "length", "how": "easy_first"}, epochs=2, batch=4)
    rows = trained(job)
    tokens = [after["num_tokens"] - before["num_tokens"] for before, after in zip([{"num_tokens": 0}, *rows], rows, strict=False)]
    assert max(tokens[:2]) < min(tokens[6:8])  # of the first epoch's eight batches in four parts
    assert sum(tokens[:8]) == sum(tokens[8:])
    assert tokens[8:] != tokens[:8]


GRPO = {"steps": 4, "learning_rate": 1e-3, "rewards": REWARDS, "trl": {"save_steps": 2}}


def test_prompts_chosen_by_what_the_student_says_are_the_same_after_a_kill(tmp_path: Path, model: Path, dataset: Path) -> None:
    review = {"by": "pass_rate", "how": "review", "every": 1, "share": 1.0}
    stage = {**GRPO, "steps": 8, "updates_per_rollout": 2, "max_completion": 12, "curriculum": review}
    whole, cut = (grpo_work(tmp_path / name, model, dataset, stage) for name in ("whole", "cut"))
    rows = trained(whole)
    told = ("step", "loss", "reward", "num_tokens", "curriculum/reviewed")
    again = resumed(cut, after=5)
    assert [{name: row.get(name) for name in told} for row in again] == [{name: row.get(name) for name in told} for row in rows]
    assert loaded_student.weights_fingerprint(cut.weights) == loaded_student.weights_fingerprint(whole.weights)
    asked = [prompts(whole.out, file.name) for file in sorted((whole.out / "completions").glob("*.parquet"))]
    assert asked == [prompts(cut.out, file.name) for file in sorted((cut.out / "completions").glob("*.parquet"))]
    first, second, third, fourth = map(sorted, asked)  # two new prompts, then both once more
    assert first == second
    assert third == fourth
    assert not set(first) & set(third)


def test_prompts_that_the_student_answers_rightly_come_first(tmp_path: Path, model: Path, dataset: Path) -> None:
    stage = {**GRPO, "steps": 3, "max_completion": 4, "curriculum": {"by": "pass_rate", "how": "easy_first", "buckets": 3}}
    job = grpo_work(tmp_path, model, dataset, stage, pass_rates=rates)
    trained(job)
    known = [[rates().get(id, 0.5) for id in prompts(job.out, f"{step:06}.parquet")] for step in range(3)]
    assert min(known[0]) >= max(known[1])
    assert min(known[1]) >= max(known[2])
    assert known[0] > known[2]


def prompts(stage: Path, file: str) -> list[str]:
    """Whom a rollout was asked about, each once: two groups of four completions."""
    kept = [row["id"] for row in pq.read_table(stage / "completions" / file).to_pylist()]
    assert kept[0::4] == kept[3::4]
    return kept[0::4]


def test_pass_rates_that_are_needed_and_not_there_end_a_stage_before_it_begins(tmp_path: Path, model: Path, lessons: Lessons) -> None:
    job = sft_work(tmp_path, model, lessons, curriculum={"by": "pass_rate", "how": "easy_first"}, steps=1)
    with pytest.raises(PipelineError, match=r"curriculum.by: pass_rate needs difficulty.parquet in the run folder; cotforge eval"):
        job.stage.inputs(job)
    rated = replace(job, pass_rates=rates)
    assert job.stage.inputs(rated) != job.stage.inputs(replace(job, pass_rates=lambda: rates(20)))
    none = replace(job, pass_rates=lambda: {"elsewhere": 0.5})
    with pytest.raises(PipelineError, match=r"difficulty.parquet has none of its 32 rows"):
        trained(none)


def test_the_student_s_own_pass_rates_order_the_rows_of_its_next_stage(tmp_path: Path) -> None:
    learn = {"kind": "sft", "steps": 1, "batch": 4}
    paced = {"name": "paced", **learn, "curriculum": {"by": "pass_rate", "how": "easy_first"}}
    folder = squares.project(tmp_path, {"name": "inject", **learn}, paced, source={"kind": "table", "path": "rows.jsonl", "split": "test"})
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    renamed = [row | {"id": f"row-{number}"} for number, row in enumerate(rows)]  # the dataset's first lessons
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in renamed))
    whole = ("train", "squares.yaml", "--out", "run")
    early = ran(*whole, cwd=folder)
    assert early.returncode == 2
    assert "stage 'paced': curriculum.by: pass_rate needs difficulty.parquet in the run folder" in early.stderr
    assert not (folder / "run" / "train" / "01-inject").exists()
    assert ran(*whole, "--stage", "inject", cwd=folder).returncode == 0
    weights = "run/train/01-inject/weights"
    asked = ran("eval", "squares.yaml", "--out", "run", "--write-back", "--tries", 2, "--max-tokens", 4, "--model", weights, cwd=folder)
    assert asked.returncode == 0, asked.stderr
    assert {(rated.tries, rated.model) for rated in read_rated(folder / "run").values()} == {(2, "run-01-inject")}
    done = ran(*whole, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "curriculum: 8 of 16 rows have no pass rate, and are taken for as hard as the median one" in done.stderr
    (folder / "run" / FILE).unlink()
    write_rated(folder / "run", {"row-1": Rated(0.5, 2, "other")})
    again = ran(*whole, cwd=folder)
    assert again.returncode == 2
    assert "stage 'paced': difficulty was" in again.stderr


def test_all_processes_choose_the_same_lessons_and_each_learns_its_part_of_them(
    tmp_path: Path, model: Path, dataset: Path, nursery: Nursery
) -> None:
    done = nursery.train(tmp_path, tmp_path, model, dataset, count=2, program=module("tests.ranked_curriculum"))
    assert done.returncode == 0, done.stderr
    one, other = (json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert one["drawn"] == other["drawn"]
    assert one["told"] == other["told"]
    assert [len(rows) for rows in one["drawn"]] == [8] * 5
    assert [mine + theirs for mine, theirs in zip(one["learned"], other["learned"], strict=True)] == one["sums"]
    assert one["weights"] == other["weights"]
