"""Several processes: each completion gets the advantage that it would get in one, all come to one student, and it can be saved."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from cotforge.train.students import tiny
from tests import squares
from tests.nursery import Nursery, module
from tests.ranked import ROLLOUT, SAID, Scored, scored


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_groups_without_variance_are_drawn_again_by_processes_that_have_different_numbers_of_them(tmp_path: Path, nursery: Nursery) -> None:
    model, dataset, folder = (
        tiny.make_llava(tmp_path / "model", squares.TEXTS, squares.SIZE),
        squares.write(tmp_path / "dataset", 16),
        tmp_path / "two",
    )
    folder.mkdir()
    done = nursery.train(tmp_path, folder, model, dataset, count=2, program=module("tests.ranked_again"))
    assert done.returncode == 0, done.stderr
    one, other = (json.loads((folder / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert one["draws"] == other["draws"] == 3
    assert one["told"] == other["told"] == {"resample/flat": 0.75, "resample/drawn": 1.0, "frac_reward_zero_std": 0}
    assert all(abs(advantage) > 0.5 for each in (one, other) for advantage in each["advantages"])
    assert one["weights"] == other["weights"]
    kept = pq.read_table(folder / "completions" / "000000.parquet").to_pylist()
    assert [len({row["id"] for row in kept[at : at + 4]}) for at in range(0, 16, 4)] == [1] * 4
    assert [row["well_formed"] for row in kept] == [1, 0] * 8


def test_rewards_and_advantages_are_gathered_in_the_order_of_the_completions(tmp_path: Path, one_thread: None, nursery: Nursery) -> None:
    model, dataset = tiny.make_llava(tmp_path / "model", squares.TEXTS, squares.SIZE), squares.write(tmp_path / "dataset", 16)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    done = nursery.train(tmp_path, tmp_path / "two", model, dataset, count=2, program=module("tests.ranked"))
    assert done.returncode == 0, done.stderr
    two = [Scored(**json.loads((tmp_path / "two" / f"process-{rank}.json").read_text())) for rank in (0, 1)]
    one = scored(tmp_path / "one", model, dataset, processes=1)
    assert len(one.own) == ROLLOUT
    assert len({round(advantage, 3) for advantage in one.own}) >= 4
    assert two[0].own + two[1].own == pytest.approx(one.own, abs=1e-5)
    assert two[0].losses[0] == pytest.approx(one.losses[0], abs=1e-4)
    assert two[0].budgeted == two[1].budgeted == pytest.approx(one.budgeted, abs=1e-4)
    assert one.budgeted[1] >= 1 > one.budgeted[2] > 0.5
    assert one.budgeted[0] != pytest.approx(one.losses[0], abs=1e-3)
    table, same = (pq.read_table(tmp_path / name / "completions" / "000000.parquet").to_pylist() for name in ("two", "one"))
    assert table == same
    assert [row["said"] for row in table] == SAID
    assert [row["well_formed"] for row in table] == [1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0]
    assert [row["correct"] for row in table] == [float(row["answer"] == row["truth"]) for row in table]
    assert 0 < sum(row["correct"] for row in table) < ROLLOUT
    assert all(two[0].losses)  # the real completions taught something as well
    assert two[0].weights == two[1].weights
