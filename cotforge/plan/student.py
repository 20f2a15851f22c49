"""`train.student`: the small vision-language model that is trained, and how its weights are held."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cotforge.spec import PathText, Spec

Part = Literal["vision", "projector", "language"]
"""Of a vision-language model."""


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
    freeze: tuple[Part, ...] = ()
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
        demand_trained(self.freeze)
        if self.qlora and self.lora is None:
            raise ValueError("qlora: needs lora; add lora: {}")
        return self


def demand_trained(freeze: tuple[Part, ...]) -> None:
    """Raises ValueError where no part is left to be trained."""
    if len(set(freeze)) == 3:
        raise ValueError("freeze: everything is frozen; leave out at least one of vision, projector, language")
