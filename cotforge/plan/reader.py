"""`reader:` of a stage of kind `grpo`: a second model that has to come to the answer by the student's words, without the picture."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cotforge.spec import PathText, Spec
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.kinds.served import server_url


class Reader(Spec):
    """A text model behind a URL that must find the answer from the student's reasoning (RACRO, arXiv 2506.04559)."""

    model: PathText = Field(min_length=1)
    """Model name as the server knows it."""
    url: Annotated[str, AfterValidator(server_url)]
    """URL of the server, with `/v1`."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the API key. Null: no key is sent."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of this reward beside those of `rewards`."""
    leak: Literal["stated", "named"] = "stated"
    """When a reasoning gets reward 0 without asking. `stated`: it states an answer (`the answer
    is`, a tag, a box). `named`: it names the correct answer."""
    temperature: float = Field(default=0.0, ge=0, le=5)
    """Sampling temperature. At 0 a reasoning always gets the same reward; the paper uses 1."""
    max_tokens: int = Field(default=1024, ge=1)
    """Most tokens per answer, its own reasoning included. The paper uses 8192."""
    concurrency: int = Field(default=16, ge=1, le=4096)
    """Most questions in flight."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one answer, all attempts together. Without an answer by then the completion
    counts neither as right nor as wrong."""

    def key_fields(self) -> dict[str, Any]:
        """What decides the rewards: not where and how fast they are asked for."""
        return self.model_dump(mode="json", exclude={"url", "key_env", "concurrency", "timeout"})

    def teacher(self) -> OpenAITeacher:
        """As it is asked."""
        return OpenAITeacher(
            name="reader", model=self.model, url=(self.url,), key_env=self.key_env, temperature=self.temperature,
            max_tokens=self.max_tokens, concurrency=self.concurrency, timeout=self.timeout,
        )  # fmt: skip
