"""What a worker and its engine say to one another. Engines alone import torch or vLLM."""

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from cotforge.records import Fault

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""Stay in a text, though a tokenizer may call them special."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One request: a Call and how it is sampled. One answer is wanted."""

    id: int
    messages: tuple[Mapping[str, Any], ...]
    """In OpenAI's form; an image part is `{"type": "image", "digest": ...}`."""
    images: Mapping[str, bytes | str] = field(repr=False)
    """By digest: the bytes, or the absolute path of a file that holds exactly these bytes."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the teacher's sampling."""
    seed: int | None = None
    """Of what is drawn for this request alone, whatever is answered beside it; None draws as the engine does."""
    entropy: bool = False
    """Whether the entropy of its tokens is wanted too; an engine that cannot tell it leaves it out."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What became of one request: a text, or the error."""

    id: int
    content: str = ""
    finish_reason: str = "stop"
    """`length` where the text was cut off."""
    input_tokens: int = 0
    output_tokens: int = 0
    error: str = ""
    """A short word where there is no text."""
    detail: str = ""
    passing: bool = False
    """Whether asking the same again may help."""
    entropy: float | None = None
    """Mean, in nats, of the distributions that its tokens were taken from; None where it was not asked for or is not known."""


class Unfit(Exception):
    """The engine cannot begin, or cannot go on: one line for the user, and the end of its worker."""


class InferenceEngine(Protocol):
    """A model that answers many requests at a time. It is used from one thread, and made by its module's `load(teacher, model)`.

    `load` gets the model as a folder's absolute path or a Hub id, and raises Unfit where it cannot be.
    """

    def add(self, asking: Asking) -> None:
        """Take a request. What this raises is the end of this request alone: a Fault keeps its reason, all else is `engine_error`."""

    def drop(self, id: int) -> None:
        """Forget a request that nobody waits for any more; an unknown id is none of its concern."""

    def step(self) -> list[Generation]:
        """Do some work; what is finished. Called while something is unfinished. What this raises is the end of the worker."""

    def close(self) -> None:
        """Let go of everything outside this process."""


def open_picture(image: bytes | str, digest: str) -> Image.Image:
    """The picture, decoded. Raises Fault where it cannot be, or where its file holds other bytes by now."""
    with _explain_unreadable():
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        if data is not image and hashlib.sha256(data).hexdigest() != digest:
            raise Fault("image_changed", f"image: {image!r} has changed since it was read; start again to take the new one")
        with Image.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB")


def size_of(image: bytes | str) -> tuple[int, int]:
    """Its width and height in pixels, from its head alone. Raises Fault where it has none."""
    with _explain_unreadable(), Image.open(image if isinstance(image, str) else io.BytesIO(image)) as picture:
        return picture.size


@contextlib.contextmanager
def _explain_unreadable() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:  # what Pillow raises for broken files
        raise Fault("image_unreadable", f"image: {fault}") from fault
