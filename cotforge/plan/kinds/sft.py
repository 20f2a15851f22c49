"""Stages of kind `sft`: supervised learning of the lessons' completions."""

from typing import ClassVar, Literal

from pydantic import Field

from cotforge.plan.curriculum import Choices, PacedStage
from cotforge.plan.stage import LOSS, Curve, LearnsFrom


class Sft(PacedStage):
    """Supervised: the student learns the completion, given picture and prompt."""

    learns_texts: ClassVar[bool] = True
    curves: ClassVar[tuple[Curve, ...]] = (
        LOSS,
        Curve("Token accuracy on lessons", (("mean_token_accuracy", "share"),), share=True),
    )

    curricula: ClassVar[Choices] = {"easy_first": ("pass_rate", "length"), "bandit": ("loss",), "review": ("loss", "pass_rate")}

    kind: Literal["sft"]
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset; `source`: every readable sample of the source with its raw label."""
    too_long: Literal["drop", "fail"] = "drop"
    """Of lessons longer than `longest`, which are never cut: leave them out, or train nothing. Ours."""
    longest: int | None = Field(default=None, ge=1)
    """Tokens of a whole lesson, picture included; null is what the student's positions hold."""

    @property
    def learns_from(self) -> LearnsFrom:
        """As `data` says."""
        return self.data
