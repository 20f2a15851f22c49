"""`eval:` of the pipeline file: on what a student is evaluated, when, and by what engine."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from cotforge.records import Sample
from cotforge.spec import Spec


def as_list(given: Any) -> Any:
    """One word as a list of it."""
    return [given] if isinstance(given, str) else given


ONE_OR_LIST = BeforeValidator(as_list, json_schema_input_type=str | tuple[str, ...])
"""Of a list of texts: one text alone is a list of it."""

Metric = Literal["accuracy", "macro_recall", "format_rate"]
When = Literal["base", "stages", "end"]


class EntropyBand(Spec):
    """A range of entropy. Of the checkpoints within it, the best one is taken."""

    entropy: tuple[float, float]
    """Lowest and highest mean entropy per token, in nats, of completions sampled for held-out
    samples. Ring-lite (arXiv 2506.14731) uses 0.3 to 0.5."""

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
    """`eval:`: which samples are held out, and how the student is evaluated on them."""

    split: str | None = Field(default=None, min_length=1)
    """Split of the source that is not trained on. Give `split` or `share`. Null: `share` is used."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Share of samples held out, chosen by image hash before any teacher is asked. Null: `split` is
    used."""
    metrics: tuple[Metric, ...] = ("accuracy", "macro_recall")
    """Metrics of the table: `accuracy`, `macro_recall`, `format_rate`. The first decides which of
    two students is better."""
    at_most: int | None = Field(default=None, ge=1)
    """Most held-out samples used. Null: all."""
    when: Annotated[tuple[When, ...], BeforeValidator(as_list, json_schema_input_type=When | tuple[When, ...])] = ("base", "stages", "end")
    """When the student is evaluated. `base`: before the first stage. `stages`: after each stage
    that another one builds on. `end`: after the last one."""
    between: int | None = Field(default=2_000, ge=1)
    """Most samples of evaluations before the end: always the same, spread over the classes. Null:
    all."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What generates the answers: `vllm` or `transformers`. `auto`: vLLM on a GPU if it is
    installed, supports the student and there are at least 256 samples."""
    best: ChosenBy | None = None
    """How a stage's best checkpoint is chosen: by a metric, or by a range of entropy. Each
    checkpoint is evaluated, and the stage keeps the weights of the best. In a range: of the
    checkpoints nearest to it, the one with the highest first metric. Null: the last checkpoint."""
    rescue: int = Field(default=0, ge=0)
    """Extra tokens for a reasoning that was cut off: it is closed, and the answer is asked for. 0:
    none."""

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
