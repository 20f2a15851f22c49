"""What every kind of teacher has in the pipeline file: a model, how it is sampled, what it may cost."""

import os
import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from cotforge.errors import show_value
from cotforge.redaction import remember_secrets
from cotforge.spec import PathText, Spec, spelled
from cotforge.teachers.simulated import Simulated

RESERVED = ("messages", "model", "temperature", "top_p", "max_tokens", "n", "stream")
"""Fields of a request that `body` may not set: they have a key of their own, or would change what a reply is."""


class Price(Spec):
    """Price of a model, in US dollars per million tokens."""

    input: float = Field(default=0.0, ge=0)
    """US dollars per million input tokens. For a batch API this is usually half of the normal
    price."""
    output: float = Field(default=0.0, ge=0)
    """US dollars per million output tokens."""

    @property
    def given(self) -> bool:
        """Whether a call costs anything."""
        return bool(self.input or self.output)

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        return (self.input * input_tokens + self.output * output_tokens) / 1e6


class Batched(Spec):
    """Limits of a batch API."""

    window: str = Field(default="24h", min_length=1)
    """Completion window, as the provider writes it. OpenAI knows only the default."""
    most: int = Field(default=50_000, ge=1, le=100_000)
    """Most requests per batch. Default: OpenAI's limit."""
    poll: float = Field(default=60.0, gt=0)
    """Seconds between two looks at a batch, once it takes long."""


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("this is not the name of an environment variable; write its name, like OPENAI_API_KEY, and never the key itself")
    return name


class Teacher(Spec):
    """One model and how it is sampled, wherever it is asked: what a request, the budget and the journal need to know.

    Where and how it is asked is the matter of its kind: see `teachers.kind`.
    """

    name: str = spelled(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", "a letter or digit, then at most 63 letters, digits, '.', '_' and '-'")
    """Name of the teacher in votes, tables and messages. It may be changed at any time without
    asking again."""
    model: PathText = Field(min_length=1)
    """Name of the model as the server knows it. For `transformers` and `vllm`: a Hub id or a
    folder."""
    kind: str
    """How the model is reached: `openai`, `batch`, `transformers`, `vllm` or `replay`."""
    key_env: Annotated[str, AfterValidator(_variable_name)] | None = None
    """Name of the environment variable that holds the API key. Null: no key is sent."""
    concurrency: int = Field(default=64, ge=1, le=4096)
    """Most calls in flight per replica. The actual pace is found below this limit. For
    `transformers`: the largest batch."""
    samples: int = Field(default=1, ge=1, le=1000)
    """Calls per sample; each reply is one vote. Rules that ask in turn make one call."""
    temperature: float | None = Field(default=0.7, ge=0, le=5)
    """Sampling temperature. Null: not sent, so the server's default applies."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Share of the probability mass that tokens are drawn from. Null: not sent, so the server's
    default applies."""
    max_tokens: int | None = Field(default=2048, ge=1)
    """Most tokens per reply, reasoning included. Null: not sent, so the server's default applies."""
    body: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of the request. `transformers` knows `top_k`, `min_p`, `typical_p`,
    `repetition_penalty`, `no_repeat_ngram_size`, `stop`, `seed` and `chat_template_kwargs`."""
    timeout: float = Field(default=300.0, gt=0)
    """Seconds for one attempt, from the first byte sent to the last received."""
    rpm: float | None = Field(default=None, gt=0)
    """Most requests per minute, over all replicas. Null: no limit."""
    tpm: float | None = Field(default=None, gt=0)
    """Most tokens per minute, over all replicas. A call counts with `max_tokens` until its reply
    arrives. Null: no limit."""
    price: Price = Price()
    """Price of the model. Estimates, costs and `budget.usd` follow from it."""
    listed: bool = True
    """Ask the server for its list of models before anything is paid, and stop if this model is not
    in it."""
    license: str | None = None
    """Licence of the model's output, shown on the card. Null: not stated."""
    family: str | None = Field(default=None, min_length=1, max_length=64)
    """Family of models that it belongs to: a teacher of another family judges its texts. Null: by the
    model's name."""
    simulate: Simulated | None = None
    """How `cotforge simulate` plays this teacher. Never part of a call's key. Null: with the
    defaults of this section."""

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
