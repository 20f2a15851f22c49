"""Text models of the shape of a tiny student's language model, which it can be bent towards."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def expert(folder: Path, student: Path, *, seed: int = 1, kind: Any = None, **changes: Any) -> Path:
    """One of random weights, norms and biases too, with the student's tokenizer.

    `kind` is another class of configuration, `changes` are keys of the configuration.
    """
    config = AutoConfig.from_pretrained(student).get_text_config()
    for name, value in changes.items():
        setattr(config, name, value)
    if kind is not None:
        held = config.to_dict()
        keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
        config = kind(**{name: held[name] for name in keys}, pad_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            if weight.ndim == 1:  # norms and biases, which begin as ones and zeros
                weight.data += 0.02 * torch.randn(weight.shape)
    model.save_pretrained(folder)
    shutil.copyfile(student / "tokenizer.json", folder / "tokenizer.json")
    return folder
