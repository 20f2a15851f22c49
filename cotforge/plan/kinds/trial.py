"""Stages of kind `eval`: the student as it stands is evaluated on what is held out."""

from typing import Any, ClassVar, Literal

from cotforge.plan.stage import KeyContext, Stage


class Try(Stage):
    """No training: the student is tried on what `eval:` holds out."""

    leaves_weights: ClassVar[bool] = False
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"probe"})

    kind: Literal["eval"]
    probe: Literal["swapped_reasoning", "short_or_long"] | None = None
    """What is measured beside. `swapped_reasoning`: whether the answer follows the picture or the reasoning, when the student goes on from
    another sample's reasoning (PA-FAS, arXiv 2511.17927); `short_or_long`: accuracy and tokens where it answers shortly first, and reasons
    where the perplexity of that speaks against it (CAR, arXiv 2505.15154)."""

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        """What it is tried on."""
        return {"eval": context.held_out and context.held_out.measured(whole=True)}

    def words(self, steps: int | None = None) -> list[str]:
        """Its probe too."""
        return [*super().words(steps), *([f"probe {self.probe}"] if self.probe else [])]
