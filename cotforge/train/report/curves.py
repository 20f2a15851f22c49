"""The course of a training run as curves, in SVG's own units: what is held out, losses, rewards and more over the steps of all stages."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from cotforge.plan.kinds import KINDS
from cotforge.plan.stage import Curve
from cotforge.plots.line_chart import FRAME, CurvePoint, Line, LineChart, join_points
from cotforge.plots.scales import Scale, Tick, round_span
from cotforge.train.report.past import Chapter

POINTS = 240
"""Of one curve, at most (ours); each is the mean of as many steps as it stands for."""
REWARD = ("rewards/", "/mean")
TRIED = {"accuracy": "accuracy", "macro_recall": "macro recall", "format_rate": "well formed"}
"""Figures of what is held out, and what they are called."""

Value = tuple[float, float]
"""A step, from 1, and what was measured there."""


CURVES = tuple(dict.fromkeys(curve for kind in KINDS for curve in kind.curves))
"""The charts of all kinds of stages, each once."""


def plots(chapters: Sequence[Chapter], base: dict[str, Any] | None) -> list[LineChart]:
    """All that there is something to show of; the metrics of all stages are read once."""
    courses = [_Course.of(chapter) for chapter in chapters]
    made = [_held_out(courses, base)]
    for curve in CURVES:
        there = [course for course in courses if curve in course.curves]
        frame = _Frame.of([(course.name, course.steps) for course in there])
        lines = {
            title: [
                [(start + step, value) for step, value in course.values.get(name, ())]
                for (start, _), course in zip(frame.begins, there, strict=True)
            ]
            for name, title in _named(curve, there).items()
        }
        made.append(frame.plot(curve.title, lines, share=curve.share))
    return [plot for plot in made if plot.lines]


@dataclass(frozen=True)
class _Course:
    """The metrics of a stage, thinned."""

    name: str
    curves: Sequence[Curve]
    steps: int
    values: dict[str, list[Value]]
    """By TRL's names; steps are the stage's own."""
    tried: dict[str, Any] | None
    parent: str | None
    """The stage whose weights it begins with; None is the base."""
    apart: bool
    """Whether that is not the stage before it."""

    @classmethod
    def of(cls, chapter: Chapter) -> "_Course":
        wanted = {name for curve in chapter.stage.curves for name, _ in curve.metrics} | {f"eval_{name}" for name in TRIED}
        values: dict[str, list[Value]] = {}
        steps = 0
        for row in chapter.rows():
            steps = int(row.get("step", steps))
            for name, value in row.items():
                if name in wanted or _is_reward(name):
                    values.setdefault(name, []).append((steps, float(value)))
        thin = {name: thinned(course) for name, course in values.items()}
        return cls(chapter.stage.name, chapter.stage.curves, steps, thin, chapter.tried, chapter.parent, bool(chapter.origin))


def thinned(course: Sequence[Value], most: int = POINTS) -> list[Value]:
    """At most so many points, each the mean of equally many neighbours (the last of what is left)."""
    size = -(-len(course) // most) or 1
    parts = [course[at : at + size] for at in range(0, len(course), size)]
    return [(sum(step for step, _ in part) / len(part), math.fsum(value for _, value in part) / len(part)) for part in parts]


def _is_reward(name: str) -> bool:
    return name.startswith(REWARD[0]) and name.endswith(REWARD[1])


def _named(curve: Curve, courses: Iterable[_Course]) -> dict[str, str]:
    """The metrics of a chart, each reward among them."""
    metrics = dict(curve.metrics)
    if "reward" not in metrics:
        return metrics
    own = dict.fromkeys(name for course in courses for name in course.values if _is_reward(name))
    return metrics | {name: name.removeprefix(REWARD[0]).removesuffix(REWARD[1]) for name in own}


def _held_out(courses: Sequence[_Course], base: dict[str, Any] | None) -> LineChart:
    """Figures at the end of each stage with their intervals, and those on the way; stages are equally wide."""
    frame = _Frame(max(1, len(courses)), [(place, course.name) for place, course in enumerate(courses)], counted=False)
    tried = [(0, "nothing", base), *((place, course.name, course.tried) for place, course in enumerate(courses, 1))]
    lines: dict[str, list[list[Value]]] = {}
    marks: dict[str, list[CurvePoint]] = {}
    for name, title in TRIED.items():
        ends = [(at, after, found) for at, after, found in tried if found and found.get(name) is not None]
        lines[title] = _branches(courses, base, name)
        marks[title] = [frame.mark(at, found[name], found.get(f"{name}_interval"), f"after {after}: {title}") for at, after, found in ends]
    return frame.plot("On what is held out, with 95 % intervals", lines, marks, share=True)


def _branches(courses: Sequence[_Course], base: dict[str, Any] | None, name: str) -> list[list[Value]]:
    """A figure from stage to stage; a stage that begins with other weights than those before it starts a part at their figure."""
    known: dict[str | None, dict[str, Any] | None] = {None: base, **{course.name: course.tried for course in courses}}
    parts = [_value(0, base, name)]
    for place, course in enumerate(courses):
        if course.apart:
            parts.append(_value(place, known.get(course.parent), name))
        on_the_way = [(place + step / max(1, course.steps), value) for step, value in course.values.get(f"eval_{name}", ())]
        parts[-1] += sorted([*on_the_way, *_value(place + 1, course.tried, name)])
    return parts


def _value(at: float, found: dict[str, Any] | None, name: str) -> list[Value]:
    return [(float(at), float(found[name]))] if found and found.get(name) is not None else []


@dataclass(frozen=True)
class _Frame:
    """Where things lie, from left to right."""

    steps: int
    begins: Sequence[tuple[int, str]]
    """The step before each stage, and its name."""
    counted: bool = True
    """Whether the steps are numbered."""

    @classmethod
    def of(cls, stages: Sequence[tuple[str, int]]) -> "_Frame":
        """Stages, by name and steps, one after another."""
        ends = list(accumulate(steps for _, steps in stages))
        return cls(max([1, *ends[-1:]]), [(end - steps, name) for end, (name, steps) in zip(ends, stages, strict=True)])

    def x(self, step: float) -> float:
        return Scale(0, self.steps, FRAME.left, FRAME.end)(step)

    def mark(self, step: float, value: float, interval: Sequence[float] | None, title: str) -> CurvePoint:
        """A point of a plot from 0 to 1."""
        low, high = map(_SHARE, interval) if interval else (None, None)
        between = f", {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
        return CurvePoint(self.x(step), _SHARE(value), low, high, f"{title} {value:.3f}{between}")

    def plot(
        self, title: str, lines: dict[str, list[list[Value]]], marks: dict[str, list[CurvePoint]] | None = None, *, share: bool
    ) -> LineChart:
        """Curves by name, each in parts between which it is broken."""
        whole = {name: [part for part in parts if part] for name, parts in lines.items()}
        whole = {name: parts for name, parts in whole.items() if parts}
        values = [value for parts in whole.values() for part in parts for _, value in part]
        y, up = (_SHARE, _SHARE.ticks(place / 4 for place in range(5))) if share else Scale.around(values, FRAME.floor, FRAME.top)
        drawn = [
            Line(name, " ".join(self._path(part, y) for part in parts), (marks or {}).get(name, ()), parts[-1][-1][1])
            for name, parts in whole.items()
        ]
        _, most, wide = round_span([0, self.steps])
        numbers = [place * wide for place in range(round(most / wide) + 1)] if self.counted else []
        across = [Tick(self.x(at), f"{at:,.6g}") for at in numbers if at <= self.steps]
        return LineChart(title, drawn, across, up, [Tick(self.x(at), name) for at, name in self.begins])

    def _path(self, part: Sequence[Value], y: Scale) -> str:
        return join_points((self.x(step), y(value)) for step, value in part)


_SHARE = Scale(0, 1, FRAME.floor, FRAME.top)
"""The upward axis of shares."""
