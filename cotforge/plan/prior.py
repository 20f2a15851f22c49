"""`prior:` of a stage: towards which expert its gradients are bent, and how (DRIFT, arXiv 2510.15050). No torch here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cotforge.errors import show_value
from cotforge.plan.evaluation import as_list
from cotforge.plan.modules import GROUPS, choose_modules, number_layers, wrong_modules
from cotforge.spec import PathText, Spec, WrongKey

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Prior(Spec):
    """The direction to a reasoning expert, towards which the gradients of the decoder's tensors are bent."""

    expert: PathText = Field(min_length=1)
    """A model of the decoder's shape that reasons: a folder, an id on the Hub, or a stage before it by name.

    The paper's is deepseek-ai/DeepSeek-R1-Distill-Qwen-7B.
    """
    base: PathText | None = Field(default=None, min_length=1)
    """What is subtracted from the expert: such a model, or `base`, the student before any stage. Null is the weights it begins with."""
    rule: Literal["absolute", "gradnorm", "cosine"] = "cosine"
    """How strong the pull is: the difference itself, as long as the gradient, or that by how far the step leads away. The paper's."""
    alpha: float = Field(default=1.0, ge=0)
    """Strength of the pull; 0 is plain sft. The default of the paper's code."""
    modules: Annotated[tuple[str, ...], BeforeValidator(as_list), Field(min_length=1)] = ("attn", "mlp")
    """Which tensors: `attn`, `mlp`, `norm`, `embed`, `head`, or a regular expression (after `re:`). The default of the paper's code."""
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(number_layers), Field(min_length=1)] | None = None
    """Of which layers, from 0, such as `[0, 1, 6-27]`; null is all."""
    bias: bool = True
    """Whether biases are bent too, where the expert has them."""
    rescale: bool = True
    """Whether the difference is made as long as the tensor that it is for; matters under `absolute` alone."""

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
