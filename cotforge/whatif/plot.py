"""The rows of a what-if as points: where each lies, how large it is, and where its number can be read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cotforge import consensus
from cotforge.whatif.answers import Unit
from cotforge.whatif.choice import Compared, Row, row_name
from cotforge.whatif.whatif_text import HEADS, number_text, percent_text, price_text

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 62, 22, 18, 52
LARGEST = 15.0
"""Radius where everything is accepted."""
RING, GAP = 4.0, 4.5
_TURNS = (14, 12, 2, 10, 0, 8, 4, 6, 15, 13, 11, 9, 1, 3, 5, 7)
_DIRECTIONS = [(math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)) for turn in _TURNS]
_STEPS = (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)

Axis = Literal["calls_per_accepted", "cost_per_accepted"]
RULES = tuple(rule.name for rule in consensus.RULES)
"""In the order of their colours."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """One row."""

    number: int
    """Its place in the table, from 1."""
    x: float
    y: float
    radius: float
    low: float | None
    """Height of its lower bound; None where there is none."""
    color: int
    present: bool
    best: bool
    text_x: float
    text_y: float
    says: str
    """Its figures in a sentence."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture in SVG's own units."""

    key: str
    title: str
    says: str
    across: str
    """Of the axis."""
    points: Sequence[Point]
    """The largest first, so that none hides another."""
    columns: Sequence[Tick]
    lines: Sequence[Tick]
    target: float | None
    """Height of the target; None where it lies outside."""


def plots(found: Compared, unit: Unit) -> list[Plot]:
    """By calls, and by cost where that is something else."""
    made = [plot(found, "calls_per_accepted", unit)]
    if unit != "calls":
        made.append(plot(found, "cost_per_accepted", unit))
    return [one for one in made if one.points]


def plot(found: Compared, axis: Axis, unit: Unit) -> Plot:
    """Precision, or where nobody checked enough coverage, over what an accepted Sample takes."""
    height = "precision" if found.calibrated else "coverage"
    rows = [(place, row) for place, row in enumerate(found.rows) if row[axis] and row[height] is not None]
    across = f"{'calls' if axis == 'calls_per_accepted' else HEADS[unit]} per accepted sample"
    bounds = [*(row["low"] for _, row in rows if row["low"] is not None), found.target] if found.calibrated else []
    floor = _floor([row[height] for _, row in rows] + bounds)
    low, high = _span([row[axis] for _, row in rows])

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / low) / math.log(high / low)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - floor) / (1 - floor))

    circles = [(x(row[axis]), y(row[height]), LARGEST * math.sqrt(row["coverage"])) for _, row in rows]
    texts = _texts(circles)
    points = [
        Point(
            number=place + 1,
            x=round(at[0], 1),
            y=round(at[1], 1),
            radius=round(at[2], 1),
            low=None if row["low"] is None else round(y(row["low"]), 1),
            color=RULES.index(row["rule"]) if row["rule"] in RULES else 0,
            present=place == found.present,
            best=place == found.best,
            text_x=round(text[0], 1),
            text_y=round(text[1], 1),
            says=says(row, unit),
        )
        for (place, row), at, text in zip(rows, circles, texts, strict=True)
    ]
    return Plot(
        key=axis.partition("_")[0],
        title=f"{height.capitalize()} and {across}",
        says=f"{len(points)} variants; each is described in the table below under the same number.",
        across=across,
        points=sorted(points, key=lambda point: -point.radius),
        columns=[Tick(round(x(value), 1), _amount(value, axis, unit)) for value in _log_ticks(low, high)],
        lines=[Tick(round(y(value), 1), f"{value:.2f}") for value in _ticks(floor)],
        target=round(y(found.target), 1) if found.calibrated and floor <= found.target else None,
    )


def says(row: Row, unit: Unit) -> str:
    """A row's figures in a sentence."""
    shown = "" if row["low"] is None or row["precision"] is None else f", precision at least {row['low']:.3f}, about {row['precision']:.3f}"
    cost = "" if unit == "calls" else f", {price_text(row['cost_per_accepted'], unit)}"
    taken = f"{number_text(row['calls_per_accepted'])} calls{cost} per accepted sample"
    return f"{row_name(row)}: {taken}, coverage {percent_text(row['coverage'])}{shown}"


def _floor(values: Sequence[float]) -> float:
    """Where the upward axis begins: with some room, at a round number."""
    return max(0.0, math.floor((min(values) - 0.005) * 50) / 50) if values else 0.0


def _ticks(floor: float) -> list[float]:
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (1 - floor) / step <= 8)
    return [round(1 - place * step, 2) for place in range(int((1 - floor) / step + 1e-9) + 1)]


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The ends of a logarithmic axis, with some room."""
    if not values:
        return 1.0, 10.0
    room = 1.12 if max(values) > 1.5 * min(values) else 1.5
    return min(values) / room, max(values) * room


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values, the fewer the wider it is."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in (_STEPS, (1, 1.5, 2, 3, 5), (1, 2, 5), (1,)):
        found = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(found) <= 9:
            break
    return found


def _amount(value: float, axis: Axis, unit: Unit) -> str:
    return f"{value:.12g}" if axis == "calls_per_accepted" or unit != "usd" else f"${value:.12g}"


def _texts(circles: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Where the number of each point stands: beside it, where it meets the fewest others."""
    placed: list[tuple[float, float]] = []
    for x, y, radius in circles:
        spots = [(x + (radius + RING + GAP) * across, y + (radius + RING + GAP) * down) for across, down in _DIRECTIONS]
        placed.append(min(spots, key=lambda spot: _crowd(spot, circles, placed)))
    return placed


def _crowd(spot: tuple[float, float], circles: Sequence[tuple[float, float, float]], placed: Sequence[tuple[float, float]]) -> float:
    """How much a number there would hide, or be hidden by."""
    x, y = spot
    outside = not (LEFT + 6 < x < WIDTH - RIGHT and TOP + 4 < y < HEIGHT - BOTTOM - 4)
    met = sum(max(0.0, radius + 6.5 - math.dist(spot, (at_x, at_y))) for at_x, at_y, radius in circles)
    return 100 * outside + met + sum(3 * max(0.0, 14 - math.dist(spot, other)) for other in placed)
