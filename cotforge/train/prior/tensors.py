"""The decoder's tensors that are bent: trained themselves or by the adapters beside them, whole or in parts that processes hold (FSDP2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer

from cotforge.train.weights.names import HEAD, decoder_weights

ADAPTER = "default"
"""How peft calls the only adapters that a student has."""


@dataclass(frozen=True)
class Trained:
    """A tensor that is trained itself."""

    name: str
    """Below the decoder."""
    weight: Any

    @property
    def weights(self) -> tuple[Any, ...]:
        """What the optimizer changes."""
        return (self.weight,)

    def differences(self, difference: torch.Tensor) -> list[torch.Tensor]:
        """The difference of the tensor, float32 on its device; of the part that this process holds."""
        return [part_of(difference, self.weight).to(local_part(self.weight).device, torch.float32)]

    def distance(self, expert: torch.Tensor) -> torch.Tensor:
        """Squared, to the expert's tensor, of the part that this process holds."""
        here = local_part(self.weight).detach().float()
        return (here - part_of(expert, self.weight).to(here.device)).square().sum(dtype=torch.float64)


@dataclass(frozen=True)
class Adapted:
    """A frozen matrix W of a linear layer with adapters A and B beside it: the layer computes with W + s B A.

    The gradients of A and B are s B'G and s G A' of the gradient G that the merged matrix would have. Where a difference D is taken off G,
    s B'D and s D A' are taken off those: the slope of <W + s B A, D> in A and B. A descent step along it moves the merged matrix, to the
    first order, by s^2 (B B'D + D A'A), whose product with D is never negative. G is never made, so norms and cosine are those of (A, B) as
    one vector.

    This is an extension of cotforge's own: the paper and its code train whole weights alone.
    """

    name: str
    layer: Any

    @property
    def weights(self) -> tuple[Any, ...]:
        """A [rank, in] and B [out, rank]."""
        return self.layer.lora_A[ADAPTER].weight, self.layer.lora_B[ADAPTER].weight

    def differences(self, difference: torch.Tensor) -> list[torch.Tensor]:
        """The difference of the merged matrix as directions of A and B; of the parts that this process holds."""
        a, b = self.weights
        scale = float(self.layer.scaling[ADAPTER])
        there = difference.to(local_part(a).device, torch.float32)
        a_whole, b_whole = whole_tensor(a).float(), whole_tensor(b).float()
        return [part_of(scale * b_whole.T @ there, a), part_of(scale * there @ a_whole.T, b)]

    def distance(self, expert: torch.Tensor) -> torch.Tensor:
        """Squared, of the merged matrix to the expert's, of the rows that this process holds."""
        a, b = self.weights
        base = self.layer.get_base_layer().weight
        here = local_part(base).detach().float()
        added = part_of(float(self.layer.scaling[ADAPTER]) * whole_tensor(b).float() @ whole_tensor(a).float(), base)
        return (here + added - part_of(expert, base).to(here.device)).square().sum(dtype=torch.float64)


Bent = Trained | Adapted


def language_weights(model: Any) -> dict[str, Any]:
    """The weights of a student's language part by their names below the decoder; a head that is tied is the embedding, and there once."""
    found = decoder_weights(model)
    head = getattr(model.get_output_embeddings(), "weight", None)
    return found if head is None or any(head is weight for weight in found.values()) else {**found, HEAD: head}


def find_tensor(model: Any, name: str) -> Bent | None:
    """A tensor of a student's language part by its name below the decoder; None where no optimizer changes it."""
    path, _, leaf = name.rpartition(".")
    module = model.get_output_embeddings() if name == HEAD else model.get_decoder().get_submodule(path)
    if isinstance(module, LoraLayer):
        return Adapted(name, module) if leaf == "weight" and ADAPTER in module.lora_A else None
    weight = getattr(module, leaf)
    return Trained(name, weight) if weight.requires_grad else None


def local_part(tensor: Any) -> torch.Tensor:
    """Of a tensor that is spread over processes, the part that this one holds; any other as it is."""
    found: torch.Tensor = getattr(tensor, "to_local", lambda: tensor)()
    return found


def whole_tensor(tensor: Any) -> torch.Tensor:
    """A tensor with the parts of all processes; they all ask for it at the same time."""
    found: torch.Tensor = getattr(tensor, "full_tensor", lambda: tensor)().detach()
    return found


def part_of(tensor: torch.Tensor, like: Any) -> torch.Tensor:
    """Of a whole tensor, the part that this process holds of one that is spread as `like` is."""
    for axis, size, place in _axis_splits(like):
        parts = tensor.chunk(size, axis)
        tensor = parts[place] if place < len(parts) else tensor.narrow(axis, 0, 0)
    return tensor


def sum_over_processes(totals: torch.Tensor, like: Any) -> torch.Tensor:
    """Sums over parts, summed over the processes that hold the parts of `like`."""
    for mesh, dimension, _ in _sharded_axes(like):
        torch.distributed.all_reduce(totals, group=mesh.get_group(dimension))
    return totals


def _sharded_axes(like: Any) -> Iterator[tuple[Any, int, int]]:
    """(mesh, its dimension, the tensor's axis) of each way in which a tensor is spread."""
    mesh = getattr(like, "device_mesh", None)
    for dimension, placement in enumerate(getattr(like, "placements", ())):
        if placement.is_shard():
            yield mesh, dimension, placement.dim


def _axis_splits(like: Any) -> Iterator[tuple[int, int, int]]:
    """(axis, number of parts, which of them is this process's) of each way in which a tensor is spread."""
    for mesh, dimension, axis in _sharded_axes(like):
        yield axis, mesh.size(dimension), mesh.get_local_rank(dimension)
