"""Stages of kind `eval`: the student as it stands is evaluated on what is held out."""

from typing import Any, ClassVar, Literal

from cotforge.plan.stage import KeyContext, Stage


class Try(Stage):
    """Evaluates the student on the held-out samples, without training."""

    leaves_weights: ClassVar[bool] = False
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"probe"})

    kind: Literal["eval"]
    """`eval`: evaluate the student as it is, without training."""
    probe: Literal["swapped_reasoning", "short_or_long"] | None = None
    """An extra measurement. `swapped_reasoning`: does the answer follow the image or the reasoning,
    when the reasoning comes from another sample (PA-FAS, arXiv 2511.17927)? `short_or_long`:
    accuracy and tokens if the student answers briefly first and reasons only where its perplexity
    is high (CAR, arXiv 2505.15154). Null: none."""

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        """What it is tried on."""
        return {"eval": context.held_out and context.held_out.measured(whole=True)}

    def words(self, steps: int | None = None) -> list[str]:
        """Its probe too."""
        return [*super().words(steps), *([f"probe {self.probe}"] if self.probe else [])]
