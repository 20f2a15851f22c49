"""The kinds of training stages, a class each; `train/kinds/<kind>.py` does what one says. A new kind gets an entry in KINDS."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, Union

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cotforge.errors import PipelineError, shown
from cotforge.filters import Measured
from cotforge.plan.stage import Curve, KeyContext, LearnsFrom, Stage, TrlStage
from cotforge.spec import Spec

LOSS = Curve("Loss on lessons", (("loss", "loss"),))


class Sft(TrlStage):
    """Supervised: the student learns the completion, given picture and prompt."""

    learns_texts: ClassVar[bool] = True
    curves: ClassVar[tuple[Curve, ...]] = (
        LOSS,
        Curve("Token accuracy on lessons", (("mean_token_accuracy", "share"),), share=True),
    )

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


class Reward(Measured):
    """A measure of what the student says, and its weight."""

    weight: float = 1.0
    """Ours."""


class Clip(Spec):
    """How far the ratio of new to old probability may leave 1 before a token stops to teach: 1 - low to 1 + high."""

    low: float = Field(default=0.2, gt=0, lt=1)
    """Acts where a token is to become less likely. TRL's own default."""
    high: float = Field(default=0.2, gt=0)
    """Acts where a token is to become more likely. TRL's own default."""


CLIPS = {"cliplow-upper": {"low": 0.2, "high": 0.1}, "cliplow-lower": {"low": 0.4, "high": 0.2}}
"""Two readings of ClipLow (arXiv 2506.18048, which gives no numbers), the numbers ours: a smaller upper, or a wider lower, bound.

Both narrow what is explored, by what arXiv 2509.26114 finds of either bound.
"""


def _clip(given: Any) -> Any:
    if isinstance(given, str) and given not in CLIPS:
        raise ValueError(f"no clip named {shown(given)}; there are {', '.join(CLIPS)}, or {{low: ..., high: ...}}")
    return CLIPS[given] if isinstance(given, str) else given


class Grpo(TrlStage):
    """Reinforcement: the student says several things about a picture, and the better ones become likelier."""

    curves: ClassVar[tuple[Curve, ...]] = (
        Curve("Rewards", (("reward", "whole"),)),
        Curve(
            "Completions during training",
            (
                ("accuracy", "right"),
                ("format_rate", "well formed"),
                ("completions/clipped_ratio", "cut off"),
                ("frac_reward_zero_std", "groups alike"),
            ),
            share=True,
        ),
        Curve("Tokens of a completion", (("completions/mean_length", "mean"),)),
        Curve("Share of tokens clipped", (("clip_ratio/low_mean", "below"), ("clip_ratio/high_mean", "above"))),
        Curve("Entropy in nats", (("entropy", "of a token"),)),
        Curve("Distance to the stage's first weights", (("kl", "KL"),)),
    )

    kind: Literal["grpo"]
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset; `source`: every readable sample of the source with its raw label."""
    rewards: tuple[Reward, ...]
    """What is better."""
    clip: Annotated[Clip | None, BeforeValidator(_clip)] = None
    """Two numbers, or `cliplow-upper` or `cliplow-lower`; null is TRL's own, 0.2 on both sides."""
    updates_per_rollout: int = Field(default=1, ge=1)
    """Optimizer steps on the same completions; from 2 on the ratio leaves 1, and the clip can act. TRL's own default."""
    group: int = Field(default=8, ge=2)
    """Completions of one prompt. TRL's own default."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the completions. TRL's own default."""
    max_completion: int = Field(default=1024, ge=1)
    """Tokens of one completion, at most. Ours."""
    beta: float | None = Field(default=None, ge=0)
    """Weight of the distance to the weights that the stage began with; 0 loads no such copy. Null is TRL's own: 0."""

    @property
    def learns_from(self) -> LearnsFrom:
        """As `data` says."""
        return self.data

    @property
    def longest_answer(self) -> int:
        """As `max_completion` says."""
        return self.max_completion

    @field_validator("rewards")
    @classmethod
    def _wants_something(cls, rewards: tuple[Reward, ...]) -> tuple[Reward, ...]:
        if not rewards:
            raise ValueError("there is none; at least one is needed")
        return rewards

    @model_validator(mode="after")
    def _clip_can_act(self) -> Self:
        if self.clip is not None and self.updates_per_rollout < 2:
            raise ValueError("clip: cannot act while every completion is used for one step only; set updates_per_rollout to 2 or more")
        return self

    def faults(self, root: Path) -> Iterator[str]:
        """Of the rewards."""
        for index, reward in enumerate(self.rewards):
            try:
                reward.found(root)
            except PipelineError as error:
                yield from (f"rewards[{index}].{fault}" for fault in error.faults)

    def words(self, steps: int | None = None) -> list[str]:
        """Rewards, groups and clip too."""
        words = [*super().words(steps), " + ".join(f"{reward.weight:g} {reward.measure}" for reward in self.rewards)]
        clip = [f"clip -{self.clip.low:g} +{self.clip.high:g}, {self.updates_per_rollout} updates"] if self.clip else []
        return [*words, f"groups of {self.group}", *clip]


class Dpo(TrlStage):
    """Preference: of a right and a wrong text about a picture, the right one becomes likelier."""

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


class Try(Stage):
    """No training: the student is tried on what `eval:` holds out."""

    leaves_weights: ClassVar[bool] = False

    kind: Literal["eval"]

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        """What it is tried on."""
        return {"eval": context.held_out and context.held_out.measured(whole=True)}


KINDS: tuple[type[Stage], ...] = (Sft, Grpo, Dpo, Try)
"""Every kind there is."""

if TYPE_CHECKING:
    AnyStage = Stage
else:
    AnyStage = Annotated[Union[KINDS], Field(discriminator="kind")]  # noqa: UP007
    """An entry of `train.stages`, by its `kind`."""
