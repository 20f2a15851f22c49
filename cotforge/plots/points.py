"""Points in two dimensions: with a size, a reach (an interval or bound) and a number that leads to a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cotforge.plots.axes import axis_names, draw_grid
from cotforge.plots.scales import Scale, Tick
from cotforge.plots.svg import Box, mark_title, svg_element, svg_group, svg_path, text_label, whole_drawing

RING, GAP = 4.0, 4.5
_TURNS = (14, 12, 2, 10, 0, 8, 4, 6, 15, 13, 11, 9, 1, 3, 5, 7)
_DIRECTIONS = [(math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)) for turn in _TURNS]


@dataclass(frozen=True, slots=True)
class Point:
    """One row of a table, as a circle."""

    number: int
    """Its place in the table, from 1."""
    x: float
    y: float
    radius: float
    low: float | None
    """Height of its lower bound; None where there is none."""
    color: int
    says: str
    """Its figures in a sentence."""
    ringed: bool = False
    strong: bool = False
    text_x: float = 0.0
    text_y: float = 0.0


@dataclass(frozen=True, slots=True)
class PointChart:
    """Points in one frame."""

    key: str
    title: str
    says: str
    across: str
    """Of the axis."""
    up: str
    points: Sequence[Point]
    """The largest first, so that none hides another."""
    columns: Sequence[Tick]
    lines: Sequence[Tick]
    box: Box
    target: float | None = None
    """Height of a line that is to be reached; None where there is none."""

    def draw(self) -> Markup:
        """The SVG."""
        aim = []
        if self.target is not None:
            aim = [
                svg_path(f"M{self.box.left:g} {self.target:g}H{self.box.end:g}", class_="target"),
                text_label("target", self.box.end - 4, self.target - 6, anchor="end"),
            ]
        bounds = [
            svg_path(f"M{point.x:g} {point.y:g}V{point.low:g}m-4 0h8", class_=f"bound r{point.color}")
            for point in self.points
            if point.low is not None
        ]
        numbers = [text_label(str(point.number), point.text_x, point.text_y, class_="number", aria_hidden="true") for point in self.points]
        axes = draw_grid(self.box, self.lines, self.columns, columns=True)
        inside = (axes, axis_names(self.box, self.across, self.up), *aim, *bounds, *map(_draw_circle, self.points), *numbers)
        return whole_drawing(self.key, self.title, self.says, self.box, *inside)


def _draw_circle(point: Point) -> Markup:
    ring = [svg_element("circle", class_="ring", cx=point.x, cy=point.y, r=point.radius + RING)] if point.ringed else []
    dot = svg_element("circle", class_="dot", cx=point.x, cy=point.y, r=point.radius)
    return svg_group(
        mark_title(f"{point.number}: {point.says}"), *ring, dot, class_=f"r{point.color} best" if point.strong else f"r{point.color}"
    )


def number_places(circles: Sequence[tuple[float, float, float]], box: Box) -> list[tuple[float, float]]:
    """Where the number of each (x, y, radius) stands: beside it, where it meets the fewest others."""
    placed: list[tuple[float, float]] = []
    for x, y, radius in circles:
        spots = [(x + (radius + RING + GAP) * across, y + (radius + RING + GAP) * down) for across, down in _DIRECTIONS]
        placed.append(min(spots, key=lambda spot: _hidden_by(spot, circles, placed, box)))
    return placed


def _hidden_by(
    spot: tuple[float, float], circles: Sequence[tuple[float, float, float]], placed: Sequence[tuple[float, float]], box: Box
) -> float:
    """How much a number there would hide, or be hidden by."""
    x, y = spot
    outside = not (box.left + 6 < x < box.end and box.top + 4 < y < box.floor - 4)
    met = sum(max(0.0, radius + 6.5 - math.dist(spot, (at_x, at_y))) for at_x, at_y, radius in circles)
    return 100 * outside + met + sum(3 * max(0.0, 14 - math.dist(spot, other)) for other in placed)


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """A point of a calibration plot: what was claimed, what was found with its interval, and of how many."""

    claimed: float
    right: float
    low: float
    high: float
    count: int


def calibration_chart(key: str, title: str, says: str, readings: Sequence[CalibrationPoint]) -> Markup:
    """Claimed shares against found ones; on the diagonal both are the same. Shares are in [0, 1]."""
    box = Box(460, 300, left=52, bottom=42)
    least = min([0.5, *(one.low for one in readings), *(one.claimed for one in readings)])
    least = math.floor(least * 10) / 10
    across, up = Scale(least, 1, box.left, box.end), Scale(least, 1, box.floor, box.top)
    values = [round(place / 10, 1) for place in range(11)]
    axes = draw_grid(box, up.ticks(values, "{:.0%}".format), across.ticks(values, "{:.0%}".format))
    ideal = svg_path(f"M{across(least):g} {up(least):g}L{across(1):g} {up(1):g}", class_="ideal")
    marks = []
    for one in readings:
        x = across(one.claimed)
        told = f"{one.count:,} checked, confidence {one.claimed:.1%}, right {one.right:.1%} ({one.low:.1%} to {one.high:.1%})"
        reach = svg_path(f"M{x:g} {up(one.low):g}V{up(one.high):g}", class_="interval")
        marks.append(svg_group(mark_title(told), reach, svg_element("circle", class_="point", cx=x, cy=up(one.right), r=4.5), class_="r0"))
    return whole_drawing(key, title, says, box, axes, axis_names(box, "confidence", "found right by people"), ideal, *marks)
