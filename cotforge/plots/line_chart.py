"""Curves over steps, with points, intervals and marked places."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cotforge.plots.axes import draw_grid
from cotforge.plots.scales import Tick
from cotforge.plots.svg import Box, mark_title, shorten_text, svg_element, svg_group, svg_path, text_label, whole_drawing

FRAME = Box(480, 230)
COLOURS = 6
"""Colours of a plot; further curves begin again with the first, and are dashed otherwise."""
NAME = 24
"""Characters of a marked place's name."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A measured point, with its interval where it has one."""

    x: float
    y: float
    low: float | None
    high: float | None
    says: str


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    path: str
    """As SVG's `d`, broken where a stage ends."""
    marks: Sequence[CurvePoint]
    last: float


@dataclass(frozen=True, slots=True)
class LineChart:
    """Curves in one frame."""

    title: str
    lines: Sequence[Line]
    across: Sequence[Tick]
    up: Sequence[Tick]
    stages: Sequence[Tick]
    """Where each stage begins, and its name."""
    box: Box = FRAME

    def says(self) -> str:
        """The plot in words: where each curve ends."""
        ends = "; ".join(f"{line.name} ends at {line.last:,.4g}" for line in self.lines)
        return f"{self.title}: {ends}." if ends else f"{self.title}: nothing was measured."

    def draw(self, key: str) -> Markup:
        """The SVG; `key` is unique on its page."""
        stages = [
            svg_group(
                svg_path(f"M{tick.at:g} {self.box.top - 6:g}V{self.box.floor:g}", class_="stage"),
                text_label(shorten_text(tick.text, NAME), tick.at + 3, self.box.top - 8),
            )
            for tick in self.stages
        ]
        curves = [svg_group(*_draw_curve(line), class_=f"r{place % COLOURS}") for place, line in enumerate(self.lines)]
        return whole_drawing(key, self.title, self.says(), self.box, draw_grid(self.box, self.up, self.across), *stages, *curves)


def join_points(points: Iterable[tuple[float, float]]) -> str:
    """Points as SVG's `d`."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _draw_curve(line: Line) -> list[Markup]:
    drawn = [svg_element("path", mark_title(line.name), class_="curve", d=line.path)]
    for mark in line.marks:
        if mark.low is not None and mark.high is not None:
            drawn.append(svg_path(f"M{mark.x:g} {mark.low:g}V{mark.high:g}", class_="interval"))
        drawn.append(svg_element("circle", mark_title(mark.says), class_="point", cx=mark.x, cy=mark.y, r=3))
    return drawn
