"""`curriculum:` of a stage: in which order, and how often, the rows of its data are learned from. No torch here.

SPaRFT (arXiv 2508.05015) clusters questions by meaning and difficulty and has a bandit choose the cluster of each step; its abstract gives
neither the score of an arm nor the number of clusters. Learn, Focus, Review (arXiv 2409.06131) goes back to data of high perplexity. What
stands here in place of what they leave open was chosen by us, and each field says so.
"""

from collections.abc import Mapping
from hashlib import sha256
from json import dumps
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cotforge.errors import PipelineError
from cotforge.plan.stage import KeyContext, TrlStage
from cotforge.spec import Spec, WrongKey

By = Literal["pass_rate", "loss", "reward_variance", "length"]
How = Literal["easy_first", "bandit", "review"]
Choices = Mapping[How, tuple[By, ...]]
"""What each way of a kind of stage can go by."""

OF = {"buckets": ("easy_first", "bandit"), "explore": ("bandit",), "every": ("review",), "share": ("review",)}
"""Which ways a key belongs to."""
WHY_NOT: Mapping[tuple[str, str], str] = {
    ("easy_first", "loss"): "no loss is known before a row was learned from",
    ("easy_first", "reward_variance"): "no reward is known before a prompt was answered",
    ("bandit", "length"): "a length does not change while the student learns",
    ("review", "length"): "a length does not change while the student learns",
}
"""By (how, by), whatever the kind."""
ORDERS = ("train_sampling_strategy", "shuffle_dataset")
"""Fields of TRL's that choose an order too."""


class Curriculum(Spec):
    """The order in which rows are learned from, and how often each comes."""

    by: By
    """What rows are compared by.

    `pass_rate`: the share of the student's answers that were right. For `easy_first`, and for sft, that of `difficulty.parquet` in the run
    folder, which `cotforge eval --write-back` writes; else that of the stage's own completions. `loss`: the mean loss of a lesson's tokens
    as it was learned. `reward_variance`: the variance of the rewards of a prompt's completions. `length`: tokens of a lesson, for grpo
    characters of its completion.
    """
    how: How
    """`easy_first`: the first pass goes through `buckets` from easy to hard, later ones have no order; a stage that ends before its first
    pass takes a random part of all rows. `bandit`: each step learns from one cluster of rows: whose `loss` or `pass_rate` changes most, or
    whose `reward_variance` is highest. `review`: after `every` steps the `share` of their rows with the highest loss or variance, or the
    lowest pass rate, comes once more.

    The bandit is the one of Teacher-Student Curriculum Learning (arXiv 1707.00183, "Online"). Clusters are quantiles of pass rate, where
    `difficulty.parquet` is there, times halves of length; SPaRFT's are of embeddings and pass rates. Not of labels: a step of one label
    teaches the label.
    """
    buckets: int = Field(default=4, ge=2, le=100)
    """Of `easy_first`: parts from easy to hard; of `bandit`: quantiles. Default chosen by us."""
    explore: float = Field(default=0.1, ge=0, le=1)
    """Of `bandit`: share of steps whose cluster is drawn by chance. Default chosen by us."""
    every: int = Field(default=20, ge=1)
    """Of `review`: steps (of grpo: rollouts) of new rows between two reviews. Default chosen by us."""
    share: float = Field(default=0.2, gt=0, le=1)
    """Of `review`: share of these steps' rows that comes once more. Default chosen by us."""

    @model_validator(mode="after")
    def _keys_belong(self) -> Self:
        for name, ways in OF.items():
            if self.how not in ways and getattr(self, name) != type(self).model_fields[name].default:
                raise WrongKey(name, f"belongs to how: {' or '.join(ways)}, and how is {self.how}; leave it out")
        return self

    def __str__(self) -> str:
        return f"{self.how.replace('_', ' ')} by {self.by.replace('_', ' ')}"


class PacedStage(TrlStage):
    """A stage whose rows a curriculum may order."""

    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"curriculum"})
    curricula: ClassVar[Choices] = {}
    """What a curriculum of this kind of stage can go by."""

    curriculum: Curriculum | None = None
    """In which order rows are learned from; null is a random order, every row once in each epoch."""

    @property
    def reads_pass_rates(self) -> bool:
        """Whether its order depends on the pass rates that were written back."""
        asked = self.curriculum
        return asked is not None and (asked.how == "bandit" or self.needs_pass_rates)

    @property
    def needs_pass_rates(self) -> bool:
        """Whether it cannot be trained without them."""
        asked = self.curriculum
        return asked is not None and asked.by == "pass_rate" and (asked.how == "easy_first" or self.kind == "sft")

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        """The pass rates too, where its order depends on them. Raises PipelineError where it needs them and there are none."""
        found = super().inputs(context)
        if not self.reads_pass_rates:
            return found
        rates = context.pass_rates()
        if not rates and self.needs_pass_rates:
            raise PipelineError(
                f"stage {self.name!r}: curriculum.by: pass_rate needs difficulty.parquet in the run folder; "
                "cotforge eval PIPELINE --write-back writes it, or take by: length"
            )
        digest = sha256(dumps(sorted(rates.items())).encode()).hexdigest() if rates else None
        return found | {"difficulty": digest}

    def words(self, steps: int | None = None) -> list[str]:
        """The curriculum too."""
        return [*super().words(steps), *([str(self.curriculum)] if self.curriculum else [])]

    @model_validator(mode="after")
    def _has_a_curriculum_that_can_be(self) -> Self:
        asked = self.curriculum
        if asked is None:
            return self
        if asked.by not in (known := self.curricula[asked.how]):
            why = WHY_NOT.get((asked.how, asked.by)) or f"a stage of kind {self.kind} has none of it while it learns"
            raise WrongKey("curriculum.by", f"{asked.by} with how: {asked.how}: {why}; take {' or '.join(known)}")
        if given := [name for name in ORDERS if name in self.trl]:
            raise WrongKey(f"trl.{given[0]}", "chooses an order of the rows, as curriculum does; leave one of them out")
        return self
