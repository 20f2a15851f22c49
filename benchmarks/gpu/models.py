"""Students of random weights in the shapes of published ones, made on the GPU within seconds, with a tokenizer trained here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    LlavaConfig,
    Qwen2_5_VLConfig,
    Qwen2Config,
)

from benchmarks.cells import Figures
from benchmarks.train.ground import SENTENCE, SIDE
from cotforge.train.students import tiny
from cotforge.train.students.loaded_student import part_of_name

VOCABULARY = 151_936
CONTEXT = 4_096
LINEAR = "linear.json"
"""In a student's folder: weights of its linear layers by part, and the patches and tokens of a picture."""


@dataclass(frozen=True)
class Shape:
    """A student to be made."""

    title: str
    make: Callable[..., Path]
    """Of `cotforge.train.students.tiny`: processor, tokenizer and chat template, and a small model that a large one replaces."""
    pooled: int = 1
    """Patches of a picture to one of its tokens."""
    vision: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(default_factory=dict)
    """Without it the small model stays."""
    side: int = SIDE
    patch: int = 14


ONE = Shape(
    "LLaVA, 1B",
    tiny.make_llava,
    vision={"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "projection_dim": 768},
    text={
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "tie_word_embeddings": False,
    },
)  # fmt: skip
"""CLIP-L and Qwen2-0.5B, so about an InternVL3-1B or a LLaVA-OneVision-0.5B."""
THREE = Shape(
    "Qwen2.5-VL, 3B",
    tiny.make_qwen,
    pooled=4,
    vision={
        "hidden_size": 1280, "intermediate_size": 3420, "depth": 32, "num_heads": 16, "out_hidden_size": 2048, "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
    text={
        "hidden_size": 2048, "intermediate_size": 11_008, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1_000_000.0},
    },
)  # fmt: skip
"""The published one's numbers."""
SEVEN = replace(
    THREE,
    title="Qwen2.5-VL, 7B",
    vision={**THREE.vision, "out_hidden_size": 3584},
    text={
        **THREE.text, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "tie_word_embeddings": False,
    },
)  # fmt: skip
"""The published one's numbers; never made, only counted."""
TINY = Shape("LLaVA, tiny", tiny.make_llava, side=56)
"""For a CPU."""


def build(folder: Path, shape: Shape) -> Figures:
    """Writes a student into `folder`, its weights in bf16 where there is a GPU; millions of weights."""
    small = tiny.TinySize(width=32, side=shape.side, patch=shape.patch, vocabulary=600, context=CONTEXT)
    shape.make(folder, [f" {SENTENCE}"] * 4, small)
    if shape.text:
        _enlarge(folder, shape)
    return {"millions": _count(folder, shape) / 1e6}


def _enlarge(folder: Path, shape: Shape) -> None:
    """Puts a large model in the place of the small one, and fills its tokenizer up with words that no text holds."""
    config = config_of(folder, shape)
    gpu = torch.cuda.is_available()
    torch.manual_seed(0)
    with torch.device("cuda" if gpu else "cpu"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    said = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = said["eos_token_id"], said["pad_token_id"]
    model.save_pretrained(folder)
    if isinstance(config, LlavaConfig):
        tiny.publish_names(folder)
    file = folder / "tokenizer.json"
    words = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = words["model"]["vocab"]
    vocabulary |= {f"w{number}": number for number in range(len(vocabulary), VOCABULARY)}
    file.write_text(json.dumps(words), encoding="utf-8")


def config_of(folder: Path, shape: Shape) -> Any:
    """The large model's configuration, where the small one lies in `folder`."""
    small = AutoConfig.from_pretrained(folder)
    return _llava(small, shape) if isinstance(small, LlavaConfig) else _qwen(small, shape)


def _llava(small: Any, shape: Shape) -> Any:
    ends = {name: getattr(small.text_config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return LlavaConfig(
        vision_config=CLIPVisionConfig(**shape.vision, image_size=shape.side, patch_size=shape.patch),
        text_config=Qwen2Config(**shape.text, **ends, vocab_size=VOCABULARY, max_position_embeddings=CONTEXT),
        image_token_index=small.image_token_id, vision_feature_layer=-1, tie_word_embeddings=shape.text["tie_word_embeddings"],
    )  # fmt: skip


def _qwen(small: Any, shape: Shape) -> Any:
    ends = {name: getattr(small.text_config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    tokens = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return Qwen2_5_VLConfig(
        vision_config={**shape.vision, "patch_size": shape.patch},
        text_config={**shape.text, **ends, "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT},
        tie_word_embeddings=shape.text["tie_word_embeddings"], **{name: getattr(small, name) for name in tokens},
    )  # fmt: skip


def _count(folder: Path, shape: Shape) -> int:
    """All weights; how many of each part stand in linear layers is written down."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    linear = dict.fromkeys(("vision", "projector", "language"), 0)
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            linear[part_of_name(name)] += layer.weight.numel()
    patches = (shape.side // shape.patch) ** 2
    whole = {**linear, "patches": patches, "picture": patches // shape.pooled}
    (folder / LINEAR).write_text(json.dumps(whole), encoding="utf-8")
    return sum(weight.numel() for weight in model.parameters())


def flops(folder: Path, *, pictures: float, tokens: float) -> float:
    """Operations of a step, forward and back, in the products of linear layers alone: 6 for each weight and what passes it.

    Attention's own products are left out, and what activation checkpointing does twice counts once.
    """
    known = json.loads((folder / LINEAR).read_text(encoding="utf-8"))
    seen = known["vision"] * known["patches"] + known["projector"] * known["picture"]
    return 6 * float(known["language"] * tokens + seen * pictures)
