"""Stages of kind `sft`: supervised learning of the lessons' completions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cotforge.plan.prior import Prior
from cotforge.plan.stage import LOSS, Curve, LearnsFrom, TrlStage
from cotforge.spec import WrongKey


class Sft(TrlStage):
    """Supervised: the student learns the completion, given picture and prompt."""

    learns_texts: ClassVar[bool] = True
    curves: ClassVar[tuple[Curve, ...]] = (
        LOSS,
        Curve("Token accuracy on lessons", (("mean_token_accuracy", "share"),), share=True),
        Curve("Distance to the expert", (("prior/distance", "distance"),)),
        Curve("Gradients bent towards the expert", (("prior/cosine", "cosine"), ("prior/added", "norm added"))),
    )
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"prior"})

    kind: Literal["sft"]
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset; `source`: every readable sample of the source with its raw label."""
    too_long: Literal["drop", "fail"] = "drop"
    """Of lessons longer than `longest`, which are never cut: leave them out, or train nothing. Ours."""
    longest: int | None = Field(default=None, ge=1)
    """Tokens of a whole lesson, picture included; null is what the student's positions hold."""
    prior: Prior | None = None
    """Bends the gradients towards an expert in reasoning (DRIFT, arXiv 2510.15050); null is plain sft."""

    @model_validator(mode="after")
    def _has_plain_gradients(self) -> Self:
        if self.prior is not None and self.trl.get("fp16"):
            raise WrongKey("prior", "under trl.fp16 gradients are scaled up and may overflow; set trl.bf16 instead")
        return self

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

    def words(self, steps: int | None = None) -> list[str]:
        """The prior too."""
        return [*super().words(steps), *([self.prior.words()] if self.prior else [])]
