"""How big an image may be: the user's limits, and the hard ones that guard the decoder."""

from typing import Literal

from pydantic import Field

from cotforge.spec import Spec

HARD_PIXELS = 50_000_000
"""An image whose header claims more is refused before it is decoded (a decompression bomb)."""

HARD_BYTES = 100_000_000
"""A longer file is refused before it is read."""

RECIPE = 2
"""Version of how images are recoded; results are remembered under it."""


class Images(Spec):
    """The `images:` section: larger images are scaled down once, with their proportions kept."""

    max_pixels: int = Field(default=12_845_056, ge=784)
    """Largest width times height. Larger images are scaled down once, with their proportions kept.
    The default is the limit of Qwen2.5-VL, 16384 * 28 * 28."""
    max_bytes: int = Field(default=15_000_000, ge=16_384)
    """Largest compressed image, in bytes. Hosted servers refuse request bodies of about 20 MB, and
    base64 adds a third."""
    via: Literal["data", "file"] = "data"
    """How `openai` teachers get an image. `data`: inside the request. `file`: as a `file://` URL,
    for servers that can read this disk."""
