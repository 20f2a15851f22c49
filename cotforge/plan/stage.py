"""What a kind of training stage is: its keys in the pipeline file, and what the rest of the program asks of it. No torch here.

To add one: a `Stage` in `plan/kinds/<kind>.py` with an entry in `plan.kinds.KINDS`, and `train/kinds/<kind>.py` with a function
`train(stage, work) -> None`, and, where something can be seen to be wrong before anything is trained, `check(stage, training) -> None`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import Field, field_validator, model_validator

from cotforge.folder import safe_name
from cotforge.plan.evaluation import Eval
from cotforge.plan.student import Part, Student, demand_trained
from cotforge.plan.trl_fields import refused_field
from cotforge.spec import Spec

LearnsFrom = Literal["lessons", "source", "pairs"]
"""`lessons`: the dataset; `source`: the source with its raw labels; `pairs`: the dataset's pairs of a right and a wrong text."""

HARMLESS = frozenset({
    "dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers", "dataloader_prefetch_factor", "disable_tqdm",
    "hub_model_id", "hub_private_repo", "hub_revision", "hub_strategy", "hub_token", "include_num_input_tokens_seen", "log_level",
    "log_level_replica", "log_on_each_node", "logging_first_step", "logging_nan_inf_filter", "logging_steps", "logging_strategy",
    "project", "report_to", "save_on_each_node", "save_steps", "save_strategy", "save_total_limit", "skip_memory_metrics",
    "torch_empty_cache_steps", "trackio_space_id",
})  # fmt: skip
"""Fields of transformers' configuration that cannot change which weights a stage leaves: workers, logs, checkpoints."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart of a stage's metrics over its steps."""

    title: str
    metrics: tuple[tuple[str, str], ...]
    """Names in `metrics.jsonl`, each with its name in the legend; where `reward` is one, every reward is drawn under its own."""
    share: bool = False
    """Whether the values go from 0 to 1."""


LOSS = Curve("Loss on lessons", (("loss", "loss"),))
"""The chart of stages that lower a loss on texts."""


class KeyContext(Protocol):
    """What a stage's key may depend on beside the stage itself."""

    @property
    def root(self) -> Path:
        """The pipeline file's folder."""

    @property
    def held_out(self) -> Eval | None:
        """`eval:` of the pipeline file."""

    def fingerprint(self, model: str, *, key: str = ...) -> str:
        """A hash of the weights of a model, named by that key of the file: a folder or Hub id. Raises PipelineError where it is none."""

    @property
    def pass_rates(self) -> Callable[[], Mapping[str, float]]:
        """Shares in [0, 1] of right answers by a sample's id, as the run folder has them; empty where none were written."""


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
    keyless_defaults: ClassVar[frozenset[str]] = frozenset()
    """Keys that count only where they are not at their default: those that are newer than stages which were trained without them.

    Each class names its own; those of the classes above it count too.
    """

    kind: str
    """What the stage does: `sft`, `grpo`, `dpo`, `merge` or `eval`."""
    name: str
    """Name of the stage: of its folder, its weights and its row in every table."""
    from_: str | None = Field(default=None, alias="from")
    """Weights the stage starts with: `base` (the student before any stage) or an earlier stage by
    name. Null: the last earlier stage that leaves weights."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        return safe_name(name)

    @property
    def learns_from(self) -> LearnsFrom | None:
        """The data that it reads; its key changes with them. None where it reads none."""
        return None

    @property
    def remark(self) -> str:
        """What a student's card has to say of it beside its line, in a sentence without its full stop; empty where that is all."""
        return ""

    @property
    def trl_fields(self) -> dict[str, Any]:
        """Fields of a trainer's configuration that the pipeline file sets; empty for a kind without a trainer of TRL's."""
        return {}

    @property
    def longest_answer(self) -> int | None:
        """Tokens of the longest answer it trains the student to give; None where it sets no limit."""
        return None

    def key_fields(self) -> dict[str, Any]:
        """Its own keys that decide its outcome, as JSON values: a stage whose others have changed is the same stage."""
        left_out = {name for name in self.newer_keys() if getattr(self, name) == type(self).model_fields[name].get_default()}
        return self.model_dump(mode="json", by_alias=True, exclude={"name", "from_", *left_out})

    @classmethod
    def newer_keys(cls) -> frozenset[str]:
        """All `keyless_defaults`, its own and those of the classes above it."""
        return frozenset[str]().union(*(vars(kind).get("keyless_defaults", ()) for kind in cls.__mro__))

    def inputs(self, context: KeyContext) -> dict[str, Any]:
        """What decides its outcome beside its own keys, its data, the student and the weights it begins with: JSON values by name."""
        return {}

    def reads(self) -> dict[str, str]:
        """Models whose weights it reads beside those it begins with, by the key that names each.

        A stage before it by name, `base` for the student before any stage, a folder, or an id on the Hub.
        """
        return {}

    def faults(self, root: Path) -> Iterator[str]:
        """What is wrong with the files and functions that it names, each with the path of its key; `root` is the pipeline file's folder."""
        yield from ()

    def words(self, steps: int | None = None) -> list[str]:
        """What the plan's line says of it; `steps` replaces its own length where it trains."""
        return [self.kind]

    def amount(self, rows: int, *, processes: int = 1, steps: int | None = None) -> str:
        """How many of its data's `rows` it sees over all `processes`, in words; with `steps`, as if it had so many."""
        return f"all {rows:,} rows"


Rate = Annotated[float, Field(gt=0)]


class Rates(Spec):
    """Learning rates of the student's parts."""

    vision: Rate | None = None
    """Learning rate of the image encoder. Null: the default of the stage's kind."""
    projector: Rate | None = None
    """Learning rate of the projector between image encoder and language model. Null: the default of
    the stage's kind."""
    language: Rate | None = None
    """Learning rate of the language model. Null: the default of the stage's kind."""


class TrlStage(Stage):
    """A stage that one of TRL's trainers runs."""

    trains: ClassVar[bool] = True
    harmless: ClassVar[frozenset[str]] = HARMLESS
    """Fields under `trl` that cannot change which weights it leaves."""
    rows_are: ClassVar[str] = "lessons"
    """What the plan's line calls a row of its data."""
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"freeze"})

    epochs: float | None = Field(default=None, gt=0)
    """Passes over the data. Null: 1, unless `steps` is given."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps, instead of `epochs`. Null: by `epochs`."""
    batch: int = Field(default=16, ge=1)
    """Lessons per forward pass; for `grpo`, completions."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes per optimizer step."""
    learning_rate: Rate | Rates | None = None
    """One learning rate, or one for each part of the student. Null: 2e-5 for `sft`, 1e-6 for `grpo`
    and `dpo`; ten times that with LoRA."""
    attention: Literal["sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention"] | None = None
    """Attention implementation, by transformers' names: `sdpa`, `eager`, `flash_attention_2`,
    `flash_attention_3` or `flex_attention`. Null: transformers' default."""
    freeze: tuple[Part, ...] | None = None
    """Parts of the student that this stage does not train: `vision`, `projector`, `language`. `[]`
    trains all. Null: as `train.student.freeze` says."""
    seed: int = 0
    """Random seed of everything that is drawn."""
    trl: dict[str, Any] = Field(default_factory=dict)
    """Any field of TRL's configuration for this trainer. It takes precedence over cotforge's value.
    Fields that cannot work here are refused."""

    @property
    def trl_fields(self) -> dict[str, Any]:
        """As `trl` has them."""
        return self.trl

    @property
    def splits_freely(self) -> bool:
        """Whether an optimizer step is the same however its `batch` x `accumulate` is split."""
        return True

    def key_fields(self) -> dict[str, Any]:
        """Without what cannot change the weights; of `batch` and `accumulate` their product, where it alone counts."""
        fields = super().key_fields()
        fields["trl"] = trl = {name: value for name, value in fields["trl"].items() if name not in self.harmless}
        batch = (
            trl.pop("per_device_train_batch_size", fields.pop("batch")),
            trl.pop("gradient_accumulation_steps", fields.pop("accumulate")),
        )
        whole = self.splits_freely and all(isinstance(each, int) for each in batch)
        return fields | {"batch x accumulate": batch[0] * batch[1] if whole else list(batch)}

    @field_validator("trl")
    @classmethod
    def _takes(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if fault := refused_field(fields):
            raise ValueError(fault)
        return fields

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        demand_trained(self.freeze or ())
        return self

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs, steps: both are given; give one of them")
        return self

    def student_of(self, student: Student) -> Student:
        """The student of the plan with the parts frozen that are so in this stage."""
        return student if self.freeze is None else student.model_copy(update={"freeze": self.freeze})

    def rows_per_step(self) -> float:
        """How many rows of its data one process reads for an optimizer step."""
        return self.batch * self.accumulate

    def learned_of(self, rows: int) -> int:
        """From about how many of its data's rows it learns."""
        return rows

    def amount(self, rows: int, *, processes: int = 1, steps: int | None = None) -> str:
        """By its steps or epochs, in what its rows are called."""
        steps, learned = steps or self.steps, self.learned_of(rows)
        times = self.epochs or 1.0 if steps is None else steps * self.rows_per_step() * processes / learned
        if times < 1:
            return f"{round(times * learned):,} of {max(rows, learned):,} {self.rows_are}"
        whole = f"all {learned:,}" if learned >= rows else f"about {learned:,} of {rows:,}"
        return f"{whole} {self.rows_are}" + ("" if times == 1 else f", {times:.3g} times")

    def words(self, steps: int | None = None) -> list[str]:
        """Data, length and batch."""
        steps = steps or self.steps
        length = f"{steps:,} steps" if steps else f"{self.epochs or 1:g} epochs"
        words = [self.kind, f"on {self.learns_from}", length, f"batch {self.batch} x {self.accumulate}"]
        return words if self.freeze is None else [*words, f"{' and '.join(self.freeze) or 'nothing'} frozen"]
