"""How a simulated teacher that was given an answer comes to it: what it must have read, and the words that give the hint away."""

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from cotforge.teachers.simulated import GridCells

HEED = 0.5
"""By how much the scores of what a hint leads to may be behind those of what a teacher sees, for it to believe the hint.

Chosen by us on the demo's sums: the five eyes then believe the truth about 0.06 to 1.00 of those that they misread, and a random wrong sum
about 0.01 to 0.48 of all.
"""
LEAKS = (
    "The hint says that the answer is {hint}, so I look for what supports it.",
    "Since people who know this data say {hint}, it must be read that way.",
    "Given that the answer is {hint}, the parts fall into place.",
    "I was told that the answer is {hint}, and I see nothing against it.",
    "The label provided is {hint}, which settles the doubtful part.",
)
"""Ways in which a reasoning shows that its writer knew the answer."""


class _Way(NamedTuple):
    """How the cells up to one can be read."""

    score: float
    label: str
    before: "_Way | None"


def fit_cells(scores: Sequence[Mapping[str, float]], cells: GridCells, answer: str) -> tuple[list[str], float] | None:
    """The labels of the highest scores that lead to an answer, row by row, and the sum of these scores; None where no labels do."""
    ways: dict[int, _Way] = {0: _Way(0.0, "", None)}
    for cell in scores:
        longer: dict[int, _Way] = {}
        for state, way in ways.items():
            for label, score in cell.items():
                then = _next_state(state, label, cells, answer)
                if then is not None and ((known := longer.get(then)) is None or way.score + score > known.score):
                    longer[then] = _Way(way.score + score, label, way)
        ways = longer
    end = ways.get(_last_state(cells, answer))
    return None if end is None else (_way_labels(end), end.score)


def is_plausible(scores: Sequence[Mapping[str, float]], hinted: float) -> bool:
    """Whether a reading whose scores have that sum is nearly as good as the best one."""
    return math.fsum(max(cell.values()) for cell in scores) - hinted <= HEED


def give_away(thought: str, hint: str, rng: Random) -> str:
    """A reasoning that says somewhere that its writer knew the answer."""
    leak = rng.choice(LEAKS).format(hint=hint)
    return rng.choice((f"{leak} {thought}", f"{thought} {leak}"))


def _next_state(state: int, label: str, cells: GridCells, answer: str) -> int | None:
    if cells.answer == "sum":
        return state + int(label)
    return state + len(label) if answer.startswith(label, state) else None


def _last_state(cells: GridCells, answer: str) -> int:
    if cells.answer == "joined":
        return len(answer)
    try:
        return int(answer)
    except ValueError:
        return -(1 << 62)  # no sum of cells


def _way_labels(end: _Way) -> list[str]:
    labels = []
    way: _Way | None = end
    while way is not None and way.before is not None:
        labels.append(way.label)
        way = way.before
    return labels[::-1]
