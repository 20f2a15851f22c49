"""`reader:` of a stage of kind `grpo`: a second model that has to come to the answer by the student's words, without the picture."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cotforge.spec import PathText, Spec
from cotforge.teachers.kinds.openai import OpenAITeacher
from cotforge.teachers.kinds.served import server_url


class Reader(Spec):
    """A text model behind a URL, and what its right answers are worth. Source: RACRO (arXiv 2506.04559)."""

    model: PathText = Field(min_length=1)
    """As its server names it."""
    url: Annotated[str, AfterValidator(server_url)]
    """Of its server, with `/v1`."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the server's key."""
    weight: float = Field(default=1.0, gt=0)
    """Beside those of `rewards`. Ours."""
    leak: Literal["stated", "named"] = "stated"
    """What makes a description worth nothing: that it states an answer (`the answer is`, a tag, a box), or that it names the right one."""
    temperature: float = Field(default=0.0, ge=0, le=5)
    """Of its answers. Ours, so that one description always gets one reward; the paper's is 1."""
    max_tokens: int = Field(default=1024, ge=1)
    """Of an answer, its reasoning included. Ours; the paper's is 8192."""
    concurrency: int = Field(default=16, ge=1, le=4096)
    """Questions in flight. Ours."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one answer, all attempts together; what has none by then counts neither as right nor as wrong. Ours."""

    def key_fields(self) -> dict[str, Any]:
        """What decides the rewards: not where and how fast they are asked for."""
        return self.model_dump(mode="json", exclude={"url", "key_env", "concurrency", "timeout"})

    def teacher(self) -> OpenAITeacher:
        """As it is asked."""
        return OpenAITeacher(
            name="reader", model=self.model, url=(self.url,), key_env=self.key_env, temperature=self.temperature,
            max_tokens=self.max_tokens, concurrency=self.concurrency, timeout=self.timeout,
        )  # fmt: skip
