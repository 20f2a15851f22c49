"""The pictures of a request as a simulated teacher sees them, and what can be told of one without any label."""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cotforge.simulate.request import HttpRefusal
from cotforge.simulate.sight import Floats, Sight, see_cells, see_picture
from cotforge.teachers.simulated import Simulated

SMALL = 32 << 10
"""Bytes of a picture (ours) that is looked at once where several teachers are asked about it at about the same time."""
FAINT = 0.05
"""Ink below which a picture is blank to a teacher, in [0, 1]."""
COLOURS = {
    "black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (220, 30, 30), "green": (40, 160, 60),
    "blue": (40, 70, 210), "yellow": (235, 220, 50), "orange": (240, 140, 30), "purple": (130, 50, 160), "brown": (120, 75, 40),
    "pink": (245, 150, 180),
}  # fmt: skip
_COUNTED = re.compile(r"(?<![\w.])\d{1,9}(?![\w.])")


class SeenPictures(NamedTuple):
    """The pictures of a request, as a teacher sees them."""

    sizes: Sequence[tuple[int, int]]
    """Width and height of each, pixels."""
    sights: Sequence[Sight] = ()
    """Of each, unless it is a grid."""
    cells: Floats | None = None
    """The ink of all cells of all grids."""

    @property
    def blank(self) -> bool:
        """Whether there are pictures, and nothing is drawn on any of them."""
        inks = [sight.ink for sight in self.sights] if self.cells is None else [self.cells]
        return bool(inks) and all(float(ink.max()) < FAINT for ink in inks)


def look_at_pictures(simulated: Simulated, pictures: Sequence[bytes]) -> SeenPictures:
    """The pictures of a request as a teacher sees them. Raises HttpRefusal where a picture is too large or cannot be read."""
    most, grid = simulated.max_image_bytes, simulated.cells
    if most is not None and (largest := max(map(len, pictures), default=0)) > most:
        raise HttpRefusal(400, f"an image of {largest} bytes is too large; at most {most} are accepted", code="image_too_large")
    if not pictures:
        return SeenPictures(())
    try:
        if grid is None:
            sights = [_see_small(data) if len(data) <= SMALL else see_picture(data) for data in pictures]
            return SeenPictures([sight.size for sight in sights], sights)
        parts = [see_cells(data, rows=grid.rows, columns=grid.columns) for data in pictures]
        return SeenPictures([size for _, size in parts], cells=np.concatenate([inks for inks, _ in parts]))
    except ValueError as error:
        raise HttpRefusal(400, f"an image cannot be used: {error}") from error


@lru_cache(256)
def _see_small(data: bytes) -> Sight:
    """The same, kept for the next teacher that is asked about the picture."""
    return see_picture(data)


def measured_answer(text: str, sight: Sight) -> str:
    """A free answer: the number of separate pieces where a number is asked for, else the nearest colour name."""
    return str(sight.parts) if _asks_number(text) else nearest_colour(sight)


def nearest_colour(sight: Sight) -> str:
    """The name of the colour that is nearest to a picture's."""
    return min(COLOURS, key=lambda name: math.dist(COLOURS[name], sight.colour))


def _asks_number(text: str) -> bool:
    return re.search(r"\b(?:how many|number|count)\b", text, re.IGNORECASE) is not None


def told_answer(text: str, reasoning: str) -> str:
    """The last number or colour that a reasoning names, as the question wants it; empty where it names none."""
    found = _COUNTED.findall(reasoning) if _asks_number(text) else re.findall(rf"\b(?:{'|'.join(COLOURS)})\b", reasoning, re.IGNORECASE)
    return str(found[-1]).lower() if found else ""
