"""The prior of a stage: its expert found, compared with the student in memory, and held to what the stage trains."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from cotforge.errors import PipelineError
from cotforge.plan import Prior, Sft
from cotforge.train.prior.gradient import GradientPrior
from cotforge.train.prior.tensors import Adapted, find
from cotforge.train.students.student import Pupil, fingerprint, place
from cotforge.train.weights.delta import Delta, InFiles, delta
from cotforge.train.weights.names import decoder_weights, key_of
from cotforge.train.work import Work

EACH_PASS = (
    "prior: DeepSpeed shows no whole gradient: that of each forward pass on each GPU is bent by itself, as in the paper's code, and not "
    "their mean, as elsewhere"
)


def of_stage(stage: Sft, work: Work, pupil: Pupil) -> GradientPrior | None:
    """What the stage bends its gradients by; None where it has no `prior`. Tells which tensors are bent and which are not.

    Raises PipelineError where the expert does not fit the student, or a part of `modules` would bend nothing.
    """
    spec = stage.prior
    if spec is None:
        return None
    where = f"stage {stage.name!r}: prior"
    weights = decoder_weights(pupil.model)
    _demand_layers(spec, weights, where)
    folders = {key: place(model, work.root, key=f"{where}.{key}") for key, model in spec.models().items()}
    found = delta(
        folders["expert"], folders.get("base", weights), wanted=spec.wants, cache=work.cache, bias=spec.bias,
        like={name: weight.shape for name, weight in weights.items()}, student=work.begin, known_as=fingerprint(work.begin),
        key=f"{where}.expert",
    )  # fmt: skip
    kinds = {name: find(pupil.model, name) for name in found.names}
    names = [name for name, bent in kinds.items() if bent is not None]
    _demand_all(spec, names, found, where)
    work.record.say(f"prior: {_line(spec, names, found, adapted=any(isinstance(bent, Adapted) for bent in kinds.values()))}")
    theirs = InFiles(folders["expert"], f"{where}.expert")

    def expert(name: str) -> torch.Tensor:
        key = key_of(theirs.names, name)
        return torch.zeros(weights[name].shape) if key is None else theirs.files.tensor(key)  # a bias that it lacks counts as 0

    return GradientPrior(spec, names, found, expert, _scales(spec, names, found, weights), where)


def _scales(spec: Prior, names: Sequence[str], found: Delta, weights: Mapping[str, Any]) -> dict[str, float]:
    """What makes each difference as long as its tensor: under the other rules its length is of no matter."""
    if spec.rule != "absolute" or not spec.rescale:
        return {}
    return {name: float(torch.linalg.vector_norm(weights[name].detach(), dtype=torch.float64)) / found.norms[name] for name in names}


def _demand_layers(spec: Prior, weights: Mapping[str, Any], where: str) -> None:
    """Raises PipelineError where `layers` names one that the student has not."""
    absent = [layer for layer in spec.layers or () if not any(f"layers.{layer}." in f".{name}" for name in weights)]
    if absent:
        raise PipelineError(f"{where}.layers: the student has no layer {absent[0]}; they count from 0")


def _demand_all(spec: Prior, names: Sequence[str], found: Delta, where: str) -> None:
    """Raises PipelineError where one of `modules` bends nothing: it would be trained as if it were not there."""
    for given in spec.modules:
        if any(spec.matches(given, name) for name in names):
            continue
        if frozen := [name for name in found.names if spec.matches(given, name)]:
            raise PipelineError(
                f"{where}.modules: {given!r} bends nothing, because {frozen[0]!r} and its like are not trained; with lora, adapters have to "
                f"lie beside them: leave {given!r} out, or change train.student.lora.targets"
            )
        raise PipelineError(f"{where}.modules: {given!r} bends nothing: {next(_reasons(spec.matches, given, found))}")


def _reasons(matches: Callable[[str, str], bool], given: str, found: Delta) -> Iterator[str]:
    """Why no tensor of a group has a difference, the first reason first."""
    for names, why in (
        (found.missing, "the expert has no {!r}; take an expert of the student's family"),
        (found.mismatched, "the expert's {!r} is of another vocabulary; leave it out"),
        (found.skipped, "the difference of {!r} is 0 or not finite; take another expert"),
    ):
        yield from (why.format(name) for name in names if matches(given, name))
    yield "the student has no such tensor; look at its names"


def _line(spec: Prior, names: Sequence[str], found: Delta, *, adapted: bool) -> str:
    """What is bent, in a sentence."""
    how = "projected onto the adapters (an extension of cotforge's own)" if adapted else f"by the rule {spec.rule}"
    left = [name for name in found.names if name not in {*names}]
    frozen = f"; {len(left):,} are not trained (such as {left[0]})" if left else ""
    return f"{len(names):,} tensors are bent towards {spec.expert}, {how}, alpha {spec.alpha:g}; {found.line()}{frozen}"
