"""Checkpoints of random bfloat16 in the shape of a published model, a shard for each layer, without that model."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

BLOCK = 1 << 22
"""Numbers that are drawn; a weight is made of them again and again, from another place on and of another size each time."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a language model of the Qwen2 family; the defaults are those of Qwen2.5-7B."""

    layers: int = 28
    width: int = 3584
    inner: int = 18944
    attended: int = 3584
    keys: int = 512
    """Heads of keys and values times their width."""
    words: int = 152_064

    def of_layers(self, count: int) -> "Shape":
        """The same with so many layers, and a vocabulary of the same share of the whole."""
        return replace(self, layers=count, words=self.words * count // self.layers)

    def layer(self) -> dict[str, tuple[int, ...]]:
        """Shapes of one layer's weights."""
        wide, narrow = self.width, self.keys
        return {
            "self_attn.q_proj.weight": (self.attended, wide), "self_attn.q_proj.bias": (self.attended,),
            "self_attn.k_proj.weight": (narrow, wide), "self_attn.k_proj.bias": (narrow,),
            "self_attn.v_proj.weight": (narrow, wide), "self_attn.v_proj.bias": (narrow,),
            "self_attn.o_proj.weight": (wide, self.attended), "mlp.gate_proj.weight": (self.inner, wide),
            "mlp.up_proj.weight": (self.inner, wide), "mlp.down_proj.weight": (wide, self.inner),
            "input_layernorm.weight": (wide,), "post_attention_layernorm.weight": (wide,),
        }  # fmt: skip

    def shards(self, prefix: str) -> Iterator[dict[str, tuple[int, ...]]]:
        """Shapes by name, for each file."""
        for layer in range(self.layers):
            yield {f"{prefix}layers.{layer}.{name}": shape for name, shape in self.layer().items()}
        yield {f"{prefix}norm.weight": (self.width,), f"{prefix}embed_tokens.weight": (self.words, self.width)}
        yield {"lm_head.weight": (self.words, self.width)}


def write(folder: Path, shape: Shape, *, prefix: str, seed: int, holes: bool = False) -> int:
    """A checkpoint in `folder`; its size in bytes. With `holes` all numbers are 0 and take no room on the disk."""
    folder.mkdir(parents=True)
    draws = torch.Generator().manual_seed(seed)
    block = torch.randn(BLOCK, generator=draws) * shape.width**-0.5
    shards = list(shape.shards(prefix))
    names = [f"model-{place:05}-of-{len(shards):05}.safetensors" for place in range(1, len(shards) + 1)]
    weight_map = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
    whole = sum(_write(folder / file, shard, block, draws, holes) for file, shard in zip(names, shards, strict=True))
    about = {"metadata": {"total_size": whole}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(about))
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    return whole


def _write(file: Path, shard: dict[str, tuple[int, ...]], block: torch.Tensor, draws: torch.Generator, holes: bool) -> int:
    sizes = {name: 2 * torch.Size(shape).numel() for name, shape in shard.items()}
    header, end = dict[str, object](), 0
    for name, shape in shard.items():
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + sizes[name]]}
        end += sizes[name]
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with file.open("wb") as out:
        out.write(len(raw).to_bytes(8, "little") + raw)
        if holes:
            out.truncate(8 + len(raw) + end)
            return end
        for size in sizes.values():
            place = int(torch.randint(len(block), (), generator=draws))
            turned = (block.roll(place) * float(1 + torch.rand((), generator=draws))).bfloat16().view(torch.uint8).numpy()
            for first in range(0, size, len(turned)):
                out.write(turned[: size - first])
    return end
