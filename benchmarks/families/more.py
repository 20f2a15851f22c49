from collections.abc import Iterable
from pathlib import Path
from typing import Any

import transformers as hf

from benchmarks.families import towers
from benchmarks.families.builders import template
from cotforge.train.students import pixtral as ours
from cotforge.train.students import mends
from cotforge.train.students.tiny import IMAGE, Size, saved, text_config, tokenizer


def smolvlm(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A SmolVLM of SigLIP and Llama, whose pictures are split."""
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    named = {
        "image_token": IMAGE, "fake_image_token": "<fake_token_around_image>", "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>", "video_token": "<video>", **{tile: tile for tile in tiles},
    }  # fmt: skip
    words = tokenizer(texts, size, named)
    picture = hf.SmolVLMImageProcessorPil(
        size={"longest_edge": 2 * size.side}, max_image_size={"longest_edge": size.side}, do_image_splitting=True
    )
    processor = mends.mended(hf.SmolVLMProcessor)(
        picture, words, None, image_seq_len=(size.side // size.patch) ** 2 // 4, chat_template=template(IMAGE)
    )
    config = hf.SmolVLMConfig(
        vision_config=size.shape | {"image_size": size.side, "patch_size": size.patch},
        text_config=hf.LlamaConfig(**text_config(size, words)).to_dict(), image_token_id=words.convert_tokens_to_ids(IMAGE),
        scale_factor=2, pad_token_id=words.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.SmolVLMForConditionalGeneration, config, processor, size)


def idefics2(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """An Idefics2 of SigLIP, a perceiver and Mistral."""
    named = {
        "image_token": IMAGE, "image_boundary_token": "<fake_token_around_image>", "end_of_utterance_token": "<end_of_utterance>",
    }  # fmt: skip
    words = tokenizer(texts, size, named)
    picture = hf.Idefics2ImageProcessorPil(size={"shortest_edge": size.side // 2, "longest_edge": size.side}, do_image_splitting=False)
    processor = hf.Idefics2Processor(picture, words, image_seq_len=4, chat_template=template(IMAGE))
    config = hf.Idefics2Config(
        vision_config=size.shape | {"image_size": size.side, "patch_size": size.patch},
        perceiver_config={
            "hidden_size": size.width, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": size.heads,
            "resampler_head_dim": size.width // size.heads, "num_key_value_heads": 1,
        },
        text_config=hf.MistralConfig(**text_config(size, words), head_dim=size.width // size.heads).to_dict(),
        image_token_id=words.convert_tokens_to_ids(IMAGE), tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.Idefics2ForConditionalGeneration, config, processor, size)


def paligemma(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A PaliGemma of SigLIP and Gemma."""
    words = tokenizer(texts, size, {"image_token": IMAGE})
    words.bos_token = tiny_start(words)
    picture = hf.SiglipImageProcessorPil(size={"height": size.side, "width": size.side})
    picture.image_seq_length = (size.side // size.patch) ** 2
    processor = hf.PaliGemmaProcessor(picture, words, chat_template=template(IMAGE))
    config = hf.PaliGemmaConfig(
        vision_config=towers.siglip(size).to_dict(),
        text_config=hf.GemmaConfig(**text_config(size, words), head_dim=size.width // size.heads).to_dict(),
        image_token_index=words.convert_tokens_to_ids(IMAGE), projection_dim=size.width, hidden_size=size.width, tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.PaliGemmaForConditionalGeneration, config, processor, size)


def tiny_start(words: Any) -> str:
    return "<|im_start|>"


def mllama(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """An Mllama, which reads pictures by cross attention."""
    words = tokenizer(texts, size, {"image_token": IMAGE})
    words.bos_token = tiny_start(words)
    picture = hf.MllamaImageProcessorPil(size={"height": size.side, "width": size.side}, max_image_tiles=4)
    processor = hf.MllamaProcessor(picture, words, chat_template=template(IMAGE))
    shape = size.shape
    vision = {
        "hidden_size": size.width, "intermediate_size": 2 * size.width, "num_hidden_layers": size.layers, "num_global_layers": 1,
        "attention_heads": size.heads, "image_size": size.side, "patch_size": size.patch, "vision_output_dim": 2 * size.width,
        "intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
    }  # fmt: skip
    config = hf.MllamaConfig(
        vision_config=vision, image_token_index=words.convert_tokens_to_ids(IMAGE),
        text_config=text_config(size, words) | {"bos_token_id": words.bos_token_id, "cross_attention_layers": [1], "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    )  # fmt: skip
    return saved(folder, hf.MllamaForConditionalGeneration, config, processor, size)


def _pixtral_words(texts: Iterable[str], size: Size) -> Any:
    return tokenizer(texts, size, {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"})


def _pixtral_vision(size: Size) -> Any:
    return hf.PixtralVisionConfig(**size.shape, image_size=size.side, patch_size=size.patch)


def mistral3(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A Mistral3 of Pixtral's tower and Mistral; patches are merged by four."""
    words = _pixtral_words(texts, size)
    picture = hf.PixtralImageProcessorPil(size={"longest_edge": size.side}, patch_size={"height": size.patch, "width": size.patch})
    processor = ours.PixtralProcessor(picture, words, patch_size=size.patch, spatial_merge_size=2, chat_template=template("[IMG]"))
    config = hf.Mistral3Config(
        vision_config=_pixtral_vision(size), text_config=hf.MistralConfig(**text_config(size, words), head_dim=size.width // size.heads),
        image_token_index=words.convert_tokens_to_ids("[IMG]"), spatial_merge_size=2, tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.Mistral3ForConditionalGeneration, config, processor, size)


def pixtral(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """A Pixtral: LLaVA's class with Pixtral's tower and Mistral."""
    words = _pixtral_words(texts, size)
    picture = hf.PixtralImageProcessorPil(size={"longest_edge": size.side}, patch_size={"height": size.patch, "width": size.patch})
    processor = ours.PixtralProcessor(picture, words, patch_size=size.patch, chat_template=template("[IMG]"))
    config = hf.LlavaConfig(
        vision_config=_pixtral_vision(size), text_config=hf.MistralConfig(**text_config(size, words), head_dim=size.width // size.heads),
        image_token_index=words.convert_tokens_to_ids("[IMG]"), vision_feature_layer=-1, vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.LlavaForConditionalGeneration, config, processor, size)


def aya(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """An Aya-Vision of SigLIP and Cohere2, in tiles."""
    named = {
        "image_token": IMAGE, "start": "<|START_OF_IMG|>", "end": "<|END_OF_IMG|>", "patch": "<|IMG_PATCH|>", "line": "<|IMG_LINE_BREAK|>",
        "tile": "TILE", "tile_global": "TILE_GLOBAL",
    }  # fmt: skip
    words = tokenizer(texts, size, named)
    picture = hf.GotOcr2ImageProcessorPil(
        size={"height": size.side, "width": size.side}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    processor = hf.AyaVisionProcessor(
        picture, words, patch_size=size.patch, img_size=size.side, downsample_factor=2, chat_template=template(IMAGE)
    )
    config = hf.AyaVisionConfig(
        vision_config=towers.siglip(size), image_token_index=words.convert_tokens_to_ids("<|IMG_PATCH|>"), tie_word_embeddings=False,
        text_config=hf.Cohere2Config(**text_config(size, words), head_dim=size.width // size.heads, sliding_window=64),
    )  # fmt: skip
    return saved(folder, hf.AyaVisionForConditionalGeneration, config, processor, size)


def ovis2(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """An Ovis2, whose pictures are words of a visual vocabulary."""
    indicators = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    words = tokenizer(texts, size, {"image_token": IMAGE, "atom": "<IMG_ATOM>", **{text: text for text in indicators}})
    picture = hf.Ovis2ImageProcessorPil(
        size={"height": size.side, "width": size.side}, crop_to_patches=True, max_patches=4
    )
    processor = mends.mended(hf.Ovis2Processor)(
        picture, words, image_seq_length=(size.side // size.patch) ** 2, chat_template=template(IMAGE)
    )
    config = hf.Ovis2Config(
        vision_config=size.shape | {"image_size": size.side, "patch_size": size.patch, "vocab_size": 64},
        text_config=hf.Qwen2Config(**text_config(size, words)), image_token_id=words.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=words.convert_tokens_to_ids(indicators), vocab_size=len(words), hidden_size=size.width,
        tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.Ovis2ForConditionalGeneration, config, processor, size)


def lfm2_vl(folder: Path, texts: Iterable[str], size: Size) -> Path:
    """An LFM2-VL of SigLIP2 and LFM2; its image processor needs torchvision."""
    named = {
        "image_token": IMAGE, "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>", **{f"t{r}{c}": f"<|img_row_{r}_col_{c}|>" for r in (1, 2) for c in (1, 2)},
    }  # fmt: skip
    words = tokenizer(texts, size, named)
    picture = hf.Lfm2VlImageProcessor(
        tile_size=size.side, encoder_patch_size=size.patch, min_tiles=2, max_tiles=2, min_image_tokens=1, max_image_tokens=4,
    )
    processor = hf.Lfm2VlProcessor(picture, words, chat_template=template(IMAGE))
    config = hf.Lfm2VlConfig(
        vision_config=hf.Siglip2VisionConfig(**size.shape, patch_size=size.patch, num_patches=16, vision_use_head=False),
        text_config=hf.Lfm2Config(**text_config(size, words), layer_types=["conv", "full_attention"]),
        image_token_id=words.convert_tokens_to_ids(IMAGE), projector_hidden_size=2 * size.width, tie_word_embeddings=False,
    )  # fmt: skip
    return saved(folder, hf.Lfm2VlForConditionalGeneration, config, processor, size)


MORE = {
    "SmolVLM": smolvlm, "Idefics2": idefics2, "PaliGemma": paligemma, "Mllama": mllama, "Mistral3": mistral3, "Pixtral": pixtral,
    "Aya-Vision": aya, "Ovis2": ovis2, "LFM2-VL": lfm2_vl,
}  # fmt: skip
