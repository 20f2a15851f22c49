"""The grid of a plot with its numbers, the same for every kind of plot."""

from collections.abc import Sequence

from markupsafe import Markup

from cotforge.plots.scales import Tick
from cotforge.plots.svg import Box, svg_group, svg_path, text_label


def draw_grid(box: Box, up: Sequence[Tick], across: Sequence[Tick], *, columns: bool = False) -> Markup:
    """Lines at the ticks of the upward axis, and numbers at those of both; lines at the other's too where `columns` are wanted."""
    lines = [svg_path(f"M{box.left:g} {tick.at:g}H{box.end:g}", class_="grid") for tick in up]
    lines += [svg_path(f"M{tick.at:g} {box.top:g}V{box.floor:g}", class_="grid") for tick in across if columns]
    numbers = [text_label(tick.text, box.left - 6, tick.at + 4, anchor="end") for tick in up]
    numbers += [text_label(tick.text, tick.at, box.floor + 16, anchor="middle") for tick in across]
    return svg_group(*lines, *numbers, aria_hidden="true")


def axis_names(box: Box, across: str = "", up: str = "") -> Markup:
    """What the two axes measure."""
    told = [text_label(across, (box.left + box.end) / 2, box.height - 4, anchor="middle", class_="axis-name")] if across else []
    if up:
        turned = f"translate(12 {(box.top + box.floor) / 2:g}) rotate(-90)"
        told.append(text_label(up, 0, 0, anchor="middle", class_="axis-name", transform=turned))
    return svg_group(*told, aria_hidden="true")
