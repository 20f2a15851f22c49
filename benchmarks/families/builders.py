"""A builder for each family: a model of random weights in a folder, of the real classes, two layers, tens of thousands of weights.

Needs neither a network nor, but for the family that has no image processor without it, torchvision.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import transformers as hf

from benchmarks.families import towers
from cotforge.train.students import mends, tiny
from cotforge.train.students.tiny import IMAGE, TEMPLATE, Size, saved, text_config, tokenizer

SMALL = Size(width=32, side=32, patch=8, vocabulary=600, context=1024)
Builder = Callable[[Path, Iterable[str], Size], Path]


def template(image: str) -> str:
    """A chat template that writes `image` where a picture stands."""
    return TEMPLATE.replace("IMAGE", image)


def llava_next(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A LLaVA-NeXT of CLIP and Qwen2: tiles by the picture's shape."""
    words = tokenizer(texts, size, {"image_token": IMAGE})
    grid = _grid(size)
    picture = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": size.side}, crop_size={"height": size.side, "width": size.side}, image_grid_pinpoints=grid
    )
    processor = hf.LlavaNextProcessor(
        picture, words, patch_size=size.patch, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        image_token=IMAGE, chat_template=template(IMAGE),
    )  # fmt: skip
    config = hf.LlavaNextConfig(
        vision_config=towers.clip(size), text_config=hf.Qwen2Config(**text_config(size, words)), image_grid_pinpoints=grid,
        image_token_index=words.convert_tokens_to_ids(IMAGE), vision_feature_layer=-1, tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.LlavaNextForConditionalGeneration, config, processor, size)


def llava_onevision(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A LLaVA-OneVision of SigLIP and Qwen2: tiles for a single picture, none for several."""
    words = tokenizer(texts, size, {"image_token": IMAGE, "video_token": "<video>"})
    grid = _grid(size)
    picture = hf.LlavaOnevisionImageProcessorPil(size={"height": size.side, "width": size.side}, image_grid_pinpoints=grid)
    processor = mends.mended(hf.LlavaOnevisionProcessor)(
        picture, words, num_image_tokens=(size.side // size.patch) ** 2, vision_feature_select_strategy="full",
        chat_template=template(IMAGE),
    )  # fmt: skip
    config = hf.LlavaOnevisionConfig(
        vision_config=towers.siglip(size), text_config=hf.Qwen2Config(**text_config(size, words)), image_grid_pinpoints=grid,
        image_token_index=words.convert_tokens_to_ids(IMAGE), video_token_index=words.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1, vision_feature_select_strategy="full", tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.LlavaOnevisionForConditionalGeneration, config, processor, size)


def qwen2_vl(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A Qwen2-VL, for pictures alone."""
    words, ids = _qwen_words(texts, size)
    config = hf.Qwen2VLConfig(
        vision_config={"depth": size.layers, "embed_dim": size.width, "num_heads": size.heads, "hidden_size": size.width,
                       "patch_size": size.patch, "mlp_ratio": 2},
        text_config=text_config(size, words) | {"rope_parameters": _mrope(size)}, tie_word_embeddings=False, **ids,
    )  # fmt: skip
    return saved(folder, hf.Qwen2VLForConditionalGeneration, config, _qwen(hf.Qwen2VLProcessor, words, size), size)


def qwen3_vl(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A Qwen3-VL, for pictures alone."""
    words, ids = _qwen_words(texts, size)
    config = hf.Qwen3VLConfig(
        vision_config=_qwen3_vision(size) | {"deepstack_visual_indexes": [0]},
        text_config=text_config(size, words) | {"head_dim": size.width // size.heads, "rope_parameters": _mrope(size)},
        tie_word_embeddings=False, **ids,
    )  # fmt: skip
    return saved(folder, hf.Qwen3VLForConditionalGeneration, config, _qwen(hf.Qwen3VLProcessor, words, size), size)


def qwen3_5(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A Qwen3.5 of a layer of linear attention and one of full attention, for pictures alone."""
    words, ids = _qwen_words(texts, size)
    head = size.width // size.heads
    linear = {"linear_key_head_dim": head, "linear_value_head_dim": head, "linear_num_key_heads": 1, "linear_num_value_heads": size.heads}
    config = hf.Qwen3_5Config(
        vision_config=_qwen3_vision(size),
        text_config=text_config(size, words) | linear | {
            "head_dim": head, "layer_types": ["linear_attention", "full_attention"],
            "rope_parameters": _mrope(size) | {"partial_rotary_factor": 1.0},
        },
        tie_word_embeddings=False, **ids,
    )  # fmt: skip
    return saved(folder, hf.Qwen3_5ForConditionalGeneration, config, _qwen(hf.Qwen3VLProcessor, words, size), size)


def glm4v(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A GLM-4V, for pictures alone."""
    named = {
        "image_token": "<|image|>", "video_token": "<|video|>", "image_start": "<|begin_of_image|>", "image_end": "<|end_of_image|>",
        "video_start": "<|begin_of_video|>", "video_end": "<|end_of_video|>",
    }  # fmt: skip
    words = tokenizer(texts, size, named)
    picture = hf.Glm4vImageProcessorPil(patch_size=size.patch, size=_area(size), merge_size=2)
    processor = mends.mended(hf.Glm4vProcessor)(
        picture, words, chat_template=template("<|begin_of_image|><|image|><|end_of_image|>")
    )
    config = hf.Glm4vConfig(
        vision_config={
            "depth": size.layers, "hidden_size": size.width, "num_heads": size.heads, "image_size": size.side, "patch_size": size.patch,
            "out_hidden_size": size.width, "intermediate_size": 2 * size.width,
        },
        text_config=text_config(size, words) | {"rope_parameters": _mrope(size) | {"partial_rotary_factor": 1.0}},
        tie_word_embeddings=False, **{f"{name.removesuffix('_token')}_token_id": words.convert_tokens_to_ids(text) for name, text in named.items()},
    )  # fmt: skip
    return saved(folder, hf.Glm4vForConditionalGeneration, config, processor, size)


def internvl(folder: Path, texts: Iterable[str], size: Size, *, tiles: bool = False) -> Path:
    """An InternVL of its own tower and Qwen2, a tile for a picture, or several by its shape."""
    named = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>",
    }  # fmt: skip
    words = tokenizer(texts, size, named)
    length = (size.side // size.patch) ** 2 // 4
    picture = hf.GotOcr2ImageProcessorPil(
        size={"height": size.side, "width": size.side}, crop_to_patches=tiles, min_patches=1, max_patches=4 if tiles else 1
    )
    processor = mends.mended(hf.InternVLProcessor)(
        picture, words, image_seq_length=length, chat_template=template("<IMG_CONTEXT>\n")
    )
    config = hf.InternVLConfig(
        vision_config=size.shape | {"image_size": [size.side] * 2, "patch_size": [size.patch] * 2},
        text_config=hf.Qwen2Config(**text_config(size, words)), image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=length, tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.InternVLForConditionalGeneration, config, processor, size)


def internvl_tiles(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """An InternVL that sees a picture in tiles."""
    return internvl(folder, texts, size, tiles=True)


def gemma3(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A Gemma3 of SigLIP and its own text model."""
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    words = tokenizer(texts, size, named)
    length = (size.side // size.patch) ** 2 // 4
    picture = hf.Gemma3ImageProcessorPil(size={"height": size.side, "width": size.side})
    processor = hf.Gemma3Processor(picture, words, chat_template=template("<start_of_image>"), image_seq_length=length)
    ids = {name: words.convert_tokens_to_ids(text) for name, text in named.items()}
    config = hf.Gemma3Config(
        text_config=text_config(size, words) | {"head_dim": size.width // size.heads, "sliding_window": 64},
        vision_config=towers.siglip(size), mm_tokens_per_image=length, boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"], image_token_index=ids["image_token"], tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.Gemma3ForConditionalGeneration, config, processor, size)


def _area(size: Size) -> dict[str, int]:
    return {"shortest_edge": (2 * size.patch) ** 2, "longest_edge": size.side**2}


def _grid(size: Size) -> list[list[int]]:
    """The shapes that tiles may be laid in: two beside or above each other."""
    return [[size.side, 2 * size.side], [2 * size.side, size.side]]


def _mrope(size: Size) -> dict[str, Any]:
    head = size.width // size.heads // 2
    return {"rope_type": "default", "mrope_section": [head - 2 * (head // 3), head // 3, head // 3], "rope_theta": 10_000.0}


def _qwen_words(texts: Iterable[str], size: Size) -> tuple[Any, dict[str, int]]:
    named = {"image": "<|image_pad|>", "video": "<|video_pad|>", "vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    words = tokenizer(texts, size, {f"{name}_token": text for name, text in named.items()})
    return words, {f"{name}_token_id": words.convert_tokens_to_ids(text) for name, text in named.items()}


def _qwen(stock: type, words: Any, size: Size) -> Any:
    picture = hf.Qwen2VLImageProcessorPil(patch_size=size.patch, size=_area(size), merge_size=2)
    return mends.mended(stock)(picture, words, chat_template=template("<|vision_start|><|image_pad|><|vision_end|>"))


def _qwen3_vision(size: Size) -> dict[str, Any]:
    return {
        "depth": size.layers, "hidden_size": size.width, "num_heads": size.heads, "intermediate_size": 2 * size.width,
        "patch_size": size.patch, "out_hidden_size": size.width, "num_position_embeddings": 64,
    }  # fmt: skip


FAMILIES: Mapping[str, Builder] = {
    "LLaVA": tiny.llava,
    "LLaVA-NeXT": llava_next,
    "LLaVA-OneVision": llava_onevision,
    "Qwen2-VL": qwen2_vl,
    "Qwen2.5-VL": tiny.qwen,
    "Qwen3-VL": qwen3_vl,
    "Qwen3.5": qwen3_5,
    "GLM-4V": glm4v,
    "InternVL": internvl,
    "InternVL, tiles": internvl_tiles,
    "Gemma3": gemma3,
}
