"""The rows of a what-if as points: where each lies, how large it is, and where its number can be read."""

import math
from collections.abc import Sequence
from typing import Literal

from cotforge import consensus
from cotforge.plots.points import Point, PointChart, number_places
from cotforge.plots.scales import Scale, Tick, log_span, log_ticks
from cotforge.plots.svg import Box
from cotforge.whatif.answers import Unit
from cotforge.whatif.choice import Compared, Row, lacking_text, row_name
from cotforge.whatif.whatif_text import HEADS, number_text, percent_text, price_text

BOX = Box(760, 430, left=62, right=22, top=26, bottom=52)
LARGEST = 15.0
"""Radius where everything is accepted."""

Axis = Literal["calls_per_accepted", "cost_per_accepted"]
RULES = tuple(rule.name for rule in consensus.RULES)
"""In the order of their colours."""


def plots(found: Compared, unit: Unit) -> list[PointChart]:
    """By calls, and by cost where that is something else."""
    made = [plot(found, "calls_per_accepted", unit)]
    if unit != "calls":
        made.append(plot(found, "cost_per_accepted", unit))
    return [one for one in made if one.points]


def plot(found: Compared, axis: Axis, unit: Unit) -> PointChart:
    """Precision, or where nobody checked enough coverage, over what an accepted Sample takes."""
    height = "precision" if found.calibrated else "coverage"
    rows = [(place, row) for place, row in enumerate(found.rows) if row[axis] and row[height] is not None]
    across = f"{'calls' if axis == 'calls_per_accepted' else HEADS[unit]} per accepted sample"
    bounds = [*(row["low"] for _, row in rows if row["low"] is not None), found.target] if found.calibrated else []
    floor = _floor([row[height] for _, row in rows] + bounds)
    x = Scale(*log_span([row[axis] for _, row in rows]), BOX.left, BOX.end, log=True)
    y = Scale(floor, 1, BOX.floor, BOX.top)
    circles = [(x(row[axis]), y(row[height]), round(LARGEST * math.sqrt(row["coverage"]), 1)) for _, row in rows]
    points = [
        Point(
            number=place + 1,
            x=at[0],
            y=at[1],
            radius=at[2],
            low=None if row["low"] is None else y(row["low"]),
            color=RULES.index(row["rule"]) if row["rule"] in RULES else 0,
            says=says(row, unit),
            ringed=place == found.present,
            strong=place == found.best,
            text_x=text[0],
            text_y=text[1],
        )
        for (place, row), at, text in zip(rows, circles, number_places(circles, BOX), strict=True)
    ]
    return PointChart(
        key=axis.partition("_")[0],
        title=f"{height.capitalize()} and {across}",
        says=f"{len(points)} variants; each is described in the table below under the same number.",
        across=across,
        up="precision, as gold shows it" if found.calibrated else "coverage",
        points=sorted(points, key=lambda point: -point.radius),
        columns=[Tick(x(value), _amount(value, axis, unit)) for value in log_ticks(x.low, x.high)],
        lines=y.ticks(_ticks(floor), "{:.2f}".format),
        box=BOX,
        target=y(found.target) if found.calibrated and floor <= found.target else None,
    )


def says(row: Row, unit: Unit) -> str:
    """A row's figures in a sentence."""
    shown = "" if row["low"] is None or row["precision"] is None else f", precision at least {row['low']:.3f}, about {row['precision']:.3f}"
    lacks = f"; {lacking_text(row)}" if row["lacking"] else ""
    cost = "" if unit == "calls" else f", {price_text(row['cost_per_accepted'], unit)}"
    taken = f"{number_text(row['calls_per_accepted'])} calls{cost} per accepted sample"
    return f"{row_name(row)}: {taken}, coverage {percent_text(row['coverage'])}{shown}{lacks}"


def _floor(values: Sequence[float]) -> float:
    """Where the upward axis begins: with some room, at a round number."""
    return max(0.0, math.floor((min(values) - 0.005) * 50) / 50) if values else 0.0


def _ticks(floor: float) -> list[float]:
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (1 - floor) / step <= 8)
    return [round(1 - place * step, 2) for place in range(int((1 - floor) / step + 1e-9) + 1)]


def _amount(value: float, axis: Axis, unit: Unit) -> str:
    return f"{value:.12g}" if axis == "calls_per_accepted" or unit != "usd" else f"${value:.12g}"
