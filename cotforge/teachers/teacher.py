"""A teacher as the pipeline file describes it."""

import os
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from cotforge.spec import Spec
from cotforge.teachers.simulated import Simulated

RESERVED = ("messages", "model", "temperature", "top_p", "max_tokens", "n", "stream")
"""Fields of a request that `body` may not set: they have a key of their own, or would change what a reply is."""


class Price(Spec):
    """Dollars per million tokens."""

    input: float = Field(default=0.0, ge=0)
    output: float = Field(default=0.0, ge=0)

    @property
    def given(self) -> bool:
        """Whether a call costs anything."""
        return bool(self.input or self.output)

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        return (self.input * input_tokens + self.output * output_tokens) / 1e6


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not a URL of a server; write it like 'http://localhost:8000/v1'")
    if parts.username or parts.password:
        raise ValueError("a URL must not hold a password; name an environment variable with key_env")
    return url.rstrip("/")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Teacher(Spec):
    """One model behind endpoints, or replies someone already has, and how it is sampled."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    model: str = Field(min_length=1)
    kind: Literal["openai", "replay"] = "openai"
    url: Annotated[tuple[Annotated[str, AfterValidator(_url)], ...], BeforeValidator(_listed)] = ()
    """Base URL, or one per replica of the same model."""
    path: str | None = None
    """For `replay`: JSON lines, see `teachers.replay`."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the API key."""
    concurrency: int = Field(default=32, ge=1, le=4096)
    """Most calls in flight per replica (the default is ours)."""
    samples: int = Field(default=1, ge=1, le=1000)
    temperature: float | None = Field(default=0.7, ge=0, le=5)
    """Null sends none (the default is ours)."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=2048, ge=1)
    """Null sends none (the default is ours)."""
    body: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of the request, as the server knows them."""
    timeout: float = Field(default=300.0, gt=0)
    """Seconds for one attempt, from the first byte sent to the last received (the default is ours)."""
    price: Price = Price()
    listed: bool = True
    """Whether the server's list of models is asked before anything paid."""
    license: str | None = None
    """What the model's makers allow to be done with its output; for the card."""
    simulate: Simulated | None = None
    """How `cotforge simulate` plays this teacher; never part of a Call."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "openai" and not self.url:
            raise ValueError("url is missing; write it like 'http://localhost:8000/v1'")
        if self.kind == "replay" and self.path is None:
            raise ValueError("path is missing: the JSON lines that hold the replies")
        if taken := [name for name in RESERVED if name in self.body]:
            raise ValueError(f"body may not hold {taken[0]!r}; set the teacher's own key" + (", or samples" if taken[0] == "n" else ""))
        return self

    def key(self) -> str | None:
        """The API key from the environment; None where the teacher needs none. Raises KeyError where the variable is not set."""
        return os.environ[self.key_env] if self.key_env else None
