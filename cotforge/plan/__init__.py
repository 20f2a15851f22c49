"""`train:` and `eval:` of the pipeline file: the student, the stages that train it, and what it is tried on. No torch here."""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from cotforge.errors import PipelineError, shown
from cotforge.plan import branches
from cotforge.plan.evaluation import Eval, listed
from cotforge.plan.kinds import CLIPS, AnyStage, Clip, Dpo, Grpo, Reward, Sft, Try
from cotforge.plan.stage import Rates, Stage, TrlStage
from cotforge.spec import PathText, Spec, WrongKey

__all__ = [
    "CLIPS",
    "PRESETS",
    "SMOKE_STEPS",
    "AnyStage",
    "Clip",
    "Dpo",
    "Eval",
    "Grpo",
    "Lora",
    "Plan",
    "Rates",
    "Reward",
    "Sft",
    "Stage",
    "Student",
    "TrlStage",
    "Try",
    "lines",
]  # fmt: skip


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
    """Of all weights; null is float32 for what is trained in full, and on a GPU bfloat16 autocast, and bfloat16 for all that is not."""
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
    """`train:`: a student, and the stages that it goes through, each from the weights of the one before it or of one that it names."""

    student: Student
    preset: Literal["clgrpo", "long-cot", "label-only", "answer-rl"] | None = None
    """Stages by name; `stages` then replaces those of the same name."""
    data: PathText | None = Field(default=None, min_length=1)
    """A dataset's folder, or its id on the Hub; null is the run's own."""
    cache_gb: float = Field(default=20, ge=0)
    """Gigabytes of prepared pictures that are kept; above it they are prepared anew in every epoch. Ours."""
    report_to: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    """Trackers that get the metrics too, by their names in transformers: `tensorboard`, `wandb`, `trackio`, ..."""
    stages: tuple[AnyStage, ...] = ()
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
        for place, stage in enumerate(self.stages):
            if wrong := _frozen_rate(stage, self.student):
                raise WrongKey(f"stages[{place}].learning_rate", wrong)
            if wrong := branches.fault(self.expanded(), stage):
                raise WrongKey(f"stages[{place}].from", wrong)
        return self

    def expanded(self) -> tuple[Stage, ...]:
        """All stages, those of the preset included."""
        if self.preset is None:
            return self.stages
        own = {stage.name: stage for stage in self.stages}
        return tuple(own.get(str(fields["name"])) or _made(fields) for fields in PRESETS[self.preset])

    def require(self, option: str, name: str | None) -> None:
        """Raises PipelineError where a command's option names a stage that is not there; `--from base` names all of them."""
        names = [stage.name for stage in self.expanded()]
        if name is not None and name not in names and (option, name) != ("--from", branches.BASE):
            raise PipelineError(f"{option} {name}: no stage of that name; there are {', '.join(names)}")


def _frozen_rate(stage: Stage, student: Student) -> str | None:
    """What is wrong with a rate for a part that is not trained."""
    rates = getattr(stage, "learning_rate", None)
    given = [part for part in student.freeze if isinstance(rates, Rates) and getattr(rates, part) is not None]
    return f"{given[0]}: this part is frozen; leave the rate out, or the part out of train.student.freeze" if given else None


def _made(fields: dict[str, Any]) -> Stage:
    made: Stage = TypeAdapter(AnyStage).validate_python(fields)
    return made


SMOKE_STEPS = 2
"""Optimizer steps of a stage under `--smoke`."""


def notes(plan: Plan) -> list[str]:
    """What somebody should know of a plan before it is carried out."""
    student = plan.student
    if student.dtype == "bfloat16" and student.lora is None:
        return [
            "train.student.dtype: bfloat16 weights lose every update smaller than half of their step, so most of them at a learning rate "
            "of 1e-6; leave dtype out for float32 weights under bfloat16 autocast, at twice the memory"
        ]
    return []


def lines(plan: Plan, *, steps: int | None = None) -> list[str]:
    """The plan as a person reads it, a line per stage; with `steps`, as if every stage had so many."""
    stages = plan.expanded()
    origin = branches.origins(stages)
    return [f"{number:02} {stage.name}: {', '.join(_words(stage, origin[stage.name], steps))}" for number, stage in enumerate(stages, 1)]


def _words(stage: Stage, origin: str, steps: int | None) -> list[str]:
    kind, *rest = stage.words(steps)
    return [kind, *([f"from {origin}"] if origin else []), *rest]
