"""`train.student`: the small vision-language model that is trained, and how its weights are held."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cotforge.spec import PathText, Spec

Part = Literal["vision", "projector", "language"]
"""Of a vision-language model."""


class Lora(Spec):
    """Low-rank adapters, trained instead of all weights and merged into them when a stage ends."""

    rank: int = Field(default=16, ge=1)
    """Rank of the adapters."""
    alpha: int = Field(default=32, ge=1)
    """Scale of the adapters. The default is twice the rank, as is usual."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of the adapters' input. Default: peft's."""
    targets: tuple[str, ...] | None = None
    """Names of modules that get adapters (`q_proj`, ...), matched as peft does. Null: every linear
    layer that is not frozen."""


class Student(Spec):
    """The small vision-language model that is trained."""

    model: PathText | None = Field(default=None, min_length=1)
    """A folder with a vision-language model, or its id on the Hub. Give `model` or `tiny`. Null:
    `tiny` is used."""
    tiny: Literal["llava", "idefics3", "qwen"] | None = None
    """For rehearsals: a student with a few hundred thousand random weights and a tokenizer trained
    on the run's texts. `llava`, `idefics3` or `qwen`. Null: `model` is used."""
    freeze: tuple[Part, ...] = ()
    """Parts that are not trained: `vision`, `projector`, `language`."""
    lora: Lora | None = None
    """Train low-rank adapters instead of all weights; `{}` takes the defaults. Null: all weights
    that are not frozen."""
    qlora: bool = False
    """Load the frozen weights below the adapters in four bits. Needs `lora`, a GPU and
    bitsandbytes."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Type of all weights: `float32` or `bfloat16`. Null: `float32` for weights trained in full
    (with bfloat16 autocast on a GPU), `bfloat16` on a GPU for all others."""
    max_pixels: int | None = Field(default=None, ge=64)
    """Largest width times height of images the student sees; stored in its processor. Null: the
    processor's own limit."""

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
        demand_trained(self.freeze)
        if self.qlora and self.lora is None:
            raise ValueError("qlora: needs lora; add lora: {}")
        return self


def demand_trained(freeze: tuple[Part, ...]) -> None:
    """Raises ValueError where no part is left to be trained."""
    if len(set(freeze)) == 3:
        raise ValueError("freeze: everything is frozen; leave out at least one of vision, projector, language")
