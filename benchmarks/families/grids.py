"""Families that see a picture as it is, as a grid of patches: Qwen's and GLM's."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import transformers as hf

from benchmarks.families.parts import head, template
from cotforge.train.students.mends import mended_class
from cotforge.train.students.tiny import TinySize, make_tokenizer, save_student, text_config


def qwen2_vl(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A Qwen2-VL, for pictures alone."""
    words, ids = _qwen_words(texts, size)
    config = hf.Qwen2VLConfig(
        vision_config={"depth": size.layers, "embed_dim": size.width, "num_heads": size.heads, "hidden_size": size.width,
                       "patch_size": size.patch, "mlp_ratio": 2},
        text_config=text_config(size, words) | {"rope_parameters": _mrope(size)}, tie_word_embeddings=False, **ids,
    )  # fmt: skip
    return save_student(folder, hf.Qwen2VLForConditionalGeneration, config, _qwen(hf.Qwen2VLProcessor, words, size), size)


def qwen3_vl(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A Qwen3-VL, for pictures alone."""
    words, ids = _qwen_words(texts, size)
    config = hf.Qwen3VLConfig(
        vision_config=_qwen3_vision(size) | {"deepstack_visual_indexes": [0]},
        text_config=text_config(size, words) | {"head_dim": head(size), "rope_parameters": _mrope(size)},
        tie_word_embeddings=False, **ids,
    )  # fmt: skip
    return save_student(folder, hf.Qwen3VLForConditionalGeneration, config, _qwen(hf.Qwen3VLProcessor, words, size), size)


def qwen3_5(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A Qwen3.5 of a layer of linear attention and one of full attention, for pictures alone."""
    words, ids = _qwen_words(texts, size)
    linear = {f"linear_{part}_head_dim": head(size) for part in ("key", "value")}
    linear |= {"linear_num_key_heads": 1, "linear_num_value_heads": size.heads}
    config = hf.Qwen3_5Config(
        vision_config=_qwen3_vision(size),
        text_config=text_config(size, words) | linear | {
            "head_dim": head(size), "layer_types": ["linear_attention", "full_attention"],
            "rope_parameters": _mrope(size) | {"partial_rotary_factor": 1.0},
        },
        tie_word_embeddings=False, **ids,
    )  # fmt: skip
    return save_student(folder, hf.Qwen3_5ForConditionalGeneration, config, _qwen(hf.Qwen3VLProcessor, words, size), size)


def glm4v(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A GLM-4V, for pictures alone."""
    named = {
        "image_token": "<|image|>", "video_token": "<|video|>", "image_start": "<|begin_of_image|>", "image_end": "<|end_of_image|>",
        "video_start": "<|begin_of_video|>", "video_end": "<|end_of_video|>",
    }  # fmt: skip
    words = make_tokenizer(texts, size, named)
    picture = hf.Glm4vImageProcessorPil(patch_size=size.patch, size=_area(size), merge_size=2)
    processor = mended_class(hf.Glm4vProcessor)(picture, words, chat_template=template("<|begin_of_image|><|image|><|end_of_image|>"))
    ids = {f"{name.removesuffix('_token')}_token_id": words.convert_tokens_to_ids(text) for name, text in named.items()}
    config = hf.Glm4vConfig(
        vision_config={
            "depth": size.layers, "hidden_size": size.width, "num_heads": size.heads, "image_size": size.side, "patch_size": size.patch,
            "out_hidden_size": size.width, "intermediate_size": 2 * size.width,
        },
        text_config=text_config(size, words) | {"rope_parameters": _mrope(size) | {"partial_rotary_factor": 1.0}},
        tie_word_embeddings=False, **ids,
    )  # fmt: skip
    return save_student(folder, hf.Glm4vForConditionalGeneration, config, processor, size)


def _area(size: TinySize) -> dict[str, int]:
    return {"shortest_edge": (2 * size.patch) ** 2, "longest_edge": size.side**2}


def _mrope(size: TinySize) -> dict[str, Any]:
    """Positions in time, height and width, a third of half a head each."""
    half, third = head(size) // 2, head(size) // 6
    return {"rope_type": "default", "mrope_section": [half - 2 * third, third, third], "rope_theta": 10_000.0}


def _qwen_words(texts: Iterable[str], size: TinySize) -> tuple[Any, dict[str, int]]:
    named = {"image": "<|image_pad|>", "video": "<|video_pad|>", "vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    words = make_tokenizer(texts, size, {f"{name}_token": text for name, text in named.items()})
    return words, {f"{name}_token_id": words.convert_tokens_to_ids(text) for name, text in named.items()}


def _qwen(stock: type, words: Any, size: TinySize) -> Any:
    picture = hf.Qwen2VLImageProcessorPil(patch_size=size.patch, size=_area(size), merge_size=2)
    return mended_class(stock)(picture, words, chat_template=template("<|vision_start|><|image_pad|><|vision_end|>"))


def _qwen3_vision(size: TinySize) -> dict[str, Any]:
    return {
        "depth": size.layers, "hidden_size": size.width, "num_heads": size.heads, "intermediate_size": 2 * size.width,
        "patch_size": size.patch, "out_hidden_size": size.width, "num_position_embeddings": 64,
    }  # fmt: skip
