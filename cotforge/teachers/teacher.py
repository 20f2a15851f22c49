"""A teacher as the pipeline file describes it."""

import os
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from cotforge.spec import Spec
from cotforge.teachers.simulated import Simulated

RESERVED = ("messages", "model", "temperature", "top_p", "max_tokens", "n", "stream")
"""Fields of a request that `body` may not set: they have a key of their own, or would change what a reply is."""


LOCAL = ("transformers", "vllm")
"""Kinds that run in processes of our own."""


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


class Batched(Spec):
    """How Calls go to a batch API."""

    window: str = Field(default="24h", min_length=1)
    """The time a batch is given, as the provider writes it (the default is the only one that OpenAI knows)."""
    most: int = Field(default=50_000, ge=1, le=100_000)
    """Requests in one batch (the default is OpenAI's limit)."""
    poll: float = Field(default=60.0, gt=0)
    """Seconds between two looks at a batch, once it takes long (the default is ours)."""


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
    """One model behind endpoints or in processes of our own, or replies someone already has, and how it is sampled."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    model: str = Field(min_length=1)
    kind: Literal["openai", "batch", "transformers", "vllm", "replay"] = "openai"
    url: Annotated[tuple[Annotated[str, AfterValidator(_url)], ...], BeforeValidator(_listed)] = ()
    """Base URL, or one per replica of the same model."""
    path: str | None = None
    """For `replay`: JSON lines, see `teachers.kinds.replay`."""
    gpus: Literal["all"] | tuple[Annotated[int, Field(ge=0)], ...] = "all"
    """For `transformers` and `vllm`: numbers of the GPUs, one worker each; none is the CPU, and so is `all` where there are none."""
    engine: dict[str, JsonValue] = Field(default_factory=dict)
    """For `transformers` and `vllm`: further arguments of `from_pretrained(...)` or `vllm.LLM(...)`; never part of a Call."""
    batch: Batched = Batched()
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the API key."""
    concurrency: int = Field(default=64, ge=1, le=4096)
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
    rpm: float | None = Field(default=None, gt=0)
    """Requests per minute at most, over all replicas."""
    tpm: float | None = Field(default=None, gt=0)
    """Tokens per minute at most, over all replicas: of the prompt, and of `max_tokens` until it is known how many there were."""
    price: Price = Price()
    listed: bool = True
    """Whether the server's list of models is asked before anything paid."""
    license: str | None = None
    """What the model's makers allow to be done with its output; for the card."""
    simulate: Simulated | None = None
    """How `cotforge simulate` plays this teacher; never part of a Call."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind in ("openai", "batch") and not self.url:
            raise ValueError("url is missing; write it like 'http://localhost:8000/v1'")
        if self.kind == "batch" and len(self.url) > 1:
            raise ValueError("url has replicas; a batch API is one URL")
        if self.kind != "batch" and self.batch != Batched():
            raise ValueError(f"batch is for kind 'batch'; kind {self.kind!r} asks call by call")
        if self.kind == "replay" and self.path is None:
            raise ValueError("path is missing: the JSON lines that hold the replies")
        if self.kind in LOCAL and self.url:
            raise ValueError(f"url is for kind 'openai'; a teacher of kind {self.kind!r} has none")
        if self.kind not in LOCAL and (self.engine or self.gpus != "all"):
            raise ValueError(f"engine and gpus are for {' and '.join(map(repr, LOCAL))}; kind {self.kind!r} has neither")
        if self.engine.get("trust_remote_code", True) is not True:
            raise ValueError("engine.trust_remote_code runs the model's own code; write true, or leave it out")
        if taken := [name for name in RESERVED if name in self.body]:
            raise ValueError(f"body may not hold {taken[0]!r}; set the teacher's own key" + (", or samples" if taken[0] == "n" else ""))
        return self

    def key(self) -> str | None:
        """The API key from the environment; None where the teacher needs none. Raises KeyError where the variable is not set."""
        return os.environ[self.key_env] if self.key_env else None
