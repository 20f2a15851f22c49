"""Pictures of five kinds, the copies that are planted of them, and pictures that only look alike.

Photos of textile are those of PyPI's `conformal-clip-data` (MIT licence), the parts of photos those of scikit-learn's sample images.
"""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from benchmarks.consensus.photos import textile_files

Random = np.random.Generator

PLAIN = 18.0
"""Deviation of the grey values below which a part of a photo counts as plain."""
KINDS = ("crop", "jpeg", "resize", "flip", "brightness", "contrast", "crop and another")


class Drawn(NamedTuple):
    """A picture, and what it was made from: those of one template are no independent trials."""

    template: str
    image: Image.Image


def textile(count: int, random: Random) -> Iterator[Drawn]:
    """Photos of one cloth, each another place of it; none where they are not installed, which is told."""
    try:
        files = textile_files()
    except SystemExit as fault:
        print(f"without photos of textile: {fault}", file=sys.stderr)
        return
    for place in random.choice(len(files), min(count, len(files)), replace=False):
        with Image.open(files[place]) as image:
            yield Drawn(f"textile {files[place].parent.name}/{files[place].stem}", image.convert("RGB"))


def photo_parts(count: int, random: Random) -> Iterator[Drawn]:
    """Parts of two photos that do not overlap, but for those that are all sky or out of focus: they are among the plain ones."""
    found = [drawn for drawn in _parts() if np.asarray(drawn.image.convert("L")).std() >= PLAIN]
    yield from found[:count]


@cache
def _parts() -> tuple[Drawn, ...]:
    found = []
    for name, photo in _photos().items():
        width, height = photo.width // 5, photo.height // 4
        for row in range(4):
            for column in range(5):
                part = photo.crop((column * width, row * height, (column + 1) * width, (row + 1) * height))
                found.append(Drawn(f"{name} {row} {column}", part.resize((width * 3, height * 3), Image.Resampling.BICUBIC)))
    return tuple(found)


@cache
def _photos() -> dict[str, Image.Image]:
    from sklearn.datasets import load_sample_image

    return {name: Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")}


def digits(count: int, random: Random) -> Iterator[Drawn]:
    """Handwritten digits drawn large: all alike from afar."""
    from sklearn.datasets import load_digits

    found = load_digits().images
    for place in random.choice(len(found), count, replace=False):
        grey = Image.fromarray(np.uint8(255 - found[place] * (255 / 16)))
        yield Drawn(f"digit {place}", grey.resize((160, 160), Image.Resampling.BICUBIC))


def scenes(count: int, random: Random) -> Iterator[Drawn]:
    """Coloured shapes on a gradient."""
    for number in range(count):
        width, height = (int(side) for side in random.integers(240, 520, 2))
        top, bottom = random.integers(0, 256, (2, 3))
        slope = np.linspace(0, 1, height)[:, None, None]
        image = Image.fromarray(np.uint8(np.broadcast_to(top * (1 - slope) + bottom * slope, (height, width, 3))))
        draw = ImageDraw.Draw(image)
        for _ in range(random.integers(4, 14)):
            _draw_shape(draw, width, height, random)
        noise = random.normal(0, random.uniform(0, 8), (height, width, 1))
        yield Drawn(f"scene {number}", Image.fromarray(np.uint8(np.clip(np.asarray(image) + noise, 0, 255))))


def _draw_shape(draw: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    colour = tuple(int(value) for value in random.integers(0, 256, 3))
    x, y, across, down = (int(random.integers(*bounds)) for bounds in ((0, width), (0, height), (15, width // 3), (15, height // 3)))
    kind = random.integers(4)
    if kind == 0:
        draw.ellipse((x - across, y - down, x + across, y + down), fill=colour)
    elif kind == 1:
        draw.rectangle((x - across, y - down, x + across, y + down), fill=colour)
    else:
        points = [(int(random.integers(width)), int(random.integers(height))) for _ in range(3)]
        if kind == 2:
            draw.polygon(points, fill=colour)
        else:
            draw.line(points, fill=colour, width=int(random.integers(2, 9)))


def forms(count: int, random: Random) -> Iterator[Drawn]:
    """Forms in groups of eight: one layout, other numbers. No two are copies."""
    for number in range(count):
        layout = number // 8
        yield Drawn(f"form {layout}", _draw_form(layout, [_number(random) for _ in range(3)]))


def one_digit(count: int, random: Random) -> Iterator[Drawn]:
    """Forms in pairs that differ in one digit out of 18."""
    for number in range(count // 2):
        lines = [_number(random) for _ in range(3)]
        yield Drawn(f"pair {number}", _draw_form(1_000 + number, lines))
        line, place = int(random.integers(3)), int(random.integers(6))
        other = str((int(lines[line][place]) + int(random.integers(1, 10))) % 10)
        lines[line] = lines[line][:place] + other + lines[line][place + 1 :]
        yield Drawn(f"pair {number}", _draw_form(1_000 + number, lines))


def _number(random: Random) -> str:
    return "".join(map(str, random.integers(0, 10, 6)))


def _draw_form(layout: int, lines: Sequence[str]) -> Image.Image:
    own = np.random.default_rng(layout)
    width, height = 420, 300
    image = Image.new("RGB", (width, height), tuple(int(value) for value in own.integers(200, 256, 3)))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=int(own.integers(28, 41)))
    draw.rectangle((10, 10, width - 10, 60), fill=tuple(int(value) for value in own.integers(0, 200, 3)))
    draw.text((20, 16), f"Form {layout}", fill="white", font=ImageFont.load_default(size=28))
    for line, top in zip(lines, (80, 150, 220), strict=True):
        draw.text((30, top), line, fill="black", font=font)
        draw.line((20, top + 50, width - 20, top + 50), fill="black", width=2)
    return image


def plain(count: int, random: Random) -> Iterator[Drawn]:
    """Walls and skies: one colour or a gradient, with noise; and parts of photos that have little else."""
    yield from (drawn for drawn in _parts() if np.asarray(drawn.image.convert("L")).std() < PLAIN)
    for number in range(count):
        width, height = 320, 240
        one, other = random.integers(0, 256, (2, 3))
        slope = (np.linspace(0, 1, height) ** random.uniform(0.5, 2))[:, None, None] * (number % 2)
        values = one * (1 - slope) + other * slope + random.normal(0, random.uniform(0, 5), (height, width, 1))
        yield Drawn(f"plain {number}", Image.fromarray(np.uint8(np.clip(np.broadcast_to(values, (height, width, 3)), 0, 255))))


WORLDS: dict[str, Callable[[int, Random], Iterator[Drawn]]] = {
    "textile": textile, "parts of photos": photo_parts, "digits": digits, "scenes": scenes, "forms": forms,
}  # fmt: skip
"""Of which copies are planted."""
ALONE: dict[str, Callable[[int, Random], Iterator[Drawn]]] = {"plain": plain}
"""Of which none are: they only have to be told apart."""


def copy_of(image: Image.Image, kind: str, random: Random) -> bytes:
    """A copy, as a JPEG: one of KINDS."""
    image = image.convert("RGB")
    if kind == "crop and another":
        with Image.open(io.BytesIO(copy_of(image, "crop", random))) as cropped:
            return copy_of(cropped, str(random.choice(KINDS[1:-1])), random)
    if kind == "crop":
        left, top, right, bottom = random.uniform(0.05, 0.15, 4)
        width, height = image.size
        box = (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
        return as_jpeg(image.crop(box))
    if kind == "jpeg":
        return as_jpeg(image, int(random.integers(30, 71)))
    if kind == "resize":
        factor = random.uniform(0.4, 1.6)
        how = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[int(random.integers(3))]
        return as_jpeg(image.resize((round(image.width * factor), round(image.height * factor)), how))
    if kind == "flip":
        return as_jpeg(ImageOps.mirror(image))
    change = ImageEnhance.Brightness if kind == "brightness" else ImageEnhance.Contrast
    return as_jpeg(change(image).enhance(float(random.uniform(0.7, 1.35))))


def as_jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """A JPEG of a picture."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()
