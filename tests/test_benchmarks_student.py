"""Faults that are planted into lessons about sums, and how lessons are held beside the truth."""

from pathlib import Path
from random import Random

import pytest

from benchmarks.followups.score import DIGITS, GRID, said_cells, true_cells
from benchmarks.student.faults import FAULTS, Said, is_stopped, plant_fault
from cotforge.simulate.cells import STYLES, work_out
from tests.shown import grid_picture


def lessons() -> list[Said]:
    """What the teachers of the demo would say of forty pictures."""
    return [Said(*work_out(GRID, grid_picture(start)[1], style=STYLES[start % len(STYLES)])) for start in range(40)]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_changes_the_reasoning_and_never_the_answer(kind: str) -> None:
    said = lessons()
    for place in range(20):
        planted = plant_fault(said[place], said[:place] + said[place + 1 :], kind, Random(place))
        assert planted != said[place].reasoning
        assert planted == plant_fault(said[place], said[:place] + said[place + 1 :], kind, Random(place))


def test_the_gates_let_sound_steps_pass_and_stop_loops_and_leaks() -> None:
    said = lessons()
    assert not any(map(is_stopped, said))
    for kind in ("loop", "leak"):
        planted = [Said(plant_fault(one, said, kind, Random(place)), one.answer) for place, one in enumerate(said)]
        assert sum(map(is_stopped, planted)) > len(said) // 2


def test_a_picture_s_digits_are_known_and_held_beside_those_that_a_reasoning_reads(tmp_path: Path) -> None:
    data, digits = grid_picture(3)
    (tmp_path / "one.png").write_bytes(data)
    assert true_cells(tmp_path / "one.png") == digits
    reasoning, answer = work_out(GRID, digits, style=STYLES[1])
    assert said_cells(f"<think>{reasoning}</think>\n<answer>{answer}</answer>") == digits
    assert set(digits) <= set(DIGITS)
