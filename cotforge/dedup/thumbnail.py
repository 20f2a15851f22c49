"""A small copy of a picture: all that near-duplicates are found by. It is decoded once, and kept as a JPEG of a few kilobytes."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]

SIDE = 128
"""Pixels of a row and of a column: a crop is compared with its original wherever their parts overlap, so both are squeezed to a square."""
CHROMA = 16
"""The same of the two colour channels."""
QUALITY = 88
RECIPE = f"thumbnail 1 {SIDE} {CHROMA} {QUALITY}"
"""Names all that a thumbnail follows from beside the picture."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture squeezed to SIDE x SIDE."""

    luma: Floats
    """Grey values from 0 to 255, [SIDE, SIDE]."""
    chroma: Floats
    """The two colour channels, 0 where there is no colour, [2, CHROMA, CHROMA]."""
    sharp: int
    """Pixels of the picture's shorter side: finer detail than that is not in the thumbnail."""


def make_thumbnail(data: bytes) -> bytes | None:
    """The thumbnail of a picture's bytes, packed; None where they are no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about odd files
            with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
                sharp = min(image.size)
                image.draft("YCbCr" if image.mode != "L" else "L", (SIDE, SIDE))
                small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except Exception:  # Pillow raises nearly anything; a picture without a thumbnail has no near-duplicates
        return None
    packed = io.BytesIO()
    packed.write(min(sharp, 65_535).to_bytes(2, "big"))
    small = small if small.mode in ("L", "YCbCr") else small.convert("L" if small.mode == "L" else "RGB").convert("YCbCr")
    small.save(packed, "JPEG", quality=QUALITY)
    return packed.getvalue()


def read_thumbnail(packed: bytes) -> Thumbnail:
    """The thumbnail that `make_thumbnail` packed. Raises OSError, ValueError where it is none."""
    sharp = int.from_bytes(packed[:2], "big")
    with Image.open(io.BytesIO(packed[2:]), formats=["JPEG"]) as image:
        image.draft("YCbCr", image.size)
        image.load()
        luma = np.asarray(image.getchannel(0), np.float32)
        if image.mode == "L":
            return Thumbnail(luma, np.zeros((2, CHROMA, CHROMA), np.float32), sharp)
        colour = np.asarray(image.reduce(SIDE // CHROMA), np.float32)[..., 1:] - 128
    return Thumbnail(luma, np.ascontiguousarray(colour.transpose(2, 0, 1)), sharp)


def halve(luma: Floats, times: int = 1) -> Floats:
    """The mean of each 2 x 2 pixels, so many times over."""
    for _ in range(times):
        luma = (luma[::2, ::2] + luma[1::2, ::2] + luma[::2, 1::2] + luma[1::2, 1::2]) / np.float32(4)
    return luma


_ALONE = 4 * 65_536
"""Multiplications up to which OpenBLAS uses one thread: its threads would wait for one another longer than they work.

Source: OpenMathLib/OpenBLAS, interface/gemm.c, `SMP_THRESHOLD_MIN * GEMM_MULTITHREAD_THRESHOLD`.
"""


def product(one: Floats, other: Floats) -> Floats:
    """The matrix product, in parts that one thread computes."""
    rows = max(1, _ALONE // other.size)
    parts = [one[start : start + rows] @ other for start in range(0, len(one), rows)]
    return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts), np.float32)


def weighted(down: Floats, values: Floats, along: Floats) -> Floats:
    """A picture resampled: weights of rows, the picture, weights of columns."""
    return product(product(down, values), np.ascontiguousarray(along.T))
