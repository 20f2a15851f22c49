"""A table of shares whose cells are the fuller the larger they are; every number is written in its cell."""

from collections.abc import Sequence

from markupsafe import Markup

from cotforge.plots.svg import Box, mark_title, shorten_text, svg_element, svg_group, text_label, whole_drawing

FULL = 0.6
"""Opacity of a cell at 1, at which its number can still be read on light and dark pages."""


def heat_chart(
    key: str, title: str, says: str, rows: Sequence[str], columns: Sequence[str], shares: Sequence[Sequence[float | None]]
) -> Markup:
    """Shares in [0, 1] by row and column; None is an empty cell."""
    left, tall, head = 120.0, 30.0, 26.0
    wide = max(58.0, (460 - left) / max(1, len(columns)))
    box = Box(left + wide * len(columns), head + tall * len(rows))
    names = [
        text_label(shorten_text(name, max(8, int(wide / 7))), left + wide * (place + 0.5), 16, anchor="middle")
        for place, name in enumerate(columns)
    ]
    names += [
        text_label(shorten_text(name, 17), left - 8, head + tall * (place + 0.5) + 4, anchor="end", class_="name")
        for place, name in enumerate(rows)
    ]
    cells = []
    for y, (row, values) in enumerate(zip(rows, shares, strict=True)):
        for x, (column, share) in enumerate(zip(columns, values, strict=True)):
            at = {"x": left + wide * x + 1, "y": head + tall * y + 1, "width": wide - 2, "height": tall - 2}
            told = f"{row}, {column}: {'unknown' if share is None else f'{share:.1%}'}"
            fill = svg_element("rect", class_="cell", rx=3, fill_opacity=round(FULL * (share or 0), 2), **at)
            text = text_label(
                "-" if share is None else f"{100 * share:.0f}",
                left + wide * (x + 0.5),
                head + tall * (y + 0.5) + 4,
                anchor="middle",
                class_="cell-text",
            )
            cells.append(svg_group(mark_title(told), svg_element("rect", class_="track", rx=3, **at), fill, text))
    return whole_drawing(key, title, says, box, *names, *cells)
