"""Stages of kind `merge`: the student's language part and those of other models are made one, weight by weight, without training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from cotforge.errors import show_value
from cotforge.plan import modules as parts
from cotforge.plan.evaluation import ONE_OR_LIST
from cotforge.plan.stage import Curve, Stage
from cotforge.spec import PathText, Spec, WrongKey

Method = Literal["linear", "task_arithmetic", "ties", "dare_linear", "dare_ties", "layer_swap", "slerp"]

OF_DIFFERENCES = frozenset({"task_arithmetic", "ties", "dare_linear", "dare_ties"})
"""Methods that add up what separates each model from `base`."""
SPARSE = frozenset({"ties", "dare_linear", "dare_ties"})
"""Methods that keep a share of each difference alone."""
KNOWN = (*parts.GROUPS, "vision", "projector")
"""Names in `modules`."""


class MergeInput(Spec):
    """One of the models that are merged."""

    model: PathText = Field(min_length=1)
    """An earlier stage by name, `base` (the student before any stage), a folder or a Hub id. It may
    be a student or a text model."""
    weight: float = 1.0
    """Weight of this model. For `slerp` it is mergekit's `t` and required: 0 is `base`, 1 this
    model."""
    density: float = Field(default=1.0, gt=0, le=1)
    """For `ties` and `dare_...`: share of the differences that is kept, the largest ones (`ties`)
    or a random draw (`dare_...`)."""
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], parts.WITH_RANGES, Field(min_length=1)] | None = None
    """Layers this model contributes to, from 0, such as `[0, 1, 6-27]`. Null: all."""


class Merge(Stage):
    """Merges weights of several models of the same shape, without training. Key names follow
    mergekit."""

    curves: ClassVar[tuple[Curve, ...]] = ()

    kind: Literal["merge"]
    """`merge`: merge weights of several models, without training."""
    method: Method
    """How weights are merged: `linear`, `task_arithmetic`, `ties`, `dare_linear`, `dare_ties`,
    `layer_swap` or `slerp`. `layer_swap` replaces the student's `layers` by each model's, or mixes
    both by `weight` (arXiv 2505.05464)."""
    models: tuple[MergeInput, ...] = Field(min_length=1)
    """The models to merge. Everything else (other weights, configuration, processor) comes from the
    student the stage starts with."""
    base: PathText | None = Field(default=None, min_length=1)
    """mergekit's `base_model`: differences are taken from it, and `slerp` starts at it. Null: the
    student the stage starts with."""
    modules: Annotated[tuple[str, ...], ONE_OR_LIST] = ("attn", "mlp", "norm")
    """Which weights are merged: `attn`, `mlp`, `norm`, `embed`, `head`, `vision`, `projector`, or a
    regular expression after `re:`. The default is that of the code for arXiv 2505.05464: the
    language part without embeddings and head."""
    normalize: bool | None = None
    """Divide the sum by the sum of the weights. Null: mergekit's default, true for `linear` and
    `ties`."""
    lambda_: float = Field(default=1.0, alias="lambda")
    """Factor of the sum of differences."""
    rescale: bool = True
    """For `dare_...`: divide the kept differences by `density`, as in arXiv 2311.03099. mergekit
    0.1.5 divides by the kept share of the sum of absolute values, which is nearly the same."""
    seed: int = 0
    """Random seed of `dare_...`."""

    @property
    def normalizes(self) -> bool:
        """As `normalize` says, or mergekit's default."""
        return self.method in ("linear", "ties") if self.normalize is None else self.normalize

    def reads(self) -> dict[str, str]:
        """Its models and its base."""
        found = {f"models[{place}].model": each.model for place, each in enumerate(self.models)}
        return found | ({} if self.base is None else {"base": self.base})

    def faults(self, root: Path) -> Iterator[str]:
        """Of models that are plainly meant as folders."""
        for key, model in self.reads().items():
            if model.startswith((".", "/")) and not (root / model).is_dir():
                yield f"{key}: {show_value(model)} is no folder"

    def key_fields(self) -> dict[str, Any]:
        """Without the places of models, whose weights count."""
        fields = super().key_fields()
        fields["models"] = [{name: value for name, value in each.items() if name != "model"} for each in fields["models"]]
        return fields | {"base": self.base is not None}

    def words(self, steps: int | None = None) -> list[str]:
        """Method, models and weights."""
        named = [Path(each.model).name if each.model.startswith(("/", ".")) else each.model for each in self.models]
        return [self.kind, self.method, " + ".join(f"{each.weight:g} {name}" for each, name in zip(self.models, named, strict=True))]

    @field_validator("modules")
    @classmethod
    def _are_known(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        if fault := parts.wrong_modules(modules, KNOWN) or (None if modules else f"there is none; give {', '.join(KNOWN)}"):
            raise ValueError(fault)
        return modules

    @model_validator(mode="after")
    def _fits_its_method(self) -> Self:
        for key, fault in self._misfits():
            raise WrongKey(key, fault)
        return self

    def _misfits(self) -> Iterator[tuple[str, str]]:
        """Keys that its method does not use, or cannot use as they are."""
        method = self.method
        if self.base is not None and method not in OF_DIFFERENCES | {"slerp"}:
            yield "base", f"{method} takes no differences from a base; leave it out"
        if self.normalize is not None and method in ("layer_swap", "slerp"):
            yield "normalize", f"{method} has no sum of weights; leave it out"
        if self.lambda_ != 1 and method not in OF_DIFFERENCES:
            yield "lambda", f"{method} has no sum of differences; leave it out"
        if method == "slerp" and len(self.models) != 1:
            yield "models", f"slerp goes from base to one model, and there are {len(self.models)}; give one, and the other as base"
        for place, each in enumerate(self.models):
            where = f"models[{place}]"
            if each.density != 1 and method not in SPARSE:
                yield f"{where}.density", f"{method} keeps all of a model; leave it out, or take {', '.join(sorted(SPARSE))}"
            if method == "slerp" and "weight" not in each.model_fields_set:
                yield f"{where}.weight", "slerp needs it: mergekit's t, from 0 (base) to 1 (the model)"
            if method in ("slerp", "layer_swap") and not 0 <= each.weight <= 1:
                yield f"{where}.weight", f"{each.weight:g} is none for {method}; give one from 0 to 1"
            if method == "layer_swap" and each.layers is None:
                yield f"{where}.layers", "layer_swap needs it: the layers that are taken from this model"
        yield from self._overlaps()
        if self.normalizes and sum(each.weight for each in self.models) == 0:
            yield "models", "the weights add up to 0, by which the sum would be divided; set normalize to false, or other weights"

    def _overlaps(self) -> Iterator[tuple[str, str]]:
        taken: set[int] = set()
        for place, each in enumerate(self.models if self.method == "layer_swap" else ()):
            if twice := taken & {*(each.layers or ())}:
                yield f"models[{place}].layers", f"layer {min(twice)} is taken from a model before it already; take each from one"
            taken |= {*(each.layers or ())}
