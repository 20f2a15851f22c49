"""Bars: in rows with a name and a number each, side by side as a histogram, and pairs of marks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cotforge.plots.axes import axis_names, draw_grid
from cotforge.plots.scales import Scale, Tick, round_span
from cotforge.plots.svg import Box, mark_title, shorten_text, svg_element, svg_group, svg_path, text_label, whole_drawing

WIDTH = 460
ROW = 36
"""Units of a bar with its name above it."""
NAME = 34
"""Characters of a bar's name; of all but the last where a row has a note."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar."""

    value: float
    style: str
    """A class of `plots.css`: `good`, `bad`, `rest`, `r0` and so on."""
    says: str


@dataclass(frozen=True, slots=True)
class NamedBar:
    """A named row."""

    name: str
    pieces: Sequence[Piece]
    text: str
    """At the right: its number."""
    note: str = ""
    """Below, in small letters."""
    key: str = ""
    """An id for the page's script; empty where it needs none."""


def bar_chart(key: str, title: str, says: str, bars: Sequence[NamedBar], *, most: float | None = None) -> Markup:
    """Bars one below the other, as long as their values; `most` is the value of a whole row (default: the longest bar)."""
    whole = most or max((sum(piece.value for piece in bar.pieces) for bar in bars), default=0) or 1.0
    y, drawn = 0.0, []
    for bar in bars:
        drawn.append(_draw_row(bar, y, whole))
        y += ROW + (14 if bar.note else 0)
    return whole_drawing(key, title, says, Box(WIDTH, max(y, 1)), *drawn)


def _draw_row(bar: NamedBar, y: float, whole: float) -> Markup:
    x, pieces = 0.0, list[Markup]()
    for piece in bar.pieces:
        wide = max(WIDTH * piece.value / whole, 1.5 if piece.value else 0.0)
        where = f"{bar.key}-bar" if bar.key and not pieces else None
        pieces.append(
            svg_element("rect", mark_title(piece.says), class_=f"bar {piece.style}", x=x, y=y + 18, width=wide, height=10, rx=2, id=where)
        )
        x += wide
    texts = [
        text_label(shorten_text(bar.name, NAME), 0, y + 12, class_="name"),
        text_label(bar.text, WIDTH, y + 12, anchor="end", class_="number-text", id=f"{bar.key}-text" if bar.key else None),
    ]
    if bar.note:
        texts.append(text_label(shorten_text(bar.note, 84), 0, y + 42, class_="note"))
    track = svg_element("rect", class_="track", x=0, y=y + 18, width=WIDTH, height=10, rx=2)
    was = [svg_element("rect", class_="was", x=0.5, y=y + 18.5, width=max(x - 1, 0.5), height=9, rx=2)] if bar.key else []
    return svg_group(*texts, track, *pieces, *was)


@dataclass(frozen=True, slots=True)
class HistogramBin:
    """How many values lie between two others, by kind."""

    low: float
    high: float
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values between others, of one kind or several on top of one another."""

    bins: Sequence[HistogramBin]
    kinds: Sequence[str]
    """Names of the kinds, the lowest first."""
    styles: Sequence[str]
    across: str = ""
    log: bool = False
    bounds: Sequence[float] = ()
    """Values at which a line stands, such as a filter's."""
    height: float = 190
    percent: bool = False
    """Whether values are shares."""

    def draw(self, key: str, title: str, says: str) -> Markup:
        """The SVG; `key` is unique on its page."""
        box = Box(WIDTH, self.height, left=46, bottom=40 if self.across else 22, top=12)
        across = Scale(self.bins[0].low, self.bins[-1].high, box.left, box.end, self.log)
        up, lines = Scale.around([0, *(sum(one.counts) for one in self.bins)], box.floor, box.top)
        lines = lines if len(lines) <= 4 else lines[::2]
        rects = [rect for one in self.bins for rect in self._draw_bars(one, across, up)]
        limits = [across(value) for value in self.bounds if self._has_room(value)]
        aims = [svg_path(f"M{x:g} {box.top - 6:g}V{box.floor:g}", class_="limit") for x in limits]
        axes = draw_grid(box, lines, self._axis_ticks(across))
        return whole_drawing(key, title, says, box, axes, axis_names(box, self.across), *rects, *aims)

    def _draw_bars(self, one: HistogramBin, across: Scale, up: Scale) -> list[Markup]:
        drawn, below = [], 0
        left, right = across(one.low), across(one.high)
        for count, kind, style in zip(one.counts, self.kinds, self.styles, strict=True):
            if count:
                told = f"{self._value_text(one.low)} to {self._value_text(one.high)}: {count:,} {kind}"
                top, floor = up(below + count), up(below)
                size = {"width": max(right - left - 0.8, 0.8), "height": max(floor - top, 0.8)}
                drawn.append(svg_element("rect", mark_title(told), class_=f"bar {style}", x=left + 0.4, y=min(top, floor - 0.8), **size))
            below += count
        return drawn

    def _has_room(self, value: float) -> bool:
        return self.bins[0].low <= value <= self.bins[-1].high

    def _value_text(self, value: float) -> str:
        return f"{value:.0%}" if self.percent else f"{value:,.4g}"

    def _axis_ticks(self, across: Scale) -> list[Tick]:
        low, high = across.low, across.high
        if self.log:
            decades = [10.0**place for place in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
            values = [step * decade for decade in decades for step in (1, 2, 5)]
            shown = [value for value in values if low <= value <= high]
            return across.ticks(shown if len(shown) <= 8 else [value for value in shown if f"{value:e}"[0] == "1"], self._value_text)
        first, last, step = round_span([low, high])
        return across.ticks([first + place * step for place in range(round((last - first) / step) + 1)], self._value_text)


@dataclass(frozen=True, slots=True)
class Change:
    """A named row with two values: before and after."""

    name: str
    before: float
    after: float
    says: str


def change_chart(key: str, title: str, says: str, changes: Sequence[Change], *, percent: bool = True) -> Markup:
    """A row for each: a ring before, a filled square after, and the way between them."""
    left, row = 132.0, 24.0
    box = Box(WIDTH, row * len(changes) + 30, left=left, right=16, top=6, bottom=24)
    most = max([0.01, *(max(one.before, one.after) for one in changes)])
    _, high, step = round_span([0, most], most=4)
    across = Scale(0, high, box.left, box.end)
    ticks = across.ticks([place * step for place in range(round(high / step) + 1)], "{:.0%}".format if percent else "{:,.4g}".format)
    rows = []
    for place, one in enumerate(changes):
        y, before, after = box.top + row * (place + 0.5), across(one.before), across(one.after)
        rows.append(
            svg_group(
                mark_title(one.says),
                text_label(shorten_text(one.name, 19), box.left - 10, y + 4, anchor="end", class_="name"),
                svg_path(f"M{before:g} {y:g}H{after:g}", class_="way"),
                svg_element("circle", class_="before", cx=before, cy=y, r=4.5),
                svg_element("rect", class_="after", x=after - 4.5, y=y - 4.5, width=9, height=9, rx=1.5),
            )
        )
    return whole_drawing(key, title, says, box, draw_grid(box, [], ticks, columns=True), *rows)
