"""What a simulated teacher reads of a chat-completion request, and how it says no."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cotforge.images.limits import HARD_BYTES
from cotforge.regular_files import read_regular
from cotforge.simulate.tasks import FollowUpTask, VerifyTask, read_task

MOST_CHOICES = 128
SMALL = 16 << 10
"""Characters of a request's pictures in base64 that a teacher looks at in about 2 ms (ours)."""
FILE = "file://"
KINDS = {402: "billing_error", 403: "permission_error", 429: "rate_limit_error", 503: "overloaded_error", 529: "overloaded_error"}
"""`type` of an error by its status, as hosted servers have it."""


class HttpRefusal(Exception):
    """A request that is answered with an error of OpenAI's form."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> dict[str, Any]:
        """`{"error": {message, type, param, code}}`."""
        kind = KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A chat-completion request, as far as a simulated teacher understands it."""

    model: str
    text: str
    """Every text part, joined by newlines."""
    images: tuple[str, ...]
    """Base64, not yet decoded, or `file:` URLs."""
    n: int
    max_tokens: int | None
    temperature: float
    digest: bytes
    """Of everything that was asked but its length, and what is told beside it: equal for a call tried again."""
    logprobs: bool = False
    task: FollowUpTask | None = None
    """What the text asks for beside a reasoned answer."""

    def is_within(self, share: float, mark: str) -> bool:
        """Whether this request is in a share of all, in [0, 1], that is drawn anew for each mark; the same on every attempt."""
        return share > 0 and Random(self.digest + mark.encode()).random() < share

    @property
    def has_small_pictures(self) -> bool:
        """Whether little is to be done for its one choice: its pictures came with it, and are small."""
        return self.n == 1 and sum(map(len, self.images)) <= SMALL and not any(image.startswith(FILE) for image in self.images)

    def pictures(self, media: Path | None) -> list[bytes]:
        """The images' bytes; files are read below `media` alone. Raises Refused where one is not base64 or may not be read."""
        return [_read_media(image, media) if image.startswith(FILE) else _decode_image(image) for image in self.images]


def _decode_image(image: str) -> bytes:
    try:
        return base64.b64decode(image, validate=True)
    except binascii.Error as error:
        raise HttpRefusal(400, f"an image is not valid base64: {error}") from error


def _read_media(url: str, media: Path | None) -> bytes:
    """What vLLM 0.32 does with a file and its `--allowed-local-media-path`, down to the statuses."""
    if media is None:
        raise HttpRefusal(500, "Cannot load local files without `--allowed-local-media-path`.")
    parts = urlsplit(url)
    path = Path(url2pathname(parts.path)).resolve()
    if parts.netloc or not path.is_relative_to(media.resolve()):
        raise HttpRefusal(400, "The file path <path> must be a subpath of `--allowed-local-media-path <path>`.")
    try:
        return read_regular(path, most=HARD_BYTES)
    except OSError as error:
        raise HttpRefusal(500, f"[Errno {error.errno}] {error.strerror}: '<path>'") from error


def read_request(raw: bytes) -> ParsedRequest:
    """The request of that body. Raises Refused (400) where it is not one that is understood here."""
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise HttpRefusal(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise HttpRefusal(400, "the body must be an object with the name of a model")
    if body.get("stream"):
        raise HttpRefusal(400, "streaming is not simulated; leave out 'stream'")
    texts, images = _message_parts(body.get("messages"))
    text = "\n".join(texts)
    task = read_task(text)
    if not images and not isinstance(task, VerifyTask):
        raise HttpRefusal(400, "a simulated teacher looks at pictures, and none was sent; without one it can only check a reasoning")
    lasting = {name: value for name, value in body.items() if name not in ("max_tokens", "max_completion_tokens", "logprobs")}
    return ParsedRequest(
        model=body["model"],
        text=text,
        images=tuple(images),
        n=_whole_number(body, "n", most=MOST_CHOICES) or 1,
        max_tokens=_whole_number(body, "max_completion_tokens") or _whole_number(body, "max_tokens"),
        temperature=_read_temperature(body),
        digest=hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).digest(),
        logprobs=body.get("logprobs") is True,
        task=task,
    )


def _message_parts(messages: Any) -> tuple[list[str], list[str]]:
    """Texts and base64 images of all messages."""
    texts: list[str] = []
    images: list[str] = []
    try:
        for message in messages:
            content: Any = message["content"]
            parts: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                if part["type"] == "image_url":
                    images.append(_image_data(part["image_url"]["url"]))
                else:
                    texts.append(str(part["text"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise HttpRefusal(
            400, "'messages' must be a list of messages whose content is text, or parts of type text and image_url"
        ) from error
    return texts, images


def _image_data(url: str) -> str:
    if url.startswith(FILE):
        return url
    head, comma, data = url.partition(",")
    if not comma or not re.fullmatch(r"data:image/[a-z]{1,8};base64", head):
        raise HttpRefusal(400, "an image must be a data URL in base64 or a file; nothing is fetched")
    return data


def _whole_number(body: Mapping[str, Any], name: str, *, most: int = 1 << 40) -> int | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most):
        raise HttpRefusal(400, f"{name!r} must be a whole number from 1 to {most}")
    return value


def _read_temperature(body: Mapping[str, Any]) -> float:
    value = body.get("temperature")
    if value is None:
        return 1.0
    if not isinstance(value, int | float) or not 0 <= value <= 5:
        raise HttpRefusal(400, "'temperature' must be a number from 0 to 5")
    return float(value)
