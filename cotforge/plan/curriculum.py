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
    """The order in which rows are learned, and how often each comes."""

    by: By
    """What rows are ranked by. `pass_rate`: share of correct student answers, from
    `difficulty.parquet` or the stage's own completions. `loss`: mean loss of a lesson's tokens in
    training. `reward_variance`: variance of the rewards of a prompt's completions. `length`: tokens
    of a lesson; for `grpo`, characters of its completion."""
    how: How
    """`easy_first`: the first epoch goes from easy to hard, later epochs are in random order.
    `bandit`: each step takes rows of one cluster, chosen by recent change of `loss` or `pass_rate`,
    or by the highest `reward_variance`. `review`: after `every` steps the hardest `share` of their
    rows comes again.

    The bandit is the online one of Teacher-Student Curriculum Learning (arXiv 1707.00183). Its
    clusters are quantiles of pass rate, if `difficulty.parquet` exists, times two halves of length.
    SPaRFT clusters embeddings and pass rates instead. Labels are not used: a step with a single
    label would teach that label.
    """
    buckets: int = Field(default=4, ge=2, le=100)
    """For `easy_first`: number of levels from easy to hard. For `bandit`: number of quantiles."""
    explore: float = Field(default=0.1, ge=0, le=1)
    """For `bandit`: share of steps with a randomly drawn cluster."""
    every: int = Field(default=20, ge=1)
    """For `review`: steps with new rows between two reviews. For `grpo`: rollouts."""
    share: float = Field(default=0.2, gt=0, le=1)
    """For `review`: share of the rows of these steps that comes again."""

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
    """Order and repetition of the rows. Null: random order, every row once per epoch."""

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
