"""Stages with a curriculum: a student learns by it, a killed stage draws the rows of an undisturbed one, and processes draw alike."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from cotforge.errors import PipelineError
from cotforge.train.curriculum.saving import FILE
from cotforge.train.data.lessons import Lessons, find
from cotforge.train.kinds import grpo, sft
from cotforge.train.report.record import Record
from cotforge.train.students import student, tiny
from cotforge.train.work import Work, newest_whole
from tests import squares
from tests.paced import learn, sum_of
from tests.project import environment
from tests.test_grpo import REWARDS
from tests.test_grpo import work as grpo_work
from tests.test_train_sft import work as sft_work


class Killed(BaseException):
    """As SIGKILL would: nothing is saved any more."""


class Killing(Record):
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
    return tiny.llava(tmp_path_factory.mktemp("model") / "begin", squares.TEXTS, squares.SIZE)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    thoughts = ["Hot. " * times for times in range(12)]
    return squares.write(tmp_path_factory.mktemp("lessons") / "dataset", 32, thoughts=thoughts)


@pytest.fixture(scope="module")
def lessons(dataset: Path) -> Lessons:
    return find(dataset, cache=dataset.parent / "cache")


def trained(job: Work) -> list[dict[str, Any]]:
    with job.record:
        if job.stage.kind == "sft":
            sft.train(job.stage, job)  # type: ignore[arg-type]
        else:
            grpo.train(job.stage, job)  # type: ignore[arg-type]
    return [json.loads(line) for line in (job.out / "metrics.jsonl").read_text().splitlines()]


def resumed(job: Work, *, after: int) -> list[dict[str, Any]]:
    """Killed after a step, and done to its end from the newest whole checkpoint."""
    record = Killing(job.out / "metrics.jsonl", job.stage.name)
    record.after = after
    with pytest.raises(Killed):
        trained(replace(job, record=record))
    checkpoint = newest_whole(job.out / "checkpoints")
    assert checkpoint is not None
    assert FILE in json.loads((checkpoint / "whole.json").read_text())
    return trained(replace(job, resume_from=checkpoint, record=Record(job.out / "metrics.jsonl", job.stage.name)))


def rates(count: int = 32) -> dict[str, float]:
    """Pass rates of all lessons but some."""
    return {f"row-{number}": number % 5 / 4 for number in range(count) if number % 9}


SFT = {"steps": 9, "batch": 4, "learning_rate": 3e-3, "trl": {"save_steps": 4}}


@pytest.mark.parametrize(
    ("curriculum", "keys"),
    [
        ({"by": "loss", "how": "bandit", "explore": 0.3}, {"accumulate": 2, "student": {"lora": {"rank": 2, "dropout": 0.1}}}),
        ({"by": "loss", "how": "review", "every": 2, "share": 0.5}, {}),
    ],
)
def test_lessons_chosen_by_their_losses_are_the_same_after_a_kill(
    tmp_path: Path, model: Path, lessons: Lessons, curriculum: dict[str, Any], keys: dict[str, Any]
) -> None:
    whole, cut = (
        replace(sft_work(tmp_path / name, model, lessons, curriculum=curriculum, **SFT, **keys), pass_rates=rates)
        for name in ("whole", "cut")
    )
    rows = trained(whole)
    assert resumed(cut, after=6) == rows
    assert student.fingerprint(cut.weights) == student.fingerprint(whole.weights)
    assert [row["step"] for row in rows] == list(range(1, 10))
    name = "curriculum/arm" if curriculum["how"] == "bandit" else "curriculum/reviewed"
    assert len({row[name] for row in rows}) > 1
    if curriculum["how"] == "review":  # two steps of new lessons, then half of these once more
        assert [row[name] for row in rows[:7]] == [0, 0, 1, 0, 0, 1, 0]


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


@pytest.mark.parametrize(
    ("curriculum", "keys"),
    [
        ({"by": "reward_variance", "how": "bandit", "explore": 0.5, "buckets": 2}, {"updates_per_rollout": 2, "steps": 6}),
        ({"by": "pass_rate", "how": "review", "every": 1, "share": 1.0}, {}),
    ],
)
def test_prompts_chosen_by_what_the_student_says_are_the_same_after_a_kill(
    tmp_path: Path, model: Path, dataset: Path, curriculum: dict[str, Any], keys: dict[str, Any]
) -> None:
    whole, cut = (
        grpo_work(tmp_path / name, model, dataset, {**GRPO, "curriculum": curriculum, **keys}, pass_rates=rates)
        for name in ("whole", "cut")
    )
    rows = trained(whole)
    told = ("step", "loss", "reward", "num_tokens", "curriculum/arm", "curriculum/reviewed")
    assert [{name: row.get(name) for name in told} for row in resumed(cut, after=3)] == [
        {name: row.get(name) for name in told} for row in rows
    ]
    assert student.fingerprint(cut.weights) == student.fingerprint(whole.weights)
    asked = [prompts(whole.out, file.name) for file in sorted((whole.out / "completions").glob("*.parquet"))]
    assert asked == [prompts(cut.out, file.name) for file in sorted((cut.out / "completions").glob("*.parquet"))]
    if curriculum["how"] == "review":  # each rollout of new prompts, then all of them once more
        assert [sorted(ids) for ids in asked[0::2]] == [sorted(ids) for ids in asked[1::2]]
        assert not set(asked[0]) & set(asked[2])


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


def test_all_processes_choose_the_same_lessons_and_each_learns_its_part_of_them(tmp_path: Path, model: Path, dataset: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "tests.ranked_curriculum"]
    done = subprocess.run(
        [*launch, str(tmp_path), str(model), str(dataset)], cwd=Path(__file__).parents[1],
        env=environment({"OMP_NUM_THREADS": "1"}), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, other = (json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert one["drawn"] == other["drawn"]
    assert one["told"] == other["told"]
    assert [len(rows) for rows in one["drawn"]] == [8] * 5
    assert [mine + theirs for mine, theirs in zip(one["learned"], other["learned"], strict=True)] == one["sums"]
    assert one["weights"] == other["weights"]
