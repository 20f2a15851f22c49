"""A journal that an earlier version wrote is read as it is: the same lessons, the same fates, the same losses."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cotforge.session import RunSession

OLD = Path(__file__).parent / "fixtures" / "journal_0_1"
"""Three teachers, 24 pictures, and one reply of every kind that version 0.1 told apart."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    shutil.copytree(OLD, folder, dirs_exist_ok=True)
    (folder / "run").mkdir()
    (folder / "journal.sqlite").rename(folder / "run" / "journal.sqlite")
    with RunSession.open(folder / "pipeline.yaml", out=folder / "run") as opened:
        opened.build(offline=True)
    return folder / "run"


@pytest.fixture(scope="module")
def expected() -> Any:
    return json.loads((OLD / "expected.json").read_text())


def rows(files: list[Path], like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return pl.concat(pl.read_parquet(file, columns=list(like[0])) for file in sorted(files)).to_dicts()


def test_an_old_journal_gives_the_same_lessons(run: Path, expected: Any) -> None:
    found = rows(list((run / "dataset" / "data").glob("*.parquet")), expected["lessons"])
    for row in found:
        row["completion"] = row["completion"][0]["content"]
    assert found == expected["lessons"]


def test_an_old_journal_gives_every_trace_the_same_fate(run: Path, expected: Any) -> None:
    assert rows(list((run / "dataset" / "traces").glob("*.parquet")), expected["traces"]) == expected["traces"]


def test_an_old_journal_gives_the_same_losses(run: Path, expected: Any) -> None:
    assert rows([run / "losses.parquet"], expected["losses"]) == expected["losses"]


def test_nothing_that_an_old_journal_settles_is_asked_again(run: Path) -> None:
    with RunSession.reopen(run) as opened:
        missing = [call.teacher for work in opened.asking.missing_work({}) for _, call in getattr(work, "calls", ())]
    assert sorted(missing) == ["beta", "beta", "gamma"]  # 503, a body nobody can read, and 502 may pass
