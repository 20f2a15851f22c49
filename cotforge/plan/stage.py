"""What a kind of training stage is: its keys in the pipeline file, and what the rest of the program asks of it. No torch here.

To add one: a `Stage` with an entry in `plan.kinds.KINDS`, and `train/kinds/<kind>.py` with a function `train(stage, work) -> None`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

from pydantic import Field, field_validator, model_validator

from cotforge.errors import shown
from cotforge.folder import safe_name
from cotforge.plan.evaluation import Eval
from cotforge.spec import Spec

LearnsFrom = Literal["lessons", "source", "pairs"]
"""`lessons`: the dataset; `source`: the source with its raw labels; `pairs`: the dataset's pairs of a right and a wrong text."""
OURS = frozenset({"output_dir", "max_length", "remove_unused_columns", "dataset_kwargs", "run_name"})
"""Fields of TRL's that the runner sets itself, because a stage would not be resumed, or its lessons be cut, with others."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart of a stage's metrics over its steps."""

    title: str
    metrics: tuple[tuple[str, str], ...]
    """Names in `metrics.jsonl`, each with its name in the legend; where `reward` is one, every reward is drawn under its own."""
    share: bool = False
    """Whether the values go from 0 to 1."""


class KeyContext(Protocol):
    """What a stage's key may depend on beside the stage itself."""

    @property
    def root(self) -> Path:
        """The pipeline file's folder."""

    @property
    def held_out(self) -> Eval | None:
        """`eval:` of the pipeline file."""

    def fingerprint(self, model: str) -> str:
        """A hash of a model's weights, by its folder or Hub id. Raises PipelineError where there is none."""


class Stage(Spec):
    """The base of every kind of stage. The defaults are those of a kind that learns nothing and leaves weights."""

    trains: ClassVar[bool] = False
    """Whether it goes through optimizer steps, with checkpoints from which it is resumed."""
    leaves_weights: ClassVar[bool] = True
    """Whether it leaves a student in `weights/`, with which the next stage begins."""
    learns_texts: ClassVar[bool] = False
    """Whether it learns the wording of texts that it is given."""
    curves: ClassVar[tuple[Curve, ...]] = ()
    """What the report draws of its metrics."""

    kind: str
    """A literal in every kind; the module `train.kinds.<kind>` does it."""
    name: str
    """Names the stage's folder, its weights and its row in every table."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        return safe_name(name)

    @property
    def learns_from(self) -> LearnsFrom | None:
        """The data that it reads; its key changes with them. None where it reads none."""
        return None

    @property
    def trl_fields(self) -> dict[str, Any]:
        """Fields of a trainer's configuration that the pipeline file sets; empty for a kind without a trainer of TRL's."""
        return {}

    @property
    def longest_answer(self) -> int | None:
        """Tokens of the longest answer it trains the student to give; None where it sets no limit."""
        return None

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        """What decides its outcome beside its own keys, its data, the student and the weights it begins with: JSON values by name."""
        return {}

    def faults(self, root: Path) -> Iterator[str]:
        """What is wrong with the files and functions that it names, each with the path of its key; `root` is the pipeline file's folder."""
        yield from ()

    def words(self, steps: int | None = None) -> list[str]:
        """What the plan's line says of it; `steps` replaces its own length where it trains."""
        return [self.kind]


class TrlStage(Stage):
    """A stage that a trainer of TRL's does."""

    trains: ClassVar[bool] = True

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

    @property
    def trl_fields(self) -> dict[str, Any]:
        """As `trl` has them."""
        return self.trl

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

    def words(self, steps: int | None = None) -> list[str]:
        """Data, length and batch."""
        steps = steps or self.steps
        length = f"{steps:,} steps" if steps else f"{self.epochs or 1:g} epochs"
        return [self.kind, f"on {self.learns_from}", length, f"batch {self.batch} x {self.accumulate}"]
