"""Families that see a picture whole, brought to a size."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import transformers as hf

from benchmarks.families.parts import head, patches, seen, siglip, square, template
from cotforge.train.students.pixtral import PixtralProcessor
from cotforge.train.students.tiny import IMAGE, START, TinySize, make_tokenizer, save_student, text_config


def gemma3(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A Gemma3 of SigLIP and its own text model."""
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    words = make_tokenizer(texts, size, named)
    length = seen(size, 4)
    picture = hf.Gemma3ImageProcessorPil(size=square(size))
    processor = hf.Gemma3Processor(picture, words, chat_template=template("<start_of_image>"), image_seq_length=length)
    ids = {name: words.convert_tokens_to_ids(text) for name, text in named.items()}
    config = hf.Gemma3Config(
        text_config=text_config(size, words) | {"head_dim": head(size), "sliding_window": 64},
        vision_config=siglip(size), mm_tokens_per_image=length, boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"], image_token_index=ids["image_token"], tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.Gemma3ForConditionalGeneration, config, processor, size)


def idefics2(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """An Idefics2 of SigLIP, a perceiver and Mistral."""
    named = {
        "image_token": IMAGE, "image_boundary_token": "<fake_token_around_image>", "end_of_utterance_token": "<end_of_utterance>",
    }  # fmt: skip
    words = make_tokenizer(texts, size, named)
    picture = hf.Idefics2ImageProcessorPil(size={"shortest_edge": size.side // 2, "longest_edge": size.side}, do_image_splitting=False)
    processor = hf.Idefics2Processor(picture, words, image_seq_len=4, chat_template=template(IMAGE))
    config = hf.Idefics2Config(
        vision_config=patches(size),
        perceiver_config={
            "hidden_size": size.width, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": size.heads,
            "resampler_head_dim": head(size), "num_key_value_heads": 1,
        },
        text_config=hf.MistralConfig(**text_config(size, words), head_dim=head(size)).to_dict(),
        image_token_id=words.convert_tokens_to_ids(IMAGE), tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.Idefics2ForConditionalGeneration, config, processor, size)


def paligemma(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A PaliGemma of SigLIP and Gemma."""
    words = make_tokenizer(texts, size, {"image_token": IMAGE})
    words.bos_token = START
    picture = hf.SiglipImageProcessorPil(size=square(size))
    picture.image_seq_length = seen(size)
    processor = hf.PaliGemmaProcessor(picture, words, chat_template=template(IMAGE))
    config = hf.PaliGemmaConfig(
        vision_config=siglip(size).to_dict(),
        text_config=hf.GemmaConfig(**text_config(size, words), head_dim=head(size)).to_dict(),
        image_token_index=words.convert_tokens_to_ids(IMAGE), projection_dim=size.width, hidden_size=size.width, tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.PaliGemmaForConditionalGeneration, config, processor, size)


def mllama(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """An Mllama, which reads pictures by cross attention."""
    words = make_tokenizer(texts, size, {"image_token": IMAGE})
    words.bos_token = START
    picture = hf.MllamaImageProcessorPil(size=square(size), max_image_tiles=4)
    processor = hf.MllamaProcessor(picture, words, chat_template=template(IMAGE))
    vision = {
        "hidden_size": size.width, "intermediate_size": 2 * size.width, "num_hidden_layers": size.layers, "num_global_layers": 1,
        "attention_heads": size.heads, "image_size": size.side, "patch_size": size.patch, "vision_output_dim": 2 * size.width,
        "intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
    }  # fmt: skip
    config = hf.MllamaConfig(
        vision_config=vision, image_token_index=words.convert_tokens_to_ids(IMAGE),
        text_config=text_config(size, words) | {
            "bos_token_id": words.bos_token_id, "cross_attention_layers": [1],
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    )  # fmt: skip
    return save_student(folder, hf.MllamaForConditionalGeneration, config, processor, size)


def mistral3(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A Mistral3 of Pixtral's tower and Mistral; patches are merged by four."""
    words = _pixtral_words(texts, size)
    picture = hf.PixtralImageProcessorPil(size={"longest_edge": size.side}, patch_size={"height": size.patch, "width": size.patch})
    processor = PixtralProcessor(picture, words, patch_size=size.patch, spatial_merge_size=2, chat_template=template("[IMG]"))
    config = hf.Mistral3Config(
        vision_config=_pixtral_vision(size), text_config=hf.MistralConfig(**text_config(size, words), head_dim=head(size)),
        image_token_index=words.convert_tokens_to_ids("[IMG]"), spatial_merge_size=2, tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.Mistral3ForConditionalGeneration, config, processor, size)


def pixtral(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A Pixtral: LLaVA's class with Pixtral's tower and Mistral."""
    words = _pixtral_words(texts, size)
    picture = hf.PixtralImageProcessorPil(size={"longest_edge": size.side}, patch_size={"height": size.patch, "width": size.patch})
    processor = PixtralProcessor(picture, words, patch_size=size.patch, chat_template=template("[IMG]"))
    config = hf.LlavaConfig(
        vision_config=_pixtral_vision(size), text_config=hf.MistralConfig(**text_config(size, words), head_dim=head(size)),
        image_token_index=words.convert_tokens_to_ids("[IMG]"), vision_feature_layer=-1, vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.LlavaForConditionalGeneration, config, processor, size)


def _pixtral_words(texts: Iterable[str], size: TinySize) -> Any:
    return make_tokenizer(texts, size, {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"})


def _pixtral_vision(size: TinySize) -> Any:
    return hf.PixtralVisionConfig(**size.shape, image_size=size.side, patch_size=size.patch)
