"""The `simulate:` section of a teacher: how `cotforge simulate` plays it. Never part of a Call."""

from typing import Annotated, Literal

from pydantic import Field

from cotforge.spec import Spec

Share = Annotated[float, Field(ge=0, le=1)]


class Simulated(Spec):
    """A local stand-in for a teacher: a small classifier that looks at the picture it is sent, and the faults of its server.

    Faults of a server (`errors`, `hang`) strike attempts at random, so a retry may pass; faults of a model (`broken`, `truncate`,
    `malformed`) follow from what is asked and from `seed`, so a retry meets them again.
    """

    eye: Literal["nearest", "logistic", "bayes", "tree", "forest", "svm"] = "nearest"
    """Kind of classifier."""
    look: Literal["pixels", "blurred", "edges", "strokes", "ink"] = "pixels"
    """What it sees of the picture's 8 x 8 grey thumbnail."""
    learn: str | None = None
    """CSV of image,label it is trained on, relative to the pipeline file (its images relative to the CSV).

    Without one the teacher has no skill: its answer is a fixed random projection of the thumbnail."""
    seed: int = 0
    latency: float = Field(default=0.0, ge=0)
    """Seconds until an answer, on average."""
    jitter: Share = 0.0
    """Latency is drawn evenly from `latency * (1 - jitter)` to `latency * (1 + jitter)`."""
    limit: int | None = Field(default=None, ge=1)
    """Above that many requests in flight the answer is 429."""
    retry_after: float | None = Field(default=None, ge=0)
    """Seconds, sent with a 429."""
    errors: Share = 0.0
    """Share of attempts that end in 500."""
    hang: Share = 0.0
    """Share of attempts that are never answered."""
    broken: Share = 0.0
    """Share of Calls that end in 500 however often they are tried."""
    truncate: Share = 0.0
    """Share of Calls whose text is cut in the middle, with `finish_reason: length`."""
    malformed: Share = 0.0
    """Share of Calls whose text holds no answer that could be read."""
