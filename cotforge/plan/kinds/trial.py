"""Stages of kind `eval`: the student as it stands is evaluated on what is held out."""

from typing import Any, ClassVar, Literal

from cotforge.plan.stage import KeyContext, Stage


class Try(Stage):
    """No training: the student is tried on what `eval:` holds out."""

    leaves_weights: ClassVar[bool] = False

    kind: Literal["eval"]

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        """What it is tried on."""
        return {"eval": context.held_out and context.held_out.measured(whole=True)}
