"""Texts and pictures cut to a size, so that a page stays small whatever a stranger wrote."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from cotforge.images.small import data_uri
from cotforge.records import Picture
from cotforge.visible import show_invisible

SIDES = (360, 256, 160, 96, 64)
"""Pixels of the longer side of a thumbnail; the largest whose sample stays within its bytes is taken."""
PICTURES = 4
"""Pictures of one sample that are shown."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginning of a text."""

    text: str
    left_out: int
    """Characters that follow."""


def text_excerpt(text: str, most: int) -> Excerpt:
    """As much of a text as takes at most `most` bytes in HTML, in which some characters take up to ten."""
    shown = text[:most]
    while (size := _html_bytes(shown)) > most:
        shown = shown[: min(len(shown) - 1, len(shown) * most // size)]
    return Excerpt(shown, len(text) - len(shown))


def _html_bytes(text: str) -> int:
    return len(escape(show_invisible(text)).encode("utf-8", "replace"))


def thumbnail_uris(pictures: Sequence[Picture], most: int) -> tuple[str, ...]:
    """Data URIs of at most `PICTURES` pictures, together about `most` characters; empty for one that can no longer be read."""
    made: tuple[str, ...] = ()
    for side in SIDES:
        made = tuple(data_uri(picture, side) for picture in pictures[:PICTURES])
        if sum(map(len, made)) <= most:
            break
    return made
