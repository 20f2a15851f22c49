"""`eval:` of the pipeline file: on what a student is evaluated, when, and by what engine."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from cotforge.records import Sample
from cotforge.spec import Spec


def as_list(given: Any) -> Any:
    """One word as a list of it."""
    return [given] if isinstance(given, str) else given


Metric = Literal["accuracy", "macro_recall", "format_rate"]


class EntropyBand(Spec):
    """Which checkpoints are sure enough of their own words, and not too sure; of those the best one is taken."""

    entropy: tuple[float, float]
    """Nats of a token, lowest and highest, of completions drawn for held-out samples; Ring-lite (arXiv 2506.14731) has 0.3 to 0.5."""

    @model_validator(mode="after")
    def _goes_up(self) -> Self:
        low, high = self.entropy
        if not 0 <= low < high:
            raise ValueError(f"entropy: {low:g} to {high:g} is no band; give the lower bound first, from 0 up, like [0.3, 0.5]")
        return self

    def distance(self, nats: float) -> float:
        """How far an entropy lies outside; 0 within the band, its ends included."""
        low, high = self.entropy
        return max(low - nats, nats - high, 0.0)


def _kind_of_best(given: Any) -> str:
    return "band" if isinstance(given, dict | EntropyBand) else "metric"


ChosenBy = Annotated[Annotated[Metric, Tag("metric")] | Annotated[EntropyBand, Tag("band")], Discriminator(_kind_of_best)]
"""By what one of a stage's checkpoints is chosen."""


class Eval(Spec):
    """`eval:`: on what a student is tried, and what is told of it."""

    split: str | None = Field(default=None, min_length=1)
    """Of the source: one that is not trained on."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Of the samples, by their pictures' hash: held out before any teacher is asked."""
    metrics: tuple[Metric, ...] = ("accuracy", "macro_recall")
    """What the table shows; the first one decides which of two is the better."""
    at_most: int | None = Field(default=None, ge=1)
    """Samples; null takes all."""
    when: Annotated[tuple[Literal["base", "stages", "end"], ...], BeforeValidator(as_list)] = ("base", "stages", "end")
    """When the student is evaluated: before its first stage, after each stage that another one follows, after the last."""
    between: int | None = Field(default=2_000, ge=1)
    """Samples, at most, of evaluations before the end: the same ones each time, spread over the classes; null takes all."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What generates the answers; `auto` is vLLM on a GPU where it is installed and serves the student, else transformers."""
    best: ChosenBy | None = None
    """By this metric, or in this band of entropy, every checkpoint of a stage is tried; the best one's weights are the stage's.

    In a band that is the one nearest to it with the highest first metric. Null takes the last checkpoint.
    """
    rescue: int = Field(default=0, ge=0)
    """Tokens that a thought which was cut off may go on with: it is closed, and the answer asked for. Ours: none."""

    @model_validator(mode="after")
    def _holds_out_one_way(self) -> Self:
        if (self.split is None) == (self.share is None):
            raise ValueError("split, share: give one of them")
        return self

    def held_out(self) -> dict[str, Any]:
        """Which samples are kept from training."""
        return {"split": self.split, "share": self.share}

    def measured(self, *, whole: bool) -> dict[str, Any]:
        """All that decides the figures of given weights, on all samples (`whole`) or on those of `between`."""
        return self.model_dump(mode="json", exclude={"metrics", "when", "best", *(["between"] if whole else [])})

    @property
    def best_metric(self) -> Metric | None:
        """The metric that tells which of two checkpoints is the better, in a band of entropy the first one; None where none is chosen."""
        return self.metrics[0] if isinstance(self.best, EntropyBand) else self.best

    def choosing(self) -> dict[str, Any]:
        """All that decides which checkpoint `best` takes; they are tried where they are trained, whatever `engine` says."""
        by = {"metric": self.best_metric} if isinstance(self.best, EntropyBand) else {}
        return self.model_dump(mode="json", include={"split", "share", "at_most", "between", "best", "rescue"}) | by

    def holds(self, sample: Sample) -> bool:
        """Whether a Sample is tried on, and never trained on, because of `share`: it follows from its pictures alone."""
        return self.holds_pictures(picture.digest for picture in sample.pictures)

    def holds_pictures(self, digests: Iterable[str]) -> bool:
        """The same of a Sample's pictures, by their digests."""
        first = min(digests, default="f" * 13)
        return self.share is not None and int(first[:13], 16) < self.share * 16**13
