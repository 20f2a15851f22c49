"""What a simulated teacher reads of a chat-completion request, and how it says no."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_CHOICES = 128


class Refused(Exception):
    """A request that is answered with an error of OpenAI's form."""

    def __init__(self, status: int, message: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """`{"error": {message, type, param, code}}`."""
        kind = "server_error" if self.status >= 500 else "rate_limit_error" if self.status == 429 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat-completion request, as far as a simulated teacher understands it."""

    model: str
    text: str
    """Every text part, joined by newlines."""
    images: tuple[str, ...]
    """Base64, not yet decoded."""
    n: int
    max_tokens: int | None
    temperature: float
    digest: bytes
    """Of everything that was asked but its length: equal for a call tried again."""

    def pictures(self) -> list[bytes]:
        """The images' bytes. Raises Refused (400) where one is not base64."""
        try:
            return [base64.b64decode(image, validate=True) for image in self.images]
        except binascii.Error as error:
            raise Refused(400, f"an image is not valid base64: {error}") from error


def read(raw: bytes) -> Asked:
    """The request of that body. Raises Refused (400) where it is not one that is understood here."""
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refused(400, "the body must be an object with the name of a model")
    if body.get("stream"):
        raise Refused(400, "streaming is not simulated; leave out 'stream'")
    texts, images = _parts(body.get("messages"))
    if not images:
        raise Refused(400, "a simulated teacher looks at pictures, and none was sent")
    lasting = {name: value for name, value in body.items() if name not in ("max_tokens", "max_completion_tokens")}
    return Asked(
        model=body["model"],
        text="\n".join(texts),
        images=tuple(images),
        n=_whole(body, "n", most=MOST_CHOICES) or 1,
        max_tokens=_whole(body, "max_completion_tokens") or _whole(body, "max_tokens"),
        temperature=_temperature(body),
        digest=hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).digest(),
    )


def _parts(messages: Any) -> tuple[list[str], list[str]]:
    """Texts and base64 images of all messages."""
    texts: list[str] = []
    images: list[str] = []
    try:
        for message in messages:
            content: Any = message["content"]
            parts: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                if part["type"] == "image_url":
                    images.append(_inline(part["image_url"]["url"]))
                else:
                    texts.append(str(part["text"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(400, "'messages' must be a list of messages whose content is text, or parts of type text and image_url") from error
    return texts, images


def _inline(url: str) -> str:
    head, comma, data = url.partition(",")
    if not comma or not re.fullmatch(r"data:image/[a-z]{1,8};base64", head):
        raise Refused(400, "an image must be a data URL in base64; nothing is fetched")
    return data


def _whole(body: Mapping[str, Any], name: str, *, most: int = 1 << 40) -> int | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most):
        raise Refused(400, f"{name!r} must be a whole number from 1 to {most}")
    return value


def _temperature(body: Mapping[str, Any]) -> float:
    value = body.get("temperature")
    if value is None:
        return 1.0
    if not isinstance(value, int | float) or not 0 <= value <= 5:
        raise Refused(400, "'temperature' must be a number from 0 to 5")
    return float(value)
