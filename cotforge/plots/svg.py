"""SVG elements whose attributes and texts are escaped, and drawings that say in words what they show."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup, escape

from cotforge.visible import show_invisible

Attribute = str | float | None


class Box(NamedTuple):
    """The size of a drawing and the room around its plot, in SVG's own units."""

    width: float
    height: float
    left: float = 46
    right: float = 12
    top: float = 20
    bottom: float = 24

    @property
    def end(self) -> float:
        """Where the plot ends on the right."""
        return self.width - self.right

    @property
    def floor(self) -> float:
        """Where the plot ends at the bottom."""
        return self.height - self.bottom


def decimal_text(value: float) -> str:
    """A number with two decimals at most, so that the same plot is always the same bytes."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def svg_element(name: str, *inside: object, **attributes: Attribute) -> Markup:
    """An element; text in it and in its attributes is escaped. `class_` is `class`, `_` in a name is `-`, None is left out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute_text(value))}"' for key, value in attributes.items() if value is not None
    )
    body = "".join(str(part if isinstance(part, Markup) else escape(_attribute_text(part))) for part in inside)
    return Markup(f"<{name}{told}>{body}</{name}>" if inside else f"<{name}{told}/>")


def svg_group(*inside: object, **attributes: Attribute) -> Markup:
    """Elements together."""
    return svg_element("g", *inside, **attributes)


def mark_title(text: str) -> Markup:
    """What a mark says: a browser shows it under the mouse, a screen reader reads it."""
    return svg_element("title", text)


def text_label(text: str, x: float, y: float, *, anchor: str | None = None, class_: str | None = None, **others: Attribute) -> Markup:
    """A text in a drawing; `anchor` is `middle` or `end`."""
    return svg_element("text", text, x=x, y=y, text_anchor=anchor, class_=class_, **others)


def svg_path(*steps: str, class_: str, **others: Attribute) -> Markup:
    """A path of steps such as `M0 1` and `H9`."""
    return svg_element("path", d="".join(steps), class_=class_, **others)


def whole_drawing(key: str, title: str, says: str, box: Box, *inside: object) -> Markup:
    """A whole drawing. `key` is unique on its page; `says` is its content in words."""
    return svg_element(
        "svg",
        svg_element("title", title, id=f"{key}-title"),
        svg_element("desc", says, id=f"{key}-desc"),
        *inside,
        viewBox=f"0 0 {decimal_text(box.width)} {decimal_text(box.height)}",
        role="img",
        class_="drawing",
        aria_labelledby=f"{key}-title {key}-desc",
    )


@cache
def plot_style() -> str:
    """The CSS of all plots; colours are variables of it, for a light and for a dark page."""
    return (Path(__file__).parent / "plots.css").read_text(encoding="utf-8")


def standalone_file(drawn: Markup) -> str:
    """A drawing as a file of its own, with its style inside."""
    head, _, rest = str(drawn).partition(">")
    named = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f"{named}><style>{plot_style()}</style>{rest}\n"


def shorten_text(text: str, most: int) -> str:
    """A text on one line, cut where it is longer."""
    line = " ".join(show_invisible(text[: 8 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _attribute_text(value: object) -> str:
    return decimal_text(value) if isinstance(value, int | float) else show_invisible(str(value))
