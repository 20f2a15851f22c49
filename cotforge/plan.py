"""`train:` and `eval:` of the pipeline file: the student, the stages that train it, and what it is tried on. No torch here."""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cotforge.errors import shown
from cotforge.filters import Measured
from cotforge.folder import safe_name
from cotforge.records import Sample
from cotforge.spec import PathText, Spec

OURS = frozenset({"output_dir", "max_length", "remove_unused_columns", "dataset_kwargs", "run_name"})
"""Fields of TRL's that the runner sets itself, because a stage would not be resumed, or its lessons be cut, with others."""


def _listed(given: Any) -> Any:
    """One word as a list of it."""
    return [given] if isinstance(given, str) else given


class Lora(Spec):
    """Low-rank adapters in the place of all weights; they are merged into the weights when a stage ends."""

    rank: int = Field(default=16, ge=1)
    """Ours."""
    alpha: int = Field(default=32, ge=1)
    """Ours: twice the rank, as is usual."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """peft's own default."""
    targets: tuple[str, ...] | None = None
    """Names of modules (`q_proj`, ...), as peft matches them; null is every linear layer of the parts that are not frozen (ours)."""


class Student(Spec):
    """The small vision-language model that is trained."""

    model: PathText | None = Field(default=None, min_length=1)
    """A folder, or an id on the Hub."""
    tiny: Literal["llava", "idefics3", "qwen"] | None = None
    """Instead of `model`: a few hundred thousand random weights of this family, with a tokenizer of the run's own texts."""
    freeze: tuple[Literal["vision", "projector", "language"], ...] = ()
    """Parts that stay as they are."""
    lora: Lora | None = None
    """Null trains all weights that are not frozen."""
    qlora: bool = False
    """The frozen weights below the adapters in four bits: needs `lora`, a GPU and bitsandbytes."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Of the weights; null is bfloat16 on a GPU and float32 on a CPU (ours)."""
    max_pixels: int | None = Field(default=None, ge=64)
    """Width times height, at most, of what the student sees; kept in its processor. Null is the processor's own."""

    @property
    def named(self) -> str:
        """How reports and cards call the student before its first stage."""
        return self.model if self.model is not None else f"a tiny {self.tiny} of random weights"

    @model_validator(mode="after")
    def _begins_one_way(self) -> Self:
        if (self.model is None) == (self.tiny is None):
            raise ValueError("model, tiny: give one of them: a folder or Hub id, or {tiny: llava} for a rehearsal")
        return self

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        if len(set(self.freeze)) == 3:
            raise ValueError("freeze: everything is frozen; leave out at least one of vision, projector, language")
        if self.qlora and self.lora is None:
            raise ValueError("qlora: needs lora; add lora: {}")
        return self


class _Stage(Spec):
    """What every stage that trains has."""

    name: str
    """Names the stage's folder, its weights and its row in every table."""
    data: Literal["lessons", "source"] = "lessons"
    """`lessons`: the dataset; `source`: every readable sample of the source with its raw label."""
    epochs: float | None = Field(default=None, gt=0)
    """Times through the data; one where neither this nor `steps` is given (ours)."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps, instead of `epochs`."""
    batch: int = Field(default=16, ge=1)
    """Lessons (for grpo: completions) in one forward pass. Ours."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes of one optimizer step. Ours."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Null is ours: 2e-5 for sft, 1e-6 for grpo and dpo, ten times that with LoRA."""
    seed: int = 0
    """Of everything that is drawn. Ours."""
    trl: dict[str, Any] = Field(default_factory=dict)
    """Any field of TRL's configuration of this kind of trainer, handed on untouched; wins over ours."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        return safe_name(name)

    @field_validator("trl")
    @classmethod
    def _not_ours(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(OURS & fields.keys()):
            raise ValueError(f"{shown(taken[0])} is set by cotforge itself; leave it out")
        return fields

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs, steps: both are given; give one of them")
        return self


class Sft(_Stage):
    """Supervised: the student learns the completion, given picture and prompt."""

    kind: Literal["sft"]
    too_long: Literal["drop", "fail"] = "drop"
    """Of lessons longer than `longest`, which are never cut: leave them out, or train nothing. Ours."""
    longest: int | None = Field(default=None, ge=1)
    """Tokens of a whole lesson, picture included; null is what the student's positions hold."""


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


class Grpo(_Stage):
    """Reinforcement: the student says several things about a picture, and the better ones become likelier."""

    kind: Literal["grpo"]
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


class Dpo(_Stage):
    """Preference: of a right and a wrong text about a picture, the right one becomes likelier."""

    kind: Literal["dpo"]
    beta: float | None = Field(default=None, gt=0)
    """Weight of the distance to the weights that the stage began with. Null is TRL's own: 0.1."""


class Try(Spec):
    """No training: the student is tried on what `eval:` holds out."""

    kind: Literal["eval"]
    name: str
    """Names the file of its figures."""

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, name: str) -> str:
        return safe_name(name)


Stage = Annotated[Sft | Grpo | Dpo | Try, Field(discriminator="kind")]
"""An entry of `train.stages`, by its `kind`."""

_FORMAT: dict[str, Any] = {"measure": "well_formed"}
_RIGHT: dict[str, Any] = {"measure": "correct"}
_BOTH = ({"measure": "well_formed", "weight": 0.2}, _RIGHT)

PRESETS: dict[str, tuple[dict[str, Any], ...]] = {
    "clgrpo": (
        {"name": "inject", "kind": "sft", "epochs": 1},
        {"name": "format", "kind": "grpo", "steps": 100, "rewards": (_FORMAT,)},
        {"name": "reason", "kind": "grpo", "steps": 800, "rewards": _BOTH},
        {"name": "clip", "kind": "grpo", "steps": 400, "clip": "cliplow-upper", "updates_per_rollout": 4, "rewards": _BOTH},
    ),
    "long-cot": (
        {"name": "long-cot", "kind": "sft", "epochs": 3, "learning_rate": 2e-5, "accumulate": 8, "trl": {"warmup_steps": 0.05}},
        {
            "name": "reason",
            "kind": "grpo",
            "epochs": 1,
            "rewards": (_RIGHT,),
            "learning_rate": 1e-6,
            "group": 4,
            "clip": {"low": 0.2, "high": 0.28},
            "updates_per_rollout": 4,
            "beta": 2e-3,
            "max_completion": 8192,
            "trl": {"top_p": 0.95, "top_k": 50, "warmup_steps": 0.01, "mask_truncated_completions": True},
        },
    ),
    "label-only": ({"name": "labels", "kind": "sft", "data": "source", "epochs": 1},),
    "answer-rl": ({"name": "answers", "kind": "grpo", "steps": 1200, "rewards": (_RIGHT,), "max_completion": 64},),
}
"""Stages by name. The order of those of `clgrpo` is its paper's (arXiv 2506.18048), its numbers are ours; `long-cot` has those of the
code of arXiv 2509.03321 where that gives them; `label-only` and `answer-rl` are what the papers compare with."""


class Plan(Spec):
    """`train:`: a student, and the stages that it goes through, each from the weights of the one before."""

    student: Student
    preset: Literal["clgrpo", "long-cot", "label-only", "answer-rl"] | None = None
    """Stages by name; `stages` then replaces those of the same name."""
    data: PathText | None = Field(default=None, min_length=1)
    """A dataset's folder, or its id on the Hub; null is the run's own."""
    cache_gb: float = Field(default=20, ge=0)
    """Gigabytes of prepared pictures that are kept; above it they are prepared anew in every epoch. Ours."""
    report_to: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Trackers that get the metrics too, by their names in transformers: `tensorboard`, `wandb`, `trackio`, ..."""
    stages: tuple[Stage, ...] = ()
    """In their order."""

    @model_validator(mode="after")
    def _has_stages(self) -> Self:
        if self.preset is None and not self.stages:
            raise ValueError(f"stages: there is none; give at least one, or a preset: {', '.join(PRESETS)}")
        twice = [name for name, times in Counter(stage.name for stage in self.stages).items() if times > 1]
        if twice:
            raise ValueError(f"stages: two are named {shown(twice[0])}; every stage needs a name of its own")
        known = [str(stage["name"]) for stage in PRESETS[self.preset]] if self.preset else []
        strange = [stage.name for stage in self.stages if self.preset and stage.name not in known]
        if strange:
            raise ValueError(
                f"stages: {shown(strange[0])} is no stage of the preset {shown(self.preset)}, whose stages are {', '.join(known)}"
            )
        return self

    def expanded(self) -> tuple[Sft | Grpo | Dpo | Try, ...]:
        """All stages, those of the preset included."""
        if self.preset is None:
            return self.stages
        own = {stage.name: stage for stage in self.stages}
        return tuple(own.get(str(fields["name"])) or _made(fields) for fields in PRESETS[self.preset])


_KINDS: dict[str, type[Sft] | type[Grpo]] = {"sft": Sft, "grpo": Grpo}


def _made(fields: dict[str, Any]) -> Sft | Grpo:
    return _KINDS[fields["kind"]].model_validate(fields)


class Eval(Spec):
    """`eval:`: on what a student is tried, and what is told of it."""

    split: str | None = Field(default=None, min_length=1)
    """Of the source: one that is not trained on."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Of the samples, by their pictures' hash: held out before any teacher is asked."""
    metrics: tuple[Literal["accuracy", "macro_recall", "format_rate"], ...] = ("accuracy", "macro_recall")
    """What the table shows; the first one decides which of two is the better."""
    at_most: int | None = Field(default=None, ge=1)
    """Samples; null takes all."""
    when: Annotated[tuple[Literal["base", "stages", "end"], ...], BeforeValidator(_listed)] = ("base", "stages", "end")
    """When the student is evaluated: before its first stage, after each stage that another one follows, after the last."""
    between: int | None = Field(default=2_000, ge=1)
    """Samples, at most, of evaluations before the end: the same ones each time, spread over the classes; null takes all."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What generates the answers; `auto` is vLLM on a GPU where it is installed and serves the student, else transformers."""
    best: Literal["accuracy", "macro_recall", "format_rate"] | None = None
    """By this metric every checkpoint of a stage is tried, and the best one's weights are the stage's; null takes the last ones."""
    rescue: int = Field(default=0, ge=0)
    """Tokens that a thought which was cut off may go on with: it is closed, and the answer asked for. Ours: none."""

    @model_validator(mode="after")
    def _holds_out_one_way(self) -> Self:
        if (self.split is None) == (self.share is None):
            raise ValueError("split, share: give one of them")
        return self

    def held_out(self) -> dict[str, Any]:
        """Which samples are kept from training."""
        return {"split": self.split, "share": self.share}

    def measured(self, *, whole: bool) -> dict[str, Any]:
        """All that decides the figures of given weights, on all samples (`whole`) or on those of `between`."""
        return self.model_dump(mode="json", exclude={"metrics", "when", "best", *(["between"] if whole else [])})

    def choosing(self) -> dict[str, Any]:
        """All that decides which checkpoint `best` takes; they are tried where they are trained, whatever `engine` says."""
        return self.measured(whole=False) | {"best": self.best, "engine": None}

    def holds(self, sample: Sample) -> bool:
        """Whether a Sample is tried on, and never trained on, because of `share`: it follows from its pictures alone."""
        first = min((picture.digest for picture in sample.pictures), default="f" * 13)
        return self.share is not None and int(first[:13], 16) < self.share * 16**13


SMOKE_STEPS = 2
"""Optimizer steps of a stage under `--smoke`."""


def lines(plan: Plan, *, steps: int | None = None) -> list[str]:
    """The plan as a person reads it, a line per stage; with `steps`, as if every stage had so many."""
    return [_line(number, stage, steps) for number, stage in enumerate(plan.expanded(), 1)]


def _line(number: int, stage: Sft | Grpo | Dpo | Try, given: int | None) -> str:
    if isinstance(stage, Try):
        return f"{number:02} {stage.name}: eval"
    steps = given or stage.steps
    length = f"{steps:,} steps" if steps else f"{stage.epochs or 1:g} epochs"
    words = [stage.kind, f"on {stage.data}", length, f"batch {stage.batch} x {stage.accumulate}"]
    if isinstance(stage, Grpo):
        words += [" + ".join(f"{reward.weight:g} {reward.measure}" for reward in stage.rewards), f"groups of {stage.group}"]
        words += [f"clip -{stage.clip.low:g} +{stage.clip.high:g}, {stage.updates_per_rollout} updates"] if stage.clip else []
    return f"{number:02} {stage.name}: {', '.join(words)}"
