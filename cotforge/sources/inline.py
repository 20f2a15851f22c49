"""Images inside texts: base64, as in the TSV files of VLMEvalKit, or a `data:` URL."""

import base64
import binascii
import re

from cotforge.images.signatures import LONGEST, begins_image
from cotforge.records import Fault

_SHORTEST = 64
"""Characters; VLMEvalKit takes a shorter text for the index of another row. Source: `vlmeval/dataset/image_base.py`."""

_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_BEGINNING = re.compile(r"[A-Za-z0-9+/]{24}")


def image_in(text: str) -> bytes | None:
    """The image that a cell's text is, in base64; None where it is none, such as a path. Raises Fault `image_broken` for broken base64."""
    told = _DATA_URL.match(text)
    start = told.end() if told else 0
    if not told and (len(text) < _SHORTEST or not _begins_image(text)):
        return None
    try:
        coded = "".join(text[start:].split())
        return base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError) as err:
        raise Fault("image_broken", f"image: {text[:24]!r}... is base64 that cannot be decoded: {err}") from err


def _begins_image(text: str) -> bool:
    return _BEGINNING.match(text) is not None and begins_image(base64.b64decode(text[:24])[:LONGEST])
