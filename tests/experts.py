"""Text models beside a tiny student: of its decoder's shape and with its tokenizer, as a reasoning expert of a large one would be."""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config

from cotforge.train.weights.names import decoder_names
from cotforge.train.weights.sides import InFiles

SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
    "max_position_embeddings",
)  # fmt: skip


def text_model(
    folder: Path,
    student: Path,
    *,
    seed: int = 1,
    kind: torch.dtype = torch.float32,
    shard: str = "1GB",
    family: Any = Qwen2Config,
    **changed: Any,
) -> Path:
    """A model of that family of random weights, none of them 0, of the shape of a student's decoder but for what is `changed`."""
    like = AutoConfig.from_pretrained(student).get_text_config()
    config = family(**{name: getattr(like, name) for name in SIZES} | {"tie_word_embeddings": False} | changed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, mean=float(weight.ndim == 1), std=0.1)
    model.to(kind).save_pretrained(folder, max_shard_size=shard)
    shutil.copyfile(student / "tokenizer.json", folder / "tokenizer.json")
    return folder


def changed(folder: Path, to: Path, **weights: torch.Tensor | None) -> Path:
    """A copy of a text model of one file with other weights, by names below the decoder with `__` for a dot; None takes one away."""
    shutil.copytree(folder, to)
    held = load_file(to / "model.safetensors")
    called = decoder_names(held)
    for name, weight in weights.items():
        key = called.get(name.replace("__", "."), f"model.{name.replace('__', '.')}")
        held.pop(key, None)
        if weight is not None:
            held[key] = weight
    save_file(held, to / "model.safetensors", metadata={"format": "pt"})
    return to


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The language model's weights in a folder by their names below the decoder, in float32."""
    side = InFiles(folder, "test")
    return {name: side.files.tensor(called) for name, called in side.names.items()}
