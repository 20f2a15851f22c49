"""Adapters in one of several processes that hold a part each, bent as whole ones are. Run by tests/test_train_prior_processes.py."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import distribute_tensor

from cotforge.plan import Lora, Prior, Student
from cotforge.train.prior.gradient import GradientPrior
from cotforge.train.students import loaded_student

NAMES = ("layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight", "layers.1.mlp.down_proj.weight")


def drawn(shape: Any, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def model_of(begin: Path) -> Any:
    """A student whose adapters all differ from zero: of three rows, so that two processes hold one more and one fewer."""
    model = loaded_student.load_pupil(Student(model=str(begin), lora=Lora(rank=3)), begin).model
    for seed, weight in enumerate(weight for weight in model.parameters() if weight.requires_grad):
        weight.data = drawn(weight.shape, seed)
    return model


def bent(model: Any, mesh: Any = None) -> tuple[dict[str, float], list[torch.Tensor]]:
    """What is measured, and the gradients in full, after given ones were bent."""
    decoder = model.get_decoder()
    differences = {name: drawn(decoder.get_submodule(name[:-7]).weight.shape, seed) for seed, name in enumerate(NAMES)}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if mesh is not None:
        for layer in decoder.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
    for seed, weight in enumerate(trained):
        whole = drawn(weight.shape, 100 + seed)
        weight.grad = whole if mesh is None else distribute_tensor(whole, mesh, weight.placements)
    prior = GradientPrior(Prior(expert="e"), NAMES, differences, differences.__getitem__)
    prior.bend(model)
    found = prior.metrics(model, 0)
    return found, [weight.grad if mesh is None else weight.grad.full_tensor() for weight in trained]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    before, whole = bent(model_of(Path(sys.argv[1])))
    after, split = bent(model_of(Path(sys.argv[1])), init_device_mesh("cpu", (2,)))
    torch.testing.assert_close(split, whole, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-6)
    assert len(after) == 3
    torch.distributed.destroy_process_group()
