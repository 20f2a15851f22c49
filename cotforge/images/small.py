"""A picture as a page of ours shows it: small, and encoded anew."""

import base64
import io

from PIL import Image

from cotforge.records import Fault, Picture


def small_jpeg(picture: Picture, side: int) -> bytes:
    """A JPEG of at most `side` pixels on its longer side, without a byte of the original; empty where that can no longer be read."""
    try:
        loaded = picture.load()
    except Fault:
        return b""
    return shrink_picture(loaded, side)


def shrink_picture(loaded: bytes, side: int) -> bytes:
    """The bytes of a picture as a JPEG of at most `side` pixels on its longer side, without a byte of the original."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(loaded), formats=["JPEG", "PNG", "WEBP"]) as image:
        image.draft("RGB", (side, side))
        shown = image.convert("RGB")
    shown.thumbnail((side, side))
    shown.info.clear()  # Pillow would write a comment that it has read
    shown.save(small, "JPEG", quality=85)
    return small.getvalue()


def data_uri(picture: Picture, side: int) -> str:
    """The same as a `data:` URL; empty where the picture can no longer be read."""
    small = small_jpeg(picture, side)
    return f"data:image/jpeg;base64,{base64.b64encode(small).decode()}" if small else ""
