"""Stages of kind `grpo`: reinforcement of the student's better completions."""

from collections.abc import Iterator
from math import gcd
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from cotforge.errors import show_value
from cotforge.plan.curriculum import Choices, PacedStage
from cotforge.plan.reader import Reader
from cotforge.plan.rewards import Reward, reward_faults, reward_words
from cotforge.plan.stage import HARMLESS, Curve, LearnsFrom
from cotforge.plan.variants import FORM, Variant, expand_variant, loss_form
from cotforge.spec import Spec, WrongKey


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


def _parse_clip(given: Any) -> Any:
    if isinstance(given, str) and given not in CLIPS:
        raise ValueError(f"no clip named {show_value(given)}; there are {', '.join(CLIPS)}, or {{low: ..., high: ...}}")
    return CLIPS[given] if isinstance(given, str) else given


UNCLIPPED = frozenset({"cispo", "sapo", "vespo"})
"""Losses of TRL's without the clip of two bounds."""
BUDGETED = frozenset({"dapo", "cispo", "vespo"})
"""Losses of TRL's that are a sum over the tokens of a whole step, divided by one number."""


def _parse_scaling(given: Any) -> Any:
    """TRL also takes true for `group` and false for `none`."""
    return ("group" if given else "none") if isinstance(given, bool) else given


class VllmOptions(Spec):
    """Where vLLM makes completions."""

    url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+")
    """Of a server on another GPU, without `/v1`; null is in the process of the training, asleep while it learns."""
    memory: float | None = Field(default=None, gt=0, lt=1)
    """Share of the GPU in the process of the training; null is what weights and cache need, at most what the training leaves."""


GROUPS = 16
"""Groups that make an optimizer step of `grpo`, at least, where the file does not give `accumulate`.

Of two groups, as of one forward pass of 16 completions, a step often learns nothing: all completions of a group get the same reward.
"""


def passes_of(groups: int, batch: int, group: int) -> int:
    """Forward passes of `batch` completions that make whole groups of `group`, so many at least."""
    whole = group // gcd(batch, group)
    return -(-groups * group // (batch * whole)) * whole


class Grpo(PacedStage):
    """Reinforcement: the student says several things about a picture, and the better ones become likelier."""

    harmless: ClassVar[frozenset[str]] = HARMLESS | {
        "log_completions", "log_unique_prompts", "num_completions_to_print", "vllm_gpu_memory_utilization", "vllm_group_port",
        "vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_server_timeout",
    }  # fmt: skip
    rows_are: ClassVar[str] = "prompts"
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"reader", "token_budget", "variant"})
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
        Curve("Token budget of a step", (("budget/filled", "filled"), ("budget/taken", "completions taken"))),
    )

    curricula: ClassVar[Choices] = {
        "easy_first": ("pass_rate", "length"),
        "bandit": ("reward_variance", "pass_rate"),
        "review": ("pass_rate", "reward_variance"),
    }

    kind: Literal["grpo"]
    variant: Variant | None = None
    """Keys of a paper's objective, `plan.variants.VARIANTS`; those that the stage gives itself win."""
    accumulate: int = Field(default=8, ge=1)
    """Forward passes of one optimizer step; where it is not given, as many as 16 groups take."""
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset; `source`: every readable sample of the source with its raw label."""
    reader: Reader | None = None
    """A second model that has to come to the answer by the student's reasoning, without the picture: one more reward, and where it is
    given there may be no other (RACRO, arXiv 2506.04559)."""
    rewards: tuple[Reward, ...]
    """What is better."""
    clip: Annotated[Clip | None, BeforeValidator(_parse_clip)] = None
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
    loss_type: Literal["dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    """How the losses of tokens are weighed. TRL's own default: every token of a rollout counts the same."""
    scale_rewards: Annotated[Literal["group", "batch", "none"], BeforeValidator(_parse_scaling)] = "group"
    """By whose standard deviation advantages are divided. TRL's own default."""
    use_bias_correction_kl: bool = True
    """Whether the KL term, the k3 estimate, is weighed by the ratio, so that its gradient is unbiased. TRL's own default."""
    resample: int = Field(default=0, ge=0, le=100)
    """Times that groups whose completions all got the same reward are drawn again, with other prompts (DAPO's dynamic sampling)."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens that a step learns from: completions are taken until theirs reach it, and the loss is divided by it (C3PO); null takes all."""
    rollouts: Literal["auto", "transformers", "vllm"] = "auto"
    """Who makes the completions; `auto` is vLLM where there is a GPU, vLLM, and a student that it can be given, else transformers."""
    vllm: VllmOptions | None = None
    """Null is vLLM's place and share as `{}` gives them."""

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, given: Any) -> Any:
        """The keys of the variant, and `accumulate`, where it is not given: whole groups, 16 of them at least."""
        if not isinstance(given, dict):
            return given
        given = expand_variant(given)
        if given.get("accumulate") is not None:
            return given
        batch, group = (given.get(name, cls.model_fields[name].default) for name in ("batch", "group"))
        if type(batch) is not int or type(group) is not int or batch < 1 or group < 1:
            return given  # a fault, of which the field tells
        return given | {"accumulate": passes_of(GROUPS, batch, group)}

    @property
    def wants_vllm(self) -> bool | None:
        """Whether vLLM makes the completions; None where that is for the machine to decide."""
        said = {"auto": None, "transformers": False, "vllm": True}[self.rollouts]
        return bool(self.trl["use_vllm"]) if said is None and "use_vllm" in self.trl else said

    def rows_per_step(self) -> float:
        """Prompts, of each of which there is a group of completions, that are used for several updates."""
        return super().rows_per_step() / self.group / self.updates_per_rollout

    @property
    def learns_from(self) -> LearnsFrom:
        """As `data` says."""
        return self.data

    @property
    def splits_freely(self) -> bool:
        """Not where a rollout is cut otherwise, or the loss or its mask is made of each forward pass for itself."""
        whole = self.trl.get("loss_type", self.loss_type) not in ("bnpo", "luspo")
        apart = {"steps_per_generation", "generation_batch_size", "top_entropy_quantile"}
        if self.token_budget is not None:  # a pass may have no token left for its mean entropy
            apart |= {"entropy_coef", "use_adaptive_entropy"}
        return whole and not apart & self.trl.keys()

    def key_fields(self) -> dict[str, Any]:
        """Without the place and the memory that vLLM has, the place of a reader, and the variant's name: its keys count."""
        fields = {name: value for name, value in super().key_fields().items() if name not in ("vllm", "variant")}
        return fields | ({"reader": self.reader.key_fields()} if self.reader else {})

    @property
    def longest_answer(self) -> int:
        """As `max_completion` says."""
        return self.max_completion

    @field_validator("rewards")
    @classmethod
    def _wants_something(cls, rewards: tuple[Reward, ...], info: ValidationInfo) -> tuple[Reward, ...]:
        if not rewards and info.data.get("reader") is None:
            raise ValueError("there is none; at least one is needed")
        return rewards

    @model_validator(mode="after")
    def _clip_can_act(self) -> Self:
        if self.clip is not None and self.updates_per_rollout < 2:
            raise ValueError("clip: cannot act while every completion is used for one step only; set updates_per_rollout to 2 or more")
        if self.clip is not None and (loss := self.trl.get("loss_type", self.loss_type)) in UNCLIPPED:
            raise ValueError(f"clip: the loss {show_value(loss)} has no clip of two bounds; leave clip out, or set loss_type to dapo")
        return self

    @model_validator(mode="after")
    def _budget_can_hold(self) -> Self:
        if self.token_budget is None:
            if self.variant == "c3po":
                raise ValueError("token_budget: is missing; variant c3po needs one that the completions of nearly every step reach")
            return self
        if (loss := self.trl.get("loss_type", self.loss_type)) not in BUDGETED:
            raise ValueError(f"token_budget: the loss {show_value(loss)} is divided by something else; take {', '.join(sorted(BUDGETED))}")
        if cut := sorted({"steps_per_generation", "generation_batch_size"} & self.trl.keys()):
            raise ValueError(f"token_budget: is that of a whole rollout; leave {' and '.join(cut)} out of trl:")
        return self

    @model_validator(mode="after")
    def _one_order(self) -> Self:
        if self.curriculum is None:
            return self
        if self.resample:
            given = (
                "" if self.variant is None or "resample" in self.trl else f" (variant {self.variant} brings it; resample: 0 leaves it out)"
            )
            raise WrongKey("resample", f"draws other prompts by chance, which a curriculum chooses; leave one of them out{given}")
        if self.curriculum.by == "length" and self.data == "source":
            raise WrongKey("curriculum.by", "length is that of a lesson's completion, and data: source has none; take pass_rate")
        return self

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if "use_vllm" in self.trl and self.rollouts != "auto" and bool(self.trl["use_vllm"]) != (self.rollouts == "vllm"):
            raise ValueError(f"rollouts: {self.rollouts} contradicts trl.use_vllm; leave use_vllm out of trl:")
        if self.vllm is not None and self.wants_vllm is False:
            raise ValueError("vllm: completions are made by transformers; set rollouts to vllm, or leave vllm out")
        return self

    def faults(self, root: Path) -> Iterator[str]:
        """Of the rewards."""
        yield from reward_faults(self.rewards, root)

    def words(self, steps: int | None = None) -> list[str]:
        """Rewards, groups, clip and the form of the loss too."""
        named = [(reward.weight, reward.measure) for reward in self.rewards]
        named += [(self.reader.weight, f"read by {self.reader.model}")] if self.reader else []
        words = [*super().words(steps), reward_words(named)]
        clip = [f"clip -{self.clip.low:g} +{self.clip.high:g}, {self.updates_per_rollout} updates"] if self.clip else []
        other = {name: value for name in FORM if (value := getattr(self, name)) != type(self).model_fields[name].default}
        return [*words, f"groups of {self.group}", *clip, *loss_form(other | self.trl)]
