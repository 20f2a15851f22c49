"""The comparison of priors and merges: its texts add up, its interval is Wilson's, its run has every branch of the shipped pipeline."""

import re
from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.priors import task
from benchmarks.priors.__main__ import SMOKE, WHOLE, compare, wilson
from benchmarks.priors.arms import NAMES, STRANGER, Run
from cotforge.pipeline import Loaded
from cotforge.prompts import shipped_folder

DIGITS = st.lists(st.integers(0, 9), min_size=4, max_size=4)


@given(DIGITS)
def test_every_step_of_a_reasoned_answer_adds_up_to_the_sum(digits: list[int]) -> None:
    text = task.reasoned(digits)
    steps = [tuple(map(int, step)) for step in re.findall(r"(\d+) plus (\d) is (\d+)", text)]
    assert [before + digit for before, digit, _ in steps] == [after for *_, after in steps]
    assert [digit for _, digit, _ in steps] == digits[1:]
    assert text.endswith(f"</think>\n<answer>{sum(digits)}</answer>")


def test_the_text_model_sees_no_reasoning_and_the_expert_nothing_else() -> None:
    for turns, thinks in ((task.short(Random(0)), False), (task.long(Random(0)), True)):
        assert {("<think>" in next(turns).answer) for _ in range(50)} == {thinks}


@given(st.integers(1, 2_000), st.data())
def test_an_interval_holds_the_shares_that_a_test_of_it_would_not_reject(count: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, count))
    low, high = wilson(right / count, count)
    assert 0 <= low < high <= 1
    assert low - 1e-9 <= right / count <= high + 1e-9
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:  # the score test at either end is at its limit
            assert abs(right / count - end) / (end * (1 - end) / count) ** 0.5 == pytest.approx(1.96, abs=1e-6)


def test_the_run_has_the_shipped_branches_each_merge_with_lessons_after_it_and_two_with_a_stranger(tmp_path: Path) -> None:
    run = Run(tmp_path, 1, 2, SMOKE.lessons)
    for place in (run.model(name, stranger=stranger) for name in NAMES.values() for stranger in (False, True)):
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
    run.write()
    stages = yaml.safe_load(run.file.read_text())["train"]["stages"]
    given = yaml.safe_load((shipped_folder("pipelines") / "merges.yaml").read_text())["train"]["stages"]
    names = [stage["name"] for stage in stages]
    assert names[: len(given)] == [stage["name"] for stage in given]
    strangers = stages[len(given) :][: len(STRANGER)]
    assert [stage["name"] for stage in strangers] == [f"{name}-stranger" for name in ("drift-cosine", "linear")]
    assert names[len(given) + len(STRANGER) :] == ["linear-lessons", "drift-cosine-weak"]
    assert not [name for name in NAMES if name in run.file.read_text()]
    for stage in strangers:
        assert str(tmp_path / "seed-0" / "expert") in str(stage)
        assert str(tmp_path / "seed-1" / "expert") not in str(stage)
    plan = Loaded.load(run.file).pipeline.train
    assert plan is not None
    learned = [stage.key_fields() | {"prior": None} for stage in plan.expanded() if stage.kind == "sft"]
    assert all(stage == learned[0] for stage in learned), "equal steps, lessons and rates"


def test_a_folder_of_another_size_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "size.json").write_text("{}")
    with pytest.raises(SystemExit, match="another size"):
        compare(tmp_path, 1, WHOLE)
