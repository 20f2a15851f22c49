"""The `simulate:` section of a teacher: how `cotforge simulate` plays it. Never part of a Call."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cotforge.spec import Spec

Share = Annotated[float, Field(ge=0, le=1)]


class Bursts(Spec):
    """Periods in which the server answers 429 to everyone, counted from the first request."""

    every: float = Field(gt=0)
    """Seconds from the end of one burst to the end of the next."""
    lasts: float = Field(gt=0)
    """Length of a burst in seconds."""

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.lasts >= self.every:
            raise ValueError(f"lasts: {self.lasts:g} s leave no time between bursts; every must be more")
        return self


class Down(Spec):
    """A period in which the port is closed. Requests in flight are cut off."""

    after: float = Field(ge=0)
    """Seconds from the first request until the port closes."""
    lasts: float = Field(gt=0)
    """Seconds until the port opens again."""


class EndsAfter(Spec):
    """When and why the server stops answering for good."""

    after: int = Field(ge=0)
    """Requests that are answered before."""
    by: Literal["quota", "payment", "key", "forbidden", "model"]
    """The error from then on: `quota` (429 `insufficient_quota`), `payment` (402), `key` (401),
    `forbidden` (403) or `model` (404)."""


class Trickle(Spec):
    """Replies that arrive byte by byte."""

    pause: float = Field(gt=0)
    """Seconds before each byte."""
    share: Share = 1.0
    """Share of attempts that are slow like this."""


class GridCells(Spec):
    """Images that are grids of smaller images of equal size. Each cell is read alone, and the answer is computed from all of them."""

    rows: int = Field(ge=1, le=16)
    """Rows of the grid."""
    columns: int = Field(ge=1, le=16)
    """Columns of the grid."""
    answer: Literal["sum", "joined"] = "joined"
    """How the cells' labels become the answer, row by row: their `sum`, or one text (`joined`)."""


class Simulated(Spec):
    """A simulated teacher: a small classifier of images, and the faults of its server.

    Faults of a server (`hang`, `errors`, `reset`, `garbage`, `trickle`, `tail`) strike attempts at random, so a retry may pass; faults of
    a model (`broken` and those after it) follow from what is asked and from `seed`, so a retry meets them again. Where several strike at
    once, the one that stands first here does. Two teachers that differ in nothing but `model` are one model behind two names.
    """

    eye: Literal["nearest", "logistic", "bayes", "tree", "forest", "svm"] = "nearest"
    """Type of classifier: `nearest`, `logistic`, `bayes`, `tree`, `forest` or `svm`."""
    look: Literal["pixels", "blurred", "edges", "strokes", "ink"] = "pixels"
    """What it sees of the image's 8 x 8 grey thumbnail: `pixels`, `blurred`, `edges`, `strokes` or
    `ink`."""
    learn: str | None = None
    """CSV file that it is trained on, relative to the pipeline file; image paths are relative to
    the CSV file. Its columns are `image` and `label`, whatever `source.columns` says. Null: no skill, its answer is a fixed random
    projection of the thumbnail."""
    cells: GridCells | None = None
    """For images that are grids of learned images. The answer is then free, and the steps are
    written out. Needs `learn`. Null: the image is one whole."""
    seed: int = 0
    """Random seed of everything that is drawn. Teachers without `learn` and with the same seed are one model."""
    stuck: str | None = None
    """A label it gives to every image. Null: it classifies."""
    drift: int | None = Field(default=None, ge=0)
    """Requests until another model answers under the same name: the next seed, without skill. Null:
    never."""

    follows_hint: Share = 0.2
    """Share of hints whose answer it explains whatever it sees. It also explains what it nearly sees
    itself. In all other cases it says what it sees."""
    leaks_hint: Share = 0.05
    """Share of explanations whose text says that the answer was given."""
    trusts_text: Share = 0.3
    """How much a reasoning that it checks counts beside its own eye. Without an image it has the
    reasoning alone."""
    flatters: Share = 0.0
    """Share of judged reasonings that it gives the highest mark in everything."""
    admits_blank: Share = 0.0
    """Share of blank images of which it says that nothing can be seen. About the others it guesses."""

    latency: float = Field(default=0.0, ge=0)
    """Mean seconds until a reply."""
    jitter: Share = 0.0
    """Relative variation of latency: drawn uniformly from `latency * (1 - jitter)` to `latency * (1
    + jitter)`."""
    tail: Share = 0.0
    """Share of attempts that take 20 times as long."""
    knee: int | None = Field(default=None, ge=1)
    """Above this number of concurrent requests latency grows as (n / knee) squared. Null: it does
    not grow."""
    queue: int | None = Field(default=None, ge=1)
    """Concurrent requests that are processed; the others wait without a sign and are counted at
    `/metrics`, as in vLLM. Null: no queue."""
    limit: int | None = Field(default=None, ge=1)
    """Above this number of requests in flight the server answers 429. Null: no limit."""
    bursts: Bursts | None = None
    """Periods in which the server answers 429 to everyone. Null: none."""
    retry_after: float | None = Field(default=None, ge=0)
    """Seconds in the Retry-After header of 429, 503 and 529. Null: no header."""
    down: Down | None = None
    """A period in which nothing listens on the port, for all teachers on it. Null: none."""
    ends: EndsAfter | None = None
    """When and why the server stops answering for good. Null: never."""

    hang: Share = 0.0
    """Share of attempts that are never answered."""
    errors: Share = 0.0
    """Share of attempts that end with `error_status`."""
    error_status: int = Field(default=500, ge=200, le=599)
    """HTTP status of these errors. 200 is an error whose status does not show it."""
    error_body: Literal["json", "html"] = "json"
    """Body of these errors: `json` in OpenAI's form, or a web page (`html`)."""
    reset: Share = 0.0
    """Share of attempts whose connection is reset in the middle of the body."""
    garbage: Share = 0.0
    """Share of attempts answered with half a JSON document."""
    trickle: Trickle | None = None
    """Replies that arrive byte by byte. Null: none."""
    usage: Literal["counted", "missing", "absurd"] = "counted"
    """Token counts in replies: `counted`, `missing` or `absurd`."""
    logprobs: Literal["ignored", "given", "refused"] = "ignored"
    """What happens to requests for log probabilities: `given` (from the classifier's score),
    `ignored`, or `refused` with 400."""

    media: str | None = None
    """Folder, relative to the pipeline file, whose images may be named as `file:` URLs, like vLLM's
    `--allowed-local-media-path`. Null: none."""
    max_image_bytes: int | None = Field(default=None, ge=1)
    """Largest image of a request in bytes; above it the answer is 400. Null: no limit."""
    context: int | None = Field(default=None, ge=1)
    """Most tokens of prompt and `max_tokens` together; above it the answer is 400. Null: no limit."""
    broken: Share = 0.0
    """Share of calls that always end with 500."""
    blocked: Share = 0.0
    """Share of calls refused with 400 by a content filter."""
    filtered: Share = 0.0
    """Share of calls whose text a content filter removed, with `finish_reason: content_filter`."""
    declined: Share = 0.0
    """Share of calls with a `refusal` instead of a text."""
    blank: Share = 0.0
    """Share of calls with an empty text, or only white space."""
    malformed: Share = 0.0
    """Share of calls without a readable answer."""
    unclosed: Share = 0.0
    """Share of calls whose `<think>` is never closed."""
    inject: Share = 0.0
    """Share of calls whose reasoning contains instructions, markup and tags of another answer."""
    truncate: Share = 0.0
    """Share of calls cut in the middle of the text, with `finish_reason: length`."""

    @model_validator(mode="after")
    def _has_learned_what_it_reads(self) -> Self:
        if self.cells is not None and self.learn is None:
            raise ValueError("cells: needs learn, a CSV of image,label in which each image is one cell")
        return self
