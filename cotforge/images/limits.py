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
    """The `images:` section: what is larger is scaled down once, in its own proportions."""

    max_pixels: int = Field(default=12_845_056, ge=784)
    """Width times height, at most. Ours; 16384 * 28 * 28 is also Qwen2.5-VL's own ceiling."""
    max_bytes: int = Field(default=15_000_000, ge=16_384)
    """Bytes of the compressed stream, at most. Ours; hosted endpoints refuse bodies of about 20 MB, and base64 adds a third."""
    via: Literal["data", "file"] = "data"
    """How `openai` teachers are given an image: in the request, or as the `file://` URL of a file that their server reads itself."""
