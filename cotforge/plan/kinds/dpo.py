"""Stages of kind `dpo`: learning from pairs of a right and a wrong text."""

from typing import ClassVar, Literal

from pydantic import Field

from cotforge.plan.stage import LOSS, Curve, LearnsFrom, TrlStage


class Dpo(TrlStage):
    """Preference: of a right and a wrong text about a picture, the right one becomes likelier."""

    rows_are: ClassVar[str] = "pairs"
    learns_texts: ClassVar[bool] = True
    curves: ClassVar[tuple[Curve, ...]] = (LOSS, Curve("Right text preferred", (("rewards/accuracies", "share"),), share=True))

    kind: Literal["dpo"]
    data: Literal["lessons"] = "lessons"
    """Pairs are those of the dataset: the source has none."""
    beta: float | None = Field(default=None, gt=0)
    """Weight of the distance to the weights that the stage began with. Null is TRL's own: 0.1."""

    @property
    def learns_from(self) -> LearnsFrom:
        """Pairs of the dataset."""
        return "pairs"
