"""The prior of a stage: its expert found, compared with the student in memory, and held to what the stage trains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from cotforge.errors import PipelineError
from cotforge.plan import Prior, Sft
from cotforge.plan.modules import choose_modules, layer_of
from cotforge.train.prior.gradient import GradientPrior
from cotforge.train.prior.tensors import Adapted, find_tensor, language_weights
from cotforge.train.stage_run import StageRun, TrainingRun
from cotforge.train.students.loaded_student import Pupil, weights_fingerprint
from cotforge.train.weights.checkpoint import Checkpoint
from cotforge.train.weights.delta import Delta, make_delta
from cotforge.train.weights.names import HEAD, decoder_names, key_of
from cotforge.train.weights.sides import InFiles

EACH_PASS = (
    "prior: DeepSpeed shows no whole gradient: that of each forward pass on each GPU is bent by itself, as in the paper's code, and not "
    "their mean, as elsewhere"
)


def of_stage(stage: Sft, work: StageRun, pupil: Pupil) -> GradientPrior | None:
    """What the stage bends its gradients by; None where it has no `prior`. Tells which tensors are bent and which are not.

    Raises PipelineError where the expert does not fit the student, or a part of `modules` would bend nothing.
    """
    spec = stage.prior
    if spec is None:
        return None
    where = f"stage {stage.name!r}: prior"
    weights = language_weights(pupil.model)
    _demand_layers(spec, weights, where)
    folders = work.folders()
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    found = make_delta(
        folders["prior.expert"], folders.get("prior.base", weights), wanted=spec.wants, cache=work.cache, bias=spec.bias, like=shapes,
        student=work.begin, known_as=weights_fingerprint(work.begin), key=f"{where}.expert",
    )  # fmt: skip
    tensors = [bent for name in found.names if (bent := find_tensor(pupil.model, name)) is not None]
    names = [bent.name for bent in tensors]
    _demand_all(spec, names, found, where)
    scales = _difference_scales(spec, names, found, weights)
    work.record.say(f"prior: {_bent_line(spec, names, found, adapted=any(isinstance(bent, Adapted) for bent in tensors))}")
    expert = _expert_reader(InFiles(folders["prior.expert"], f"{where}.expert"), shapes)
    return GradientPrior(spec, names, found, expert, scales, where, work.record.say)


def demand_chosen(stage: Sft, training: TrainingRun) -> None:
    """Raises PipelineError where `layers` or `modules` of a prior choose none of the student's weights, by the names in its files."""
    if stage.prior is None:
        return
    where = f"stage {stage.name!r}: prior"
    names = decoder_names(Checkpoint(training.begin, key=where).entries)
    _demand_layers(stage.prior, names, where)
    for given in stage.prior.modules:
        if not any(map(choose_modules([given], stage.prior.layers), {*names, HEAD})):
            raise PipelineError(f"{where}.modules: {given!r} bends nothing: the student's language model has no tensor of such a name")


def _expert_reader(expert: InFiles, shapes: Mapping[str, Sequence[int]]) -> Callable[[str], torch.Tensor]:
    """A tensor of the expert's by its name below the decoder; a bias that it lacks counts as 0."""

    def read(name: str) -> torch.Tensor:
        key = key_of(expert.names, name)
        return torch.zeros(*shapes[name]) if key is None else expert.files.tensor(key)

    return read


def _difference_scales(spec: Prior, names: Sequence[str], found: Delta, weights: Mapping[str, Any]) -> dict[str, float]:
    """What makes each difference as long as its tensor: under the other rules its length is of no matter."""
    if spec.rule != "absolute" or not spec.rescale:
        return {}
    return {name: float(torch.linalg.vector_norm(weights[name].detach(), dtype=torch.float64)) / found.norms[name] for name in names}


def _demand_layers(spec: Prior, weights: Mapping[str, Any], where: str) -> None:
    """Raises PipelineError where `layers` names one that the student has not."""
    known = {layer_of(name) for name in weights}
    if absent := [layer for layer in spec.layers or () if layer not in known]:
        raise PipelineError(f"{where}.layers: the student has no layer {absent[0]}; they count from 0")


def _demand_all(spec: Prior, names: Sequence[str], found: Delta, where: str) -> None:
    """Raises PipelineError where one of `modules` bends nothing: it would be trained as if it were not there."""
    for given in spec.modules:
        meant = choose_modules([given], spec.layers)
        if any(map(meant, names)):
            continue
        begins = f"{where}.modules: {given!r} bends nothing"
        if frozen := next(filter(meant, found.names), None):
            raise PipelineError(
                f"{begins}: tensors such as {frozen!r} are not trained; leave {given!r} out, or, with lora, have adapters beside them "
                "(train.student.lora.targets)"
            )
        raise PipelineError(f"{begins}: {_why_none_matched(meant, found)}")


def _why_none_matched(meant: Callable[[str], bool], found: Delta) -> str:
    """Why no tensor of a kind has a difference."""
    for names, why in (
        (found.missing, "the expert has no {!r}; take an expert of the student's family"),
        (found.mismatched, "the expert's {!r} is of another vocabulary; leave it out"),
        (found.skipped, "the difference of {!r} is 0 or not finite; take another expert"),
    ):
        if (name := next(filter(meant, names), None)) is not None:
            return why.format(name)
    return "the student's language model has no tensor of such a name"


def _bent_line(spec: Prior, names: Sequence[str], found: Delta, *, adapted: bool) -> str:
    """What is bent, in a sentence."""
    how = "projected onto the adapters (an extension of cotforge's own)" if adapted else "in whole weights"
    left = [name for name in found.names if name not in {*names}]
    frozen = f"; {len(left):,} are not trained (such as {left[0]})" if left else ""
    return f"{len(names):,} tensors are bent towards {spec.expert} by {spec.rule}, alpha {spec.alpha:g}, {how}; {found.line()}{frozen}"
