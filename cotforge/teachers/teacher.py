"""What every kind of teacher has in the pipeline file: a model, how it is sampled, what it may cost."""

import os
import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from cotforge.errors import show_value
from cotforge.redaction import remember_secrets
from cotforge.spec import PathText, Spec
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


class Batched(Spec):
    """How Calls go to a batch API."""

    window: str = Field(default="24h", min_length=1)
    """The time a batch is given, as the provider writes it (the default is the only one that OpenAI knows)."""
    most: int = Field(default=50_000, ge=1, le=100_000)
    """Requests in one batch (the default is OpenAI's limit)."""
    poll: float = Field(default=60.0, gt=0)
    """Seconds between two looks at a batch, once it takes long (the default is ours)."""


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("this is not the name of an environment variable; write its name, like OPENAI_API_KEY, and never the key itself")
    return name


class Teacher(Spec):
    """One model and how it is sampled, wherever it is asked: what a request, the budget and the journal need to know.

    Where and how it is asked is the matter of its kind: see `teachers.kind`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    model: PathText = Field(min_length=1)
    kind: str
    """Each kind narrows it to its own name."""
    key_env: Annotated[str, AfterValidator(_variable_name)] | None = None
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
    def _body_leaves_other_keys_alone(self) -> Self:
        if taken := [name for name in RESERVED if name in self.body]:
            raise ValueError(
                f"body may not hold {show_value(taken[0])}; set the teacher's own key" + (", or samples" if taken[0] == "n" else "")
            )
        return self

    @property
    def asks_logprobs(self) -> bool:
        """Whether a request asks for the log probabilities of its reply's tokens, beside what the Call asks."""
        return False

    def key(self) -> str | None:
        """The API key from the environment, which is redacted from then on; None where the teacher needs none.

        Raises KeyError where the variable is not set.
        """
        if not self.key_env:
            return None
        key = os.environ[self.key_env]
        remember_secrets(key)
        return key
