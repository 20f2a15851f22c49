"""A picture's own pixels as features: right for digits, marks and other small drawings, poor for photos."""

import io
import warnings

import numpy as np
from PIL import Image

from cotforge.consensus.image.projection import Vectors

SIDE = 16
"""Cells of a row and of a column; each is the mean colour of its part of the picture."""
RECIPE = f"pixels {SIDE}"


def pixel_vector(data: bytes) -> Vectors | None:
    """Red, green and blue of every cell in [0, 1]; None where the bytes are no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about odd files
            with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
                image.draft("RGB", (4 * SIDE, 4 * SIDE))
                cells = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    except Exception:  # Pillow raises nearly anything; a picture without features has no vote
        return None
    return np.asarray(np.asarray(cells, np.float32).ravel() / np.float32(255), np.float32)
