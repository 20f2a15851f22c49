"""What can be measured on a picture by someone who does not know what it shows."""

import io
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 50_000_000
FINE = 24
SPECK = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A picture as a simulated teacher sees it."""

    ink: Floats
    """(8, 8), in [0, 1]: how far each cell of the grey thumbnail is from the background."""
    colour: tuple[int, int, int]
    """Mean red, green and blue where there is most ink, in 0..255."""
    parts: int
    """Separate pieces of ink."""
    measured: dict[str, float]
    """Named properties (see `measure_ink`); one that does not apply is absent."""
    size: tuple[int, int]
    """Width and height, pixels."""


def see_picture(data: bytes) -> Sight:
    """Decodes a JPEG, PNG or WEBP and measures it. Raises ValueError where it is none, broken, or above 50 megapixels."""
    picture = _decode_picture(data)
    small = picture.resize((8, 8), Image.Resampling.BOX)
    ink = _ink_grid(small)
    fine = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((FINE, FINE), Image.Resampling.BICUBIC)) > 0.4
    red, green, blue = np.asarray(small, dtype=np.float64)[ink >= 0.8 * ink.max()].mean(0)
    parts = len(_connected_regions(_cell_mask(fine)))
    return Sight(ink, (round(red), round(green), round(blue)), parts, measure_ink(ink, fine), picture.size)


def see_cells(data: bytes, *, rows: int, columns: int) -> tuple[Floats, tuple[int, int]]:
    """The ink of each cell of a grid, row by row, (rows * columns, 8, 8), and the size of the whole picture, pixels.

    Raises ValueError as `see_picture`, and where the picture has fewer pixels than cells on a side.
    """
    picture = _decode_picture(data)
    width, height = picture.size
    if width < columns or height < rows:
        raise ValueError(f"{width} x {height} pixels are no {columns} x {rows} cells")
    across, down = ([length * number // count for number in range(count + 1)] for length, count in ((width, columns), (height, rows)))
    boxes = [(left, top, right, bottom) for top, bottom in pairwise(down) for left, right in pairwise(across)]
    return np.stack([_ink_grid(picture.resize((8, 8), Image.Resampling.BOX, box)) for box in boxes]), picture.size


def _decode_picture(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("more than 50 megapixels")
            return image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not an image that can be read: {error}") from error


def _ink_grid(small: Image.Image) -> Floats:
    """(8, 8): distance of a thumbnail's grey from the background, which is what most of the border shows."""
    grey = np.asarray(small.convert("L"), dtype=np.float64) / 255
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    return np.asarray(np.abs(grey - np.median(border)))


def measure_ink(ink: Floats, fine: NDArray[np.bool_]) -> dict[str, float]:
    """Properties of the ink: `ink` is (8, 8) in [0, 1], `fine` its thresholded enlargement; empty where there is no ink.

    holes: enclosed areas; hole_height: where the largest lies, 0 at the bottom, 1 at the top; strokes_upper, strokes_middle,
    strokes_lower: strokes met by a line across at a quarter, half and three quarters of the height; upper, left: share of the ink in the
    upper and left half of its box, in [0, 1]; symmetry: share of the ink that its mirror image covers, in [0, 1]; aspect: height by width.
    """
    rows, columns = np.flatnonzero(fine.any(1)), np.flatnonzero(fine.any(0))
    if not len(rows):
        return {}
    box = fine[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = box.shape
    found = {
        "upper": float(box[: height // 2].sum() + box[height // 2 : height - height // 2].sum() / 2) / float(box.sum()),
        "left": float(box[:, : width // 2].sum() + box[:, width // 2 : width - width // 2].sum() / 2) / float(box.sum()),
        "symmetry": float((box & box[:, ::-1]).sum() / box.sum()),
        "aspect": height / width,
    }
    for name, place in (("upper", 1), ("middle", 2), ("lower", 3)):
        line = box[min(height - 1, height * place // 4)]
        found[f"strokes_{name}"] = float(line[0]) + float((line[1:] & ~line[:-1]).sum())
    holes = _enclosed_holes(fine)
    if holes:
        middle = np.mean([divmod(cell, FINE + 2)[0] - 1 for cell in _mask_cells(max(holes, key=int.bit_count))])
        found["hole_height"] = float(np.clip(1 - (middle - rows[0]) / max(1, height - 1), 0, 1))
    return found | {"holes": float(len(holes))}


def _cell_mask(cells: NDArray[np.bool_]) -> int:
    """The cells as the bits of one integer, row by row, with an empty frame one cell wide: bit 0 is the frame's first corner."""
    return int.from_bytes(np.packbits(np.pad(cells, 1).ravel(), bitorder="little").tobytes(), "little")


def _mask_cells(mask: int) -> list[int]:
    return [place for place in range(mask.bit_length()) if mask >> place & 1]


def _connected_regions(mask: int, *, least: int = SPECK) -> list[int]:
    """The connected areas (by edges) of at least that many cells."""
    found, line = [], FINE + 2
    while mask:
        region, grown = 0, mask & -mask
        while grown != region:
            region = grown
            grown = (region | region << 1 | region >> 1 | region << line | region >> line) & mask
        mask &= ~region
        if region.bit_count() >= least:
            found.append(region)
    return found


def _enclosed_holes(fine: NDArray[np.bool_]) -> list[int]:
    """Areas without ink that do not reach the frame, which is cell 0 of the background."""
    everything = (1 << (FINE + 2) ** 2) - 1
    return [region for region in _connected_regions(everything & ~_cell_mask(fine)) if not region & 1]
