"""`prior:` of a stage: towards which expert its gradients are bent, and how (DRIFT, arXiv 2510.15050). No torch here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cotforge.errors import show_value
from cotforge.plan.evaluation import ONE_OR_LIST
from cotforge.plan.modules import GROUPS, WITH_RANGES, choose_modules, wrong_modules
from cotforge.spec import PathText, Spec, WrongKey

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Prior(Spec):
    """Pull towards a reasoning model: gradients of the language part are shifted by the difference
    between expert and base."""

    expert: PathText = Field(min_length=1)
    """A reasoning model of the decoder's shape: a folder, a Hub id, or an earlier stage by name.
    The paper uses deepseek-ai/DeepSeek-R1-Distill-Qwen-7B."""
    base: PathText | None = Field(default=None, min_length=1)
    """Model that is subtracted from the expert: like `expert`, or `base`, the student before any
    stage. Null: the weights the stage starts with."""
    rule: Literal["absolute", "gradnorm", "cosine"] = "cosine"
    """Strength of the pull. `absolute`: the difference itself. `gradnorm`: the difference scaled to
    the length of the gradient. `cosine`: that, times how far the step leads away from the expert."""
    alpha: float = Field(default=1.0, ge=0)
    """Factor of the pull; 0 is plain fine-tuning. Default: that of the paper's code."""
    modules: Annotated[tuple[str, ...], ONE_OR_LIST, Field(min_length=1)] = ("attn", "mlp")
    """Tensors that are pulled: `attn`, `mlp`, `norm`, `embed`, `head`, or a regular expression
    after `re:`. Default: that of the paper's code."""
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], WITH_RANGES, Field(min_length=1)] | None = None
    """Layers that are pulled, from 0, such as `[0, 1, 6-27]`. Null: all."""
    bias: bool = True
    """Pull biases too. A bias that the expert lacks counts as 0."""
    rescale: bool = True
    """For `absolute`: scale the difference to the length of its tensor first."""

    @field_validator("modules")
    @classmethod
    def _are_patterns(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        if fault := wrong_modules(modules, GROUPS):
            raise ValueError(fault)
        return modules

    @model_validator(mode="after")
    def _is_a_difference(self) -> Self:
        if self.base == self.expert:
            raise WrongKey("base", "is the expert itself, and the difference 0; give the model that the expert was trained from")
        return self

    def models(self) -> dict[str, str]:
        """The models that it names, by key."""
        return {key: model for key, model in (("expert", self.expert), ("base", self.base)) if model is not None}

    def wants(self, name: str) -> bool:
        """Whether a tensor is bent, by its name below the decoder."""
        return choose_modules(self.modules, self.layers)(name) and (self.bias or not name.endswith(".bias"))

    def faults(self, root: Path) -> Iterator[str]:
        """What is wrong with the models that it names, as far as the disk tells: a single word may be a stage."""
        for key, model in self.models().items():
            if (root / model).is_dir():
                if not (root / model / "config.json").is_file():
                    yield f"{key}: {show_value(model)} has no config.json; it is no model's folder"
            elif "/" in model and (not _HUB_ID.fullmatch(model) or (root / model).parent.is_dir()):
                yield f"{key}: {show_value(model)} is no folder; give one, or an id on the Hub (owner/name)"

    def words(self) -> str:
        """What the plan's line says of it."""
        less = "the stage's first weights" if self.base is None else Path(self.base).name
        return f"prior {self.rule} {self.alpha:g} to {Path(self.expert).name} minus {less}"
