"""Models merged into a folder that is a student like any other: the student's own files, in which the merged weights are replaced.

Each file is read and written in turn, tensor by tensor and in pieces; the names, types and shards stay those of the student's files.
"""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch

from cotforge.errors import PipelineError
from cotforge.plan import Merge
from cotforge.plan.kinds.merge import OF_DIFFERENCES, MergeInput
from cotforge.plan.modules import PATTERN, choose_modules, layer_of
from cotforge.train.students.loaded_student import BESIDE, part_of_name
from cotforge.train.weights import methods
from cotforge.train.weights.checkpoint import KINDS
from cotforge.train.weights.names import VOCABULARY
from cotforge.train.weights.sides import InFiles, demand_unfused

Mix = Callable[[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]], torch.Tensor]
"""The merged piece, of the student's, the base's and the models' pieces."""


class WholeModel(InFiles):
    """A student's or text model's weights: those of its decoder by their names below it, all others by their names in the files."""

    def __init__(self, folder: Path, key: str) -> None:
        super().__init__(folder, key)
        self.decoder = frozenset(self.names)
        taken = set(self.names.values())
        self.names |= {name: name for name in self.files.entries if name not in taken and name not in self.names}

    def wanted(self, modules: Sequence[str]) -> list[str]:
        """The weights that `modules` means."""
        in_decoder = choose_modules(modules)
        outside = choose_modules([each for each in modules if each.startswith(PATTERN)])
        return [
            name
            for name in self.names
            if (
                in_decoder(name)
                if name in self.decoder
                else outside(name) or (part_of_name(name) != "language" and part_of_name(name) in modules)
            )
        ]


@dataclass(frozen=True)
class Merged:
    """What was merged."""

    weights: int
    """How many of the student's weights are of several models."""
    distance: float
    """Of the merged weights from the student's, as a share of the student's norm."""


class Merger:
    """A merge of models in folders, known by the keys that name them. Raises PipelineError where they do not fit together."""

    def __init__(self, stage: Merge, student: Path, models: Mapping[str, Path]) -> None:
        self.stage = stage
        where = f"stage {stage.name!r}: "
        self.student = WholeModel(student, f"{where}from")
        self.base = WholeModel(models["base"], f"{where}base") if "base" in models else self.student
        keys = [f"models[{place}].model" for place in range(len(stage.models))]
        self.models = [WholeModel(models[key], where + key) for key in keys]
        self.left: dict[str, list[str]] = {}
        """Weights in which a model does not count, by why."""
        self.plan = self._plan_weights()
        """By the name of a weight, the places of the models that it is made of."""
        counted = {place for places in self.plan.values() for place in places}
        for place, key in enumerate(keys):
            if place not in counted:
                self._demand_something(self.models[place], where + key)
        for model in (self.student, self.base, *self.models):
            model.demand_floats(self.plan)

    def _plan_weights(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for name in self.student.wanted(self.stage.modules):
            shape = self.student.shape(name)
            assert shape is not None
            counted = zip(self.stage.models, self.models, strict=True)
            places = [
                place for place, (given, model) in enumerate(counted) if _is_within(given, name) and self._fits_shape(model, name, shape)
            ]
            if places and (self.base is self.student or self._fits_shape(self.base, name, shape)):
                found[name] = places
        return found

    def _fits_shape(self, model: WholeModel, name: str, shape: tuple[int, ...]) -> bool:
        """Whether a model has a weight of that shape; what has other rows for tokens is left as the student has it."""
        there = model.shape(name)
        if there == shape:
            return True
        if there is None or (name in VOCABULARY and there[1:] == shape[1:]):
            self.left.setdefault(f"{model.files.key} lacks" if there is None else f"{model.files.key} has of other sizes", []).append(name)
            return False
        raise PipelineError(
            f"{model.files.key}: its weight {name!r} is of shape {list(there)}, and the student's of {list(shape)}; take one of its family"
        )

    def _demand_something(self, model: WholeModel, key: str) -> None:
        given = self.stage.models[self.models.index(model)]
        known = {layer for name in self.student.names if (layer := layer_of(name)) is not None}
        if absent := [layer for layer in given.layers or () if layer not in known]:
            raise PipelineError(f"{key.removesuffix('.model')}.layers: the student has no layer {absent[0]}; they count from 0")
        demand_unfused(model, [name for name in self.student.wanted(self.stage.modules) if model.shape(name) is None], key)
        raise PipelineError(
            f"{key}: none of its weights, such as {next(iter(model.names))!r}, is merged: they have other names than the student's, "
            f"such as {next(iter(self.student.names))!r}, or modules and layers leave them out"
        )

    def line(self) -> str:
        """What will be merged, in a sentence."""
        told = [f"{reason} {len(names):,} of them (such as {names[0]})" for reason, names in self.left.items()]
        return "; ".join([f"{len(self.plan):,} of {len(self.student.names):,} weights are merged, the others are the student's", *told])

    def write(self, folder: Path, tell: Callable[[int], object] = bool) -> Merged:
        """Fill a folder with the merged student; `tell` is told of weights that are over. Raises PipelineError where one is not finite."""
        squares = [(0.0, 0.0)]
        for file in self.student.files.headers:
            squares += self._write_file(file, folder / file.name, tell)
        for beside in self.student.files.folder.iterdir():
            wanted = beside.suffix in BESIDE and not beside.name.startswith("adapter_")
            if wanted and not (folder / beside.name).exists():
                shutil.copyfile(beside, folder / beside.name)
        changed, whole = (math.fsum(each) for each in zip(*squares, strict=True))
        return Merged(len(self.plan), math.sqrt(changed / max(whole, 1e-30)))

    def _write_file(self, file: Path, to: Path, tell: Callable[[int], object]) -> Iterator[tuple[float, float]]:
        """The sums of squares of each merged piece's change, and of what was there before."""
        names = {called: name for name, called in self.student.names.items()}
        header = self.student.files.headers[file]
        with to.open("wb") as out:
            out.write(header.raw)
            for called, entry in header.entries.items():
                out.seek(entry.start)
                if (name := names[called]) not in self.plan:
                    for raw in self.student.files.raw(called):
                        out.write(raw)
                for before, piece in self._merged_pieces(name) if name in self.plan else ():
                    out.write(self._stored_bytes(piece, name, entry.kind))
                    change = piece - before
                    yield float(change @ change), float(before @ before)
                tell(1)

    def _stored_bytes(self, piece: torch.Tensor, name: str, kind: str) -> memoryview:
        held = piece.to(KINDS[kind]).contiguous()
        if not all(map(math.isfinite, torch.aminmax(held.float()))):
            raise PipelineError(f"stage {self.stage.name!r}: the merged weight {name!r} is not finite in {kind}; lower weight or lambda")
        return memoryview(held.view(torch.uint8).numpy())

    def _merged_pieces(self, name: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The student's and the merged pieces of a weight, in turn."""
        places = self.plan[name]
        mix = self._choose_mix(name, places)
        both = [self.student] if self.base is self.student else [self.student, self.base]
        for pieces in zip(*(model.pieces(name) for model in (*both, *(self.models[place] for place in places))), strict=True):
            student, base = pieces[0], pieces[len(both) - 1]
            yield student, mix(student, base, pieces[len(both) :])

    def _choose_mix(self, name: str, places: Sequence[int]) -> Mix:
        """How the pieces of a weight are merged, in their order."""
        stage, given = self.stage, [self.stage.models[place] for place in places]
        weights = [each.weight for each in given]
        if stage.method in OF_DIFFERENCES:
            return self._mix_of_differences(name, places, weights)
        if stage.method == "layer_swap":
            return lambda student, base, models: methods.swap_layers(student, models[0], weights[0])
        if stage.method == "slerp":
            first, second = self._slerp_factors(name, places[0], weights[0])
            return lambda student, base, models: first * base + second * models[0]
        return lambda student, base, models: methods.merge_linear(models, weights, normalize=stage.normalizes)

    def _mix_of_differences(self, name: str, places: Sequence[int], weights: Sequence[float]) -> Mix:
        stage = self.stage
        sparse = [self._sparsifier(name, place) for place in places]
        agreeing = stage.method in ("ties", "dare_ties")
        combine = methods.add_agreeing if agreeing else methods.add_differences

        def mix(student: torch.Tensor, base: torch.Tensor, models: Sequence[torch.Tensor]) -> torch.Tensor:
            deltas = [keep(model - base) for keep, model in zip(sparse, models, strict=True)]
            return combine(base, deltas, weights, normalize=stage.normalizes, factor=stage.lambda_)

        return mix

    def _sparsifier(self, name: str, place: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """What keeps a share of a model's difference, given piece by piece."""
        density, method = self.stage.models[place].density, self.stage.method
        if density == 1 or method == "task_arithmetic":
            return lambda delta: delta
        if method == "ties":
            shape = self.student.shape(name)
            assert shape is not None
            kept = max(1, int(density * math.prod(shape)))  # mergekit's rounding; it refuses to keep none
            return methods.find_largest(partial(self._model_differences, name, self.models[place]), kept).keep
        said = f"{self.stage.seed} {place} {name}".encode()
        draws = torch.Generator().manual_seed(int.from_bytes(sha256(said).digest()[:7], "big"))
        return partial(methods.drop_random, density=density, draws=draws, rescale=self.stage.rescale)

    def _model_differences(self, name: str, model: WholeModel) -> Iterator[torch.Tensor]:
        for theirs, ours in zip(model.pieces(name), self.base.pieces(name), strict=True):
            yield theirs - ours

    def _slerp_factors(self, name: str, place: int, t: float) -> tuple[float, float]:
        """By what the base's weight and the model's are multiplied."""
        dot, first, second = [0.0], [0.0], [0.0]
        for theirs, ours in zip(self.models[place].pieces(name), self.base.pieces(name), strict=True):
            dot.append(float(theirs @ ours))
            first.append(float(ours @ ours))
            second.append(float(theirs @ theirs))
        return methods.slerp_factors(t, math.fsum(dot), math.sqrt(math.fsum(first)), math.sqrt(math.fsum(second)))


def _is_within(given: MergeInput, name: str) -> bool:
    return given.layers is None or layer_of(name) in given.layers
