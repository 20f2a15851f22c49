"""Stages of kind `sft`: supervised learning of the lessons' completions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cotforge.plan.curriculum import Choices, PacedStage
from cotforge.plan.part import DataPart
from cotforge.plan.prior import Prior
from cotforge.plan.stage import LOSS, Curve, LearnsFrom
from cotforge.spec import WrongKey, written_as

Share = Annotated[float, Field(ge=0, le=1)]
ShareOrAll = Annotated[Share, written_as(Share | bool)]
"""`true` is 1."""


class Sft(PacedStage):
    """Supervised fine-tuning: the student learns the completion, given image and prompt."""

    learns_texts: ClassVar[bool] = True
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"part", "prior", "short_answers", "shuffle_answers"})
    curves: ClassVar[tuple[Curve, ...]] = (
        LOSS,
        Curve("Token accuracy on lessons", (("mean_token_accuracy", "share"),), share=True),
        Curve("Distance to the expert", (("prior/distance", "distance"),)),
        Curve("Gradients bent towards the expert", (("prior/cosine", "cosine"), ("prior/added", "norm added"))),
    )

    curricula: ClassVar[Choices] = {"easy_first": ("pass_rate", "length"), "bandit": ("loss",), "review": ("loss", "pass_rate")}

    kind: Literal["sft"]
    """`sft`: supervised fine-tuning on the lessons."""
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset. `source`: every readable sample of the source, with its raw label."""
    too_long: Literal["drop", "fail"] = "drop"
    """Lessons longer than `longest`, which are never cut. `drop`: leave them out. `fail`: stop
    before training."""
    longest: int | None = Field(default=None, ge=1)
    """Most tokens of a whole lesson, image included. Null: the student's context length."""
    prior: Prior | None = None
    """Pulls the gradients towards a reasoning model (DRIFT, arXiv 2510.15050). Null: plain
    fine-tuning."""
    part: DataPart | None = None
    """Learn from one part of the data, for stages that share it (Disperse-Then-Merge, arXiv
    2405.13432). Null: all of it."""
    shuffle_answers: ShareOrAll = 0.0
    """Share of lessons learned with the answer of another sample, which teaches only the form of
    reasoning (PA-FAS, arXiv 2511.17927). `true` means all. The dataset does not change."""

    short_answers: ShareOrAll = 0.0
    """Share of lessons learned a second time as prompt and answer alone (CAR, arXiv 2505.15154).
    `true` means all."""

    @property
    def learns_from(self) -> LearnsFrom:
        """As `data` says."""
        return self.data

    def key_fields(self) -> dict[str, Any]:
        """The models of a prior count by their weights alone."""
        fields = super().key_fields()
        if self.prior is not None:
            fields["prior"] = {name: value for name, value in fields["prior"].items() if name not in ("expert", "base")}
        return fields

    def reads(self) -> dict[str, str]:
        """The models of a prior."""
        return {f"prior.{key}": model for key, model in self.prior.models().items()} if self.prior else {}

    def faults(self, root: Path) -> Iterator[str]:
        """Of the models of a prior."""
        if self.prior is not None:
            yield from (f"prior.{fault}" for fault in self.prior.faults(root))

    @model_validator(mode="after")
    def _has_plain_gradients(self) -> Self:
        if self.prior is not None and self.trl.get("fp16"):
            raise WrongKey("prior", "under trl.fp16 gradients are scaled up and may overflow; set trl.bf16 instead")
        return self

    @model_validator(mode="after")
    def _reasons(self) -> Self:
        if self.shuffle_answers and self.data == "source":
            raise WrongKey("shuffle_answers", "labels without a reasoning would be learned wrongly and nothing else; set data to lessons")
        if self.short_answers and (self.shuffle_answers or self.data == "source"):
            other = "shuffle_answers" if self.shuffle_answers else "data: source"
            raise WrongKey("short_answers", f"contradicts {other}; leave one of them out")
        return self

    @property
    def remark(self) -> str:
        """That its answers are not those of its pictures."""
        if not self.shuffle_answers:
            return ""
        return (
            f"{self.name} learned {self.shuffle_answers:.0%} of its lessons with the answers of other samples (shuffle_answers), to teach "
            "the form of reasoning alone; right answers have to come from another stage"
        )

    def learned_of(self, rows: int) -> int:
        """Those of its part, and those in short form."""
        rows += round(self.short_answers * rows)
        return rows if self.part is None else max(1, round(rows / self.part.of))

    def words(self, steps: int | None = None) -> list[str]:
        """Its part too, whose answers it learns, and what it learns in short form, and its prior."""
        part = [self.part.words] if self.part else []
        shuffled = [f"{self.shuffle_answers:.0%} of the answers shuffled"] if self.shuffle_answers else []
        short = [f"{self.short_answers:.0%} in short form too"] if self.short_answers else []
        prior = [self.prior.words()] if self.prior else []
        return [*super().words(steps), *part, *shuffled, *short, *prior]
