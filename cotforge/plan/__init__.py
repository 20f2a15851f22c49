"""`train:` and `eval:` of the pipeline file: the student, the stages that train it, and what it is tried on. No torch here."""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from cotforge.errors import PipelineError, show_value
from cotforge.plan import branches
from cotforge.plan.curriculum import Curriculum, PacedStage
from cotforge.plan.evaluation import ONE_OR_LIST, EntropyBand, Eval
from cotforge.plan.kinds import AnyStage
from cotforge.plan.kinds.dpo import Dpo
from cotforge.plan.kinds.grpo import CLIPS, Clip, Grpo
from cotforge.plan.kinds.merge import Merge
from cotforge.plan.kinds.sft import Sft
from cotforge.plan.kinds.trial import Try
from cotforge.plan.presets import PRESETS
from cotforge.plan.prior import Prior
from cotforge.plan.rewards import Reward
from cotforge.plan.stage import Rates, Stage, TrlStage
from cotforge.plan.student import Lora, Student
from cotforge.spec import PathText, Spec, WrongKey

__all__ = [
    "CLIPS",
    "PRESETS",
    "SMOKE_STEPS",
    "SMOKE_TOKENS",
    "AnyStage",
    "Clip",
    "Curriculum",
    "Dpo",
    "EntropyBand",
    "Eval",
    "Grpo",
    "Lora",
    "Merge",
    "PacedStage",
    "Plan",
    "Prior",
    "Rates",
    "Reward",
    "Sft",
    "Stage",
    "Student",
    "TrlStage",
    "Try",
    "plan_lines",
]  # fmt: skip


class Plan(Spec):
    """`train:`: a student and its stages. Each stage starts with the weights of the one before, or
    of a stage it names."""

    student: Student
    """The small vision-language model that is trained."""
    preset: Literal["clgrpo", "long-cot", "label-only", "answer-rl"] | None = None
    """Ready-made stages: `clgrpo`, `long-cot`, `label-only` or `answer-rl`. An entry of `stages`
    replaces the preset's stage of the same name. Null: only `stages`."""
    data: PathText | None = Field(default=None, min_length=1)
    """Dataset to train on: a folder, or an id on the Hub. Null: the dataset of this run."""
    cache_gb: float = Field(default=20, ge=0)
    """Most gigabytes of prepared images to keep. Above that, images are prepared again in every
    epoch."""
    report_to: Annotated[tuple[str, ...], ONE_OR_LIST] = ()
    """Experiment trackers that also get the metrics, by their names in transformers: `tensorboard`,
    `wandb`, `trackio`, ... Each needs its own package."""
    stages: tuple[AnyStage, ...] = ()
    """The training stages, in order."""

    @model_validator(mode="after")
    def _has_stages(self) -> Self:
        if self.preset is None and not self.stages:
            raise ValueError(f"stages: there is none; give at least one, or a preset: {', '.join(PRESETS)}")
        twice = [name for name, times in Counter(stage.name for stage in self.stages).items() if times > 1]
        if twice:
            raise ValueError(f"stages: two are named {show_value(twice[0])}; every stage needs a name of its own")
        known = [str(stage["name"]) for stage in PRESETS[self.preset]] if self.preset else []
        strange = [stage.name for stage in self.stages if self.preset and stage.name not in known]
        if strange:
            raise ValueError(
                f"stages: {show_value(strange[0])} is no stage of the preset {show_value(self.preset)}, whose stages are {', '.join(known)}"
            )
        for place, stage in enumerate(self.stages):
            if wrong := _frozen_rate(stage, self.student):
                raise WrongKey(f"stages[{place}].learning_rate", wrong)
            if wrong := _prior_fault(stage, self.student):
                raise WrongKey(f"stages[{place}].prior", wrong)
            for key, wrong in branches.reference_faults(self.expanded(), stage):
                raise WrongKey(f"stages[{place}].{key}", wrong)
        return self

    def expanded(self) -> tuple[Stage, ...]:
        """All stages, those of the preset included."""
        if self.preset is None:
            return self.stages
        own = {stage.name: stage for stage in self.stages}
        return tuple(own.get(str(fields["name"])) or _make_stage(fields) for fields in PRESETS[self.preset])

    def require(self, option: str, name: str | None) -> None:
        """Raises PipelineError where a command's option names a stage that is not there; `--from base` names all of them."""
        names = [stage.name for stage in self.expanded()]
        if name is not None and name not in names and (option, name) != ("--from", branches.BASE):
            raise PipelineError(f"{option} {name}: no stage of that name; there are {', '.join(names)}")


def _frozen_rate(stage: Stage, student: Student) -> str | None:
    """What is wrong with a rate for a part that is not trained."""
    rates = getattr(stage, "learning_rate", None)
    if not isinstance(stage, TrlStage) or not isinstance(rates, Rates):
        return None
    given = [part for part in stage.student_of(student).freeze if getattr(rates, part) is not None]
    where = "train.student.freeze" if stage.freeze is None else "freeze"
    return f"{given[0]}: this part is frozen; leave the rate out, or the part out of {where}" if given else None


def _prior_fault(stage: Stage, student: Student) -> str | None:
    """Why the gradients of this student cannot be bent; None where they can."""
    if not isinstance(stage, Sft) or stage.prior is None:
        return None
    if "language" in stage.student_of(student).freeze:
        where = "train.student.freeze" if stage.freeze is None else "freeze"
        return f"bends gradients of the language part, which is frozen; leave language out of {where}"
    if student.qlora:
        return "needs the expert minus the weights below the adapters, which qlora rounds to four bits; set qlora to false"
    return None


def _make_stage(fields: dict[str, Any]) -> Stage:
    made: Stage = TypeAdapter(AnyStage).validate_python(fields)
    return made


SMOKE_STEPS, SMOKE_TOKENS = 2, 16
"""Optimizer steps of a stage under `--smoke`, and tokens of a completion, at most."""


def plan_notes(plan: Plan) -> list[str]:
    """What somebody should know of a plan before it is carried out."""
    if plan.student.dtype != "bfloat16" or plan.student.lora is not None:
        return []
    bent = [stage.name for stage in plan.expanded() if isinstance(stage, Sft) and stage.prior is not None]
    return [
        "train.student.dtype: bfloat16 weights lose every update smaller than half of their step, so most of them at a learning rate "
        "of 1e-6; leave dtype out for float32 weights under bfloat16 autocast, at twice the memory",
        *(
            f"stage {name!r}: prior: in bfloat16 weights most of what it adds to a step is rounded away, at the paper's learning rate of "
            "1e-6 nearly all of it"
            for name in bent
        ),
    ]


def plan_lines(plan: Plan, *, steps: int | None = None) -> list[str]:
    """The plan as a person reads it, a line per stage; with `steps`, as if every stage had so many."""
    stages = plan.expanded()
    origin = branches.stage_origins(stages)
    return [
        f"{number:02} {stage.name}: {', '.join(_stage_words(stage, origin[stage.name], steps))}" for number, stage in enumerate(stages, 1)
    ]


def _stage_words(stage: Stage, origin: str, steps: int | None) -> list[str]:
    kind, *rest = stage.words(steps)
    return [kind, *([f"from {origin}"] if origin else []), *rest]
