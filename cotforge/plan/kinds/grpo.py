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
from cotforge.spec import Spec, WrongKey, written_as


class Clip(Spec):
    """Range of the ratio of new to old token probability, from 1 - `low` to 1 + `high`; outside of
    it a token stops learning."""

    low: float = Field(default=0.2, gt=0, lt=1)
    """Lower range, for tokens that become less likely. Default: TRL's."""
    high: float = Field(default=0.2, gt=0)
    """Upper range, for tokens that become more likely. Default: TRL's."""


CLIPS = {"cliplow-upper": {"low": 0.2, "high": 0.1}, "cliplow-lower": {"low": 0.4, "high": 0.2}}
"""Two readings of ClipLow (arXiv 2506.18048, which gives no numbers), the numbers ours: a smaller upper, or a wider lower, bound.

Both narrow what is explored, by what arXiv 2509.26114 finds of either bound.
"""


ClipName = Literal["cliplow-upper", "cliplow-lower"]


def _parse_clip(given: Any) -> Any:
    if isinstance(given, str) and given not in CLIPS:
        raise ValueError(f"no clip named {show_value(given)}; there are {', '.join(CLIPS)}, or {{low: ..., high: ...}}")
    return CLIPS[given] if isinstance(given, str) else given


UNCLIPPED = frozenset({"cispo", "sapo", "vespo"})
"""Losses of TRL's without the clip of two bounds."""
BUDGETED = frozenset({"dapo", "cispo", "vespo"})
"""Losses of TRL's that are a sum over the tokens of a whole step, divided by one number."""


Scaling = Literal["group", "batch", "none"]


def _parse_scaling(given: Any) -> Any:
    """TRL also takes true for `group` and false for `none`."""
    return ("group" if given else "none") if isinstance(given, bool) else given


class VllmOptions(Spec):
    """Where vLLM runs."""

    url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+")
    """URL of a vLLM server on another GPU, without `/v1`. Null: vLLM runs inside the training
    process and sleeps during updates."""
    memory: float | None = Field(default=None, gt=0, lt=1)
    """Share of the GPU for vLLM inside the training process. Null: what weights and cache need,
    within what training leaves free."""


GROUPS = 16
"""Groups that make an optimizer step of `grpo`, at least, where the file does not give `accumulate`.

Of two groups, as of one forward pass of 16 completions, a step often learns nothing: all completions of a group get the same reward.
"""


def passes_of(groups: int, batch: int, group: int) -> int:
    """Forward passes of `batch` completions that make whole groups of `group`, so many at least."""
    whole = group // gcd(batch, group)
    return -(-groups * group // (batch * whole)) * whole


class Grpo(PacedStage):
    """Reinforcement learning by GRPO: the student writes several completions per image, and the
    better ones become more likely."""

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
    """`grpo`: reinforcement learning on the student's own completions."""
    variant: Variant | None = None
    """A published objective, which sets several keys: `dr_grpo`, `dapo`, `gspo` or `c3po`. Keys
    given beside it take precedence. Null: none."""
    accumulate: Annotated[int, Field(ge=1), written_as(Annotated[int, Field(ge=1)] | None)] = 8
    """Forward passes per optimizer step. Left out, or null: as many as 16 groups need."""
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset. `source`: every readable sample of the source, with its raw label."""
    reader: Reader | None = None
    """A second model that must find the answer from the student's reasoning alone, without the
    image (RACRO, arXiv 2506.04559). It is one more reward; `rewards` may then be `[]`. Null: none."""
    rewards: tuple[Reward, ...]
    """Measures that are rewarded, each with a weight."""
    clip: Annotated[Clip | None, BeforeValidator(_parse_clip, json_schema_input_type=ClipName | Clip | None)] = None
    """Clipping range: `{low, high}`, `cliplow-upper` or `cliplow-lower`. Null: TRL's default, 0.2
    on both sides."""
    updates_per_rollout: int = Field(default=1, ge=1)
    """Optimizer steps per rollout. Clipping only has an effect from 2 on. Default: TRL's."""
    group: int = Field(default=8, ge=2)
    """Completions per prompt. Default: TRL's."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of the completions. Default: TRL's."""
    max_completion: int = Field(default=1024, ge=1)
    """Most tokens per completion."""
    beta: float | None = Field(default=None, ge=0)
    """Weight of the KL distance to the weights the stage starts with. With 0 no copy of them is
    loaded. Null: TRL's default, 0."""
    loss_type: Literal["dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    """How the losses of tokens are averaged, by TRL's names: `dapo`, `grpo`, `dr_grpo`, `bnpo`,
    `cispo`, `sapo`, `luspo` or `vespo`. `dapo`, TRL's default, weighs every token of a rollout
    equally."""
    scale_rewards: Annotated[Scaling, BeforeValidator(_parse_scaling, json_schema_input_type=Scaling | bool)] = "group"
    """Standard deviation that advantages are divided by: that of the `group`, that of the `batch`,
    or `none`. TRL's `true` and `false` mean `group` and `none`. Default: TRL's."""
    use_bias_correction_kl: bool = True
    """Weigh the KL term (k3 estimator) by the probability ratio, which makes its gradient unbiased.
    Default: TRL's."""
    resample: int = Field(default=0, ge=0, le=100)
    """How often groups with equal rewards are replaced by new prompts (dynamic sampling of DAPO)."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens per optimizer step. Completions are added until they reach it, and the loss is divided
    by it (C3PO). Null: all completions are used."""
    rollouts: Literal["auto", "transformers", "vllm"] = "auto"
    """What generates the completions: `transformers` or `vllm`. `auto`: vLLM on a GPU if it is
    installed and supports the student."""
    vllm: VllmOptions | None = None
    """Settings of vLLM, where it generates the completions. Null: the defaults of this section."""

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
