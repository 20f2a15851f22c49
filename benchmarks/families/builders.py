"""The builder of each family: a model of random weights in a folder, of the real classes, two layers, tens of thousands of weights.

None needs a network; torchvision only the one whose part for pictures transformers has for it alone (LFM2-VL).
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.families import grids, tiles, whole
from cotforge.train.students import tiny
from cotforge.train.students.tiny import TinySize

SMALL = TinySize(width=32, side=32, patch=8, vocabulary=600, context=1024)
Builder = Callable[[Path, Iterable[str], TinySize], Path]
"""Folder, texts for the tokenizer, and size to the folder."""

FAMILIES: Mapping[str, Builder] = {
    "LLaVA": tiny.make_llava,
    "LLaVA-NeXT": tiles.llava_next,
    "LLaVA-OneVision": tiles.llava_onevision,
    "Qwen2-VL": grids.qwen2_vl,
    "Qwen2.5-VL": tiny.make_qwen,
    "Qwen3-VL": grids.qwen3_vl,
    "Qwen3.5": grids.qwen3_5,
    "InternVL": tiles.internvl,
    "InternVL, tiles": tiles.internvl_tiles,
    "SmolVLM": tiles.smolvlm,
    "Idefics3": tiny.make_idefics3,
    "Idefics2": whole.idefics2,
    "Gemma3": whole.gemma3,
    "PaliGemma": whole.paligemma,
    "Mllama": whole.mllama,
    "Mistral3": whole.mistral3,
    "Pixtral": whole.pixtral,
    "LFM2-VL": tiles.lfm2_vl,
    "Aya-Vision": tiles.aya,
    "GLM-4V": grids.glm4v,
    "Ovis2": tiles.ovis2,
}
"""Those that `AutoModelForImageTextToText` of transformers 5.23 loads, and that were asked for; Phi-4-multimodal is not among them."""
