"""Reinforcement in two processes: each completion gets the advantage that it would get in one, and both come to one student."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from cotforge.train import tiny
from tests import squares
from tests.project import environment
from tests.ranked import ROLLOUT, SAID, Scored, scored


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_rewards_and_advantages_are_gathered_in_the_order_of_the_completions(tmp_path: Path, one_thread: None) -> None:
    model, dataset = tiny.llava(tmp_path / "model", squares.TEXTS, squares.SIZE), squares.write(tmp_path / "dataset", 16)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "tests.ranked"]
    done = subprocess.run(
        [*launch, str(tmp_path / "two"), str(model), str(dataset)], cwd=Path(__file__).parents[1],
        env=environment({"OMP_NUM_THREADS": "1"}), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    two = [Scored(**json.loads((tmp_path / "two" / f"process-{rank}.json").read_text())) for rank in (0, 1)]
    one = scored(tmp_path / "one", model, dataset, processes=1)
    assert len(one.own) == ROLLOUT
    assert len({round(advantage, 3) for advantage in one.own}) >= 4
    assert two[0].own + two[1].own == pytest.approx(one.own, abs=1e-5)
    assert two[0].losses[0] == pytest.approx(one.losses[0], abs=1e-4)
    table, same = (pq.read_table(tmp_path / name / "completions" / "000000.parquet").to_pylist() for name in ("two", "one"))
    assert table == same
    assert [row["said"] for row in table] == SAID
    assert [row["well_formed"] for row in table] == [1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0]
    assert [row["correct"] for row in table] == [float(row["answer"] == row["truth"]) for row in table]
    assert 0 < sum(row["correct"] for row in table) < ROLLOUT
    assert all(two[0].losses)  # the real completions taught something as well
    assert two[0].weights == two[1].weights
