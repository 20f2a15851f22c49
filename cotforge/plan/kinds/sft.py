"""Stages of kind `sft`: supervised learning of the lessons' completions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cotforge.plan.curriculum import Choices, PacedStage
from cotforge.plan.part import DataPart
from cotforge.plan.prior import Prior
from cotforge.plan.stage import LOSS, Curve, LearnsFrom
from cotforge.spec import WrongKey


class Sft(PacedStage):
    """Supervised: the student learns the completion, given picture and prompt."""

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
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset; `source`: every readable sample of the source with its raw label."""
    too_long: Literal["drop", "fail"] = "drop"
    """Of lessons longer than `longest`, which are never cut: leave them out, or train nothing. Ours."""
    longest: int | None = Field(default=None, ge=1)
    """Tokens of a whole lesson, picture included; null is what the student's positions hold."""
    prior: Prior | None = None
    """Bends the gradients towards an expert in reasoning (DRIFT, arXiv 2510.15050); null is plain sft."""
    part: DataPart | None = None
    """Of the data, the part that is learned, where several branches share them (Disperse-Then-Merge, arXiv 2405.13432); null is all."""
    shuffle_answers: float = Field(default=0.0, ge=0, le=1)
    """The share of lessons that are learned with the answer of another sample, so that they teach the form of reasoning alone (PA-FAS,
    arXiv 2511.17927); `true` is all of them. The dataset stays as it is."""

    short_answers: float = Field(default=0.0, ge=0, le=1)
    """The share of lessons that are learned a second time in short form: the prompt asks for the answer alone (CAR, arXiv 2505.15154);
    `true` is all of them."""

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
