"""Images inside texts: base64, as in the TSV files of VLMEvalKit, or a `data:` URL."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from cotforge.images import FileRef
from cotforge.images.signatures import LONGEST, begins_image
from cotforge.records import Fault

_SHORTEST = 64
"""Characters; VLMEvalKit takes a shorter text for the index of another row. Source: `vlmeval/dataset/image_base.py`."""

NAME = "base64 in the data"
"""Of such an image, for messages."""

_ROWS_KEPT = 100_000

_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_PART = re.compile(r"""['"]([A-Za-z0-9+/=\s]+)['"]""")
_BEGINNING = re.compile(r"[A-Za-z0-9+/]{24}")


def image_in(text: str) -> bytes | None:
    """The image that a cell's text is, in base64; None where it is none, such as a path. Raises Fault `image_broken` for broken base64."""
    told = _DATA_URL.match(text)
    text = text[told.end() :] if told else text
    text = text[2:-1] if text.startswith(("b'", 'b"')) else text  # what str() makes of bytes
    if not told and (len(text) < _SHORTEST or not _begins_image(text)):
        return None
    try:
        coded = "".join(text.split())
        return base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError) as err:
        raise Fault("image_broken", f"image: {text[:24]!r}... is base64 that cannot be decoded: {err}") from err


def parts_of(text: str) -> list[str]:
    """The images in base64 of a Python list's text; the whole text where it is none."""
    parts = _PART.findall(text) if text[:1] == "[" and text[-1:] == "]" else []
    return parts if parts and all(map(_begins_image, parts)) else [text]


class RowImages:
    """Images of rows that were read: in a table of base64, a row may name an earlier row's index instead of repeating its image.

    Source: `vlmeval/dataset/image_base.py` of open-compass/VLMEvalKit. The first 100,000 rows with such images are remembered.
    """

    def __init__(self, refs: Callable[[object], Iterator[FileRef]]) -> None:
        self._refs = refs
        self._kept: dict[str, list[FileRef]] = {}

    def refs(self, values: list[object], index: str | None) -> Iterator[FileRef]:
        """The images of a row of this index. Raises what reading them raises."""
        only = values[0] if len(values) == 1 else None
        if self._kept and isinstance(only, str) and len(only) <= _SHORTEST and (earlier := self._kept.get(only.strip())):
            yield from earlier
            return
        found = list(self._refs(values))
        if index is not None and found and len(self._kept) < _ROWS_KEPT and all(ref.name == NAME for ref in found):
            self._kept[index] = found
        yield from found


def _begins_image(text: str) -> bool:
    return _BEGINNING.match(text) is not None and begins_image(base64.b64decode(text[:24])[:LONGEST])
