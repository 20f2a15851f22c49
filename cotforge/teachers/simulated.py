"""The `simulate:` section of a teacher: how `cotforge simulate` plays it. Never part of a Call."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cotforge.spec import Spec

Share = Annotated[float, Field(ge=0, le=1)]


class Bursts(Spec):
    """Times at which the server says 429 to everybody. They begin with the first request."""

    every: float = Field(gt=0)
    """Seconds from the end of one burst to the end of the next."""
    lasts: float = Field(gt=0)
    """Seconds of that, at its end, in which the answer is 429."""

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.lasts >= self.every:
            raise ValueError(f"lasts: {self.lasts:g} s leave no time between bursts; every must be more")
        return self


class Down(Spec):
    """A time in which nothing listens at the server's port, and what was in flight is cut off."""

    after: float = Field(ge=0)
    """Seconds after the first request."""
    lasts: float = Field(gt=0)
    """Seconds until it listens again."""


class EndsAfter(Spec):
    """When and why the server stops answering for good."""

    after: int = Field(ge=0)
    """Requests that are taken before."""
    by: Literal["quota", "payment", "key", "forbidden", "model"]
    """429 `insufficient_quota`, 402, 401, 403, or 404."""


class Trickle(Spec):
    """Replies whose body comes byte by byte."""

    pause: float = Field(gt=0)
    """Seconds before each byte."""
    share: Share = 1.0
    """Of attempts."""


class GridCells(Spec):
    """A picture that is a grid of smaller pictures of one size. Each is read by itself, and the answer is worked out from all of them."""

    rows: int = Field(ge=1, le=16)
    columns: int = Field(ge=1, le=16)
    answer: Literal["sum", "joined"] = "joined"
    """What is made of the labels that were read, row by row: their sum, or one text."""


class Simulated(Spec):
    """A local stand-in for a teacher: a small classifier that looks at the picture it is sent, and the faults of its server.

    Faults of a server (`hang`, `errors`, `reset`, `garbage`, `trickle`, `tail`) strike attempts at random, so a retry may pass; faults of
    a model (`broken` and those after it) follow from what is asked and from `seed`, so a retry meets them again. Where several strike at
    once, the one that stands first here does. Two teachers that differ in nothing but `model` are one model behind two names.
    """

    eye: Literal["nearest", "logistic", "bayes", "tree", "forest", "svm"] = "nearest"
    """Kind of classifier."""
    look: Literal["pixels", "blurred", "edges", "strokes", "ink"] = "pixels"
    """What it sees of the picture's 8 x 8 grey thumbnail."""
    learn: str | None = None
    """CSV of image,label it is trained on, relative to the pipeline file (its images relative to the CSV).

    Without one the teacher has no skill: its answer is a fixed random projection of the thumbnail."""
    cells: GridCells | None = None
    """Where each picture is a grid of what the teacher has learned; the answer is then free, and its steps are said. Needs `learn`."""
    seed: int = 0
    stuck: str | None = None
    """The label it gives to every picture."""
    drift: int | None = Field(default=None, ge=0)
    """Requests that are taken before another model answers under the same name: the next seed, and no skill."""

    latency: float = Field(default=0.0, ge=0)
    """Seconds until an answer, on average."""
    jitter: Share = 0.0
    """Latency is drawn evenly from `latency * (1 - jitter)` to `latency * (1 + jitter)`."""
    tail: Share = 0.0
    """Share of attempts that take 20 times as long."""
    knee: int | None = Field(default=None, ge=1)
    """With n above that many worked on at once, a request takes (n / knee)^2 times as long."""
    queue: int | None = Field(default=None, ge=1)
    """Above that many worked on at once, requests wait in silence, counted at `/metrics` as vLLM does."""
    limit: int | None = Field(default=None, ge=1)
    """Above that many requests in flight the answer is 429."""
    bursts: Bursts | None = None
    retry_after: float | None = Field(default=None, ge=0)
    """Seconds, sent with a 429, 503 or 529."""
    down: Down | None = None
    """Strikes every teacher at the same port."""
    ends: EndsAfter | None = None

    hang: Share = 0.0
    """Share of attempts that are never answered."""
    errors: Share = 0.0
    """Share of attempts that end in `error_status`."""
    error_status: int = Field(default=500, ge=200, le=599)
    """With 200, an error under a status that says otherwise."""
    error_body: Literal["json", "html"] = "json"
    """An error in OpenAI's form, or a web page."""
    reset: Share = 0.0
    """Share of attempts whose connection is reset in the middle of the body."""
    garbage: Share = 0.0
    """Share of attempts answered with half a JSON document."""
    trickle: Trickle | None = None
    usage: Literal["counted", "missing", "absurd"] = "counted"
    """What replies say of their tokens."""
    logprobs: Literal["ignored", "given", "refused"] = "ignored"
    """What becomes of a request for log probabilities: they are given, that of the answer by the classifier's own score, or it is a 400."""

    media: str | None = None
    """The folder, relative to the pipeline file, below which images may be named as `file:` URLs: vLLM's `--allowed-local-media-path`."""
    max_image_bytes: int | None = Field(default=None, ge=1)
    """Above it, of any picture of a request, the answer is 400."""
    context: int | None = Field(default=None, ge=1)
    """Tokens; where prompt and `max_tokens` are more together, the answer is 400."""
    broken: Share = 0.0
    """Share of Calls that end in 500 however often they are tried."""
    blocked: Share = 0.0
    """Share of Calls refused by a content filter, with 400."""
    filtered: Share = 0.0
    """Share of Calls whose text a content filter took away, with `finish_reason: content_filter`."""
    declined: Share = 0.0
    """Share of Calls with a `refusal` instead of a text."""
    blank: Share = 0.0
    """Share of Calls whose text is empty, or only white space."""
    malformed: Share = 0.0
    """Share of Calls whose text holds no answer that could be read."""
    unclosed: Share = 0.0
    """Share of Calls whose `<think>` never ends."""
    inject: Share = 0.0
    """Share of Calls whose reasoning holds instructions, markup, and the tags of another answer."""
    truncate: Share = 0.0
    """Share of Calls whose text is cut in the middle, with `finish_reason: length`."""

    @model_validator(mode="after")
    def _has_learned_what_it_reads(self) -> Self:
        if self.cells is not None and self.learn is None:
            raise ValueError("cells: needs learn, a CSV of image,label in which each image is one cell")
        return self
