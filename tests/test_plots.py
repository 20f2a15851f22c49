"""Plots: values lie where an axis says, every mark is there, text stays text, and a drawing says in words what it shows."""

import math
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from cotforge.plots.bars import Change, Histogram, HistogramBin, NamedBar, Piece, bar_chart, change_chart
from cotforge.plots.heat import heat_chart
from cotforge.plots.line_chart import CurvePoint, Line, LineChart
from cotforge.plots.points import CalibrationPoint, Point, PointChart, calibration_chart, number_places
from cotforge.plots.scales import Scale, Tick, log_span, log_ticks, round_span
from cotforge.plots.svg import Box, decimal_text, shorten_text, standalone_file

HOSTILE = "</text></svg><script>alert(1)</script>\"'&\u202e"
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


def parsed(drawn: Markup | str) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawn))


def count(drawn: Markup, tag: str, style: str) -> int:
    return sum(one.tag == tag and style in one.get("class", "").split() for one in parsed(drawn).iter())


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_a_round_axis_holds_all_its_values_and_has_few_lines(values: list[float]) -> None:
    low, high, step = round_span(values)
    room = 1e-9 * max(1.0, abs(low), abs(high))
    assert low - room <= min(values) <= max(values) <= high + room
    assert low < high
    assert 1 <= round((high - low) / step) <= 7


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=20))
def test_a_logarithmic_axis_holds_its_values_and_its_ticks_are_on_it(values: list[float]) -> None:
    low, high = log_span(values)
    assert low < min(values) <= max(values) < high
    ticks = log_ticks(low, high)
    assert len(ticks) <= 18
    assert all(low <= tick <= high for tick in ticks)


@given(NUMBERS, NUMBERS, st.floats(0, 1))
def test_a_scale_keeps_order_and_its_ends(one: float, other: float, share: float) -> None:
    low, high = sorted((one, other))
    if high - low < 1e-6 * max(1.0, abs(low), abs(high)):
        return
    scale = Scale(low, high, 10, 110)
    assert (scale(low), scale(high)) == (10, 110)
    assert 10 <= scale(low + share * (high - low)) <= 110


def test_ticks_outside_an_axis_are_left_out() -> None:
    assert Scale(0, 1, 0, 100).ticks([-0.1, 0, 0.5, 1, 1.1]) == [Tick(0, "0"), Tick(50, "0.5"), Tick(100, "1")]
    assert [tick.at for tick in Scale(1, 100, 0, 100, log=True).ticks([1, 10, 100])] == [0, 50, 100]


DRAWINGS: dict[str, Callable[[str], Markup]] = {
    "bars": lambda word: bar_chart("k", word, word, [NamedBar(word, (Piece(3, "r0", word), Piece(1, "bad", word)), word, word, "step")]),
    "histogram": lambda word: Histogram([HistogramBin(0, 1, (2, 1)), HistogramBin(1, 2, (0, 4))], (word, word), ("r0", "rest"), word).draw(
        "k", word, word
    ),
    "change": lambda word: change_chart("k", word, word, [Change(word, 0.1, 0.3, word), Change("b", 0.5, 0.5, "same")]),
    "heat": lambda word: heat_chart("k", word, word, [word, "b"], [word], [[0.5], [None]]),
    "lines": lambda word: LineChart(word, [Line(word, "M0 0L1 1", [CurvePoint(1, 2, 0, 3, word)], 1.5)], [], [], [Tick(1, word)]).draw("k"),
    "points": lambda word: PointChart(
        "k", word, word, word, word, [Point(1, 5, 5, 3, 9, 0, word, ringed=True, strong=True)], [Tick(1, word)], [], Box(99, 99), 4
    ).draw(),
    "calibration": lambda word: calibration_chart("k", word, word, [CalibrationPoint(0.9, 0.8, 0.7, 0.9, 10)]),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_has_a_title_a_description_and_no_markup_from_data(name: str) -> None:
    drawn = parsed(DRAWINGS[name](HOSTILE))
    assert (drawn.tag, drawn.get("role")) == ("svg", "img")
    ids = {one.get("id"): "".join(one.itertext()) for one in drawn}
    told = [ids[each] for each in drawn.get("aria-labelledby", "").split()]
    assert len(told) == 2
    assert all("script" in text and "\u202e" not in text for text in told)
    assert not {"script", "image", "a", "use", "foreignObject"} & {one.tag for one in drawn.iter()}
    assert not [key for one in drawn.iter() for key in one.attrib if key.startswith("on") or "href" in key]


def test_every_value_is_a_mark() -> None:
    bars = [NamedBar(str(size), (Piece(size, "r0", str(size)),), str(size)) for size in range(5)]
    drawn = bar_chart("k", "t", "s", bars)
    wide = [float(one.get("width", "")) for one in parsed(drawn).iter() if "r0" in one.get("class", "").split()]
    assert wide == [0, 115, 230, 345, 460]
    heat = heat_chart("k", "t", "s", ["a", "b"], ["c", "d", "e"], [[0, 0.5, 1], [None, 1, 0]])
    assert count(heat, "rect", "cell") == 6
    assert [one.text for one in parsed(heat).iter() if one.get("class") == "cell-text"] == ["0", "50", "100", "-", "100", "0"]
    bins = [HistogramBin(place, place + 1, (place, 1)) for place in range(4)]
    assert count(Histogram(bins, ("one", "two"), ("r0", "rest"), bounds=(2, 99)).draw("k", "t", "s"), "rect", "bar") == 7
    assert count(Histogram(bins, ("one", "two"), ("r0", "rest"), bounds=(2, 99)).draw("k", "t", "s"), "path", "limit") == 1


def test_a_histogram_of_one_kind_is_as_high_as_its_counts() -> None:
    drawn = parsed(Histogram([HistogramBin(0, 1, (10,)), HistogramBin(1, 2, (5,))], ("all",), ("r0",)).draw("k", "t", "s"))
    first, second = (float(one.get("height", "")) for one in drawn.iter() if "bar" in one.get("class", "").split())
    assert first == pytest.approx(2 * second, abs=0.2)


def test_numbers_of_points_keep_clear_of_one_another() -> None:
    circles = [(100.0, 100.0, 8.0), (104.0, 101.0, 8.0), (96.0, 99.0, 8.0)]
    places = number_places(circles, Box(300, 300))
    assert min(math.dist(one, other) for at, one in enumerate(places) for other in places[:at]) > 10


def test_a_drawing_stands_alone_as_a_file() -> None:
    file = standalone_file(bar_chart("k", "t", "s", [NamedBar("a", (Piece(1, "r0", "a"),), "1")]))
    drawn = parsed(file)
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    (style,) = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}style")]
    assert style is not None
    assert "prefers-color-scheme: dark" in style
    assert "url(" not in style


def test_numbers_and_names_are_short() -> None:
    assert [decimal_text(value) for value in (1, 0.1 + 0.2, 2.50, -0.001)] == ["1", "0.3", "2.5", "0"]
    assert shorten_text("a\nb  c", 9) == "a b c"
    assert shorten_text("abcdef", 4) == "abc…"
