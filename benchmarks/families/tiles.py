"""Families that cut a picture into tiles by its shape."""

from collections.abc import Iterable
from pathlib import Path

import transformers as hf

from benchmarks.families.parts import clip, head, patches, seen, siglip, square, template
from cotforge.train.students.mends import mended_class
from cotforge.train.students.tiny import IMAGE, TinySize, make_tokenizer, save_student, text_config


def llava_next(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A LLaVA-NeXT of CLIP and Qwen2: tiles by the picture's shape."""
    words = make_tokenizer(texts, size, {"image_token": IMAGE})
    grid = _grid(size)
    picture = hf.LlavaNextImageProcessorPil(size={"shortest_edge": size.side}, crop_size=square(size), image_grid_pinpoints=grid)
    processor = hf.LlavaNextProcessor(
        picture, words, patch_size=size.patch, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        image_token=IMAGE, chat_template=template(IMAGE),
    )  # fmt: skip
    config = hf.LlavaNextConfig(
        vision_config=clip(size), text_config=hf.Qwen2Config(**text_config(size, words)), image_grid_pinpoints=grid,
        image_token_index=words.convert_tokens_to_ids(IMAGE), vision_feature_layer=-1, tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.LlavaNextForConditionalGeneration, config, processor, size)


def llava_onevision(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A LLaVA-OneVision of SigLIP and Qwen2: tiles for a single picture, none for several."""
    words = make_tokenizer(texts, size, {"image_token": IMAGE, "video_token": "<video>"})
    grid = _grid(size)
    picture = hf.LlavaOnevisionImageProcessorPil(size=square(size), image_grid_pinpoints=grid)
    processor = mended_class(hf.LlavaOnevisionProcessor)(
        picture, words, num_image_tokens=seen(size), vision_feature_select_strategy="full",
        chat_template=template(IMAGE),
    )  # fmt: skip
    config = hf.LlavaOnevisionConfig(
        vision_config=siglip(size), text_config=hf.Qwen2Config(**text_config(size, words)), image_grid_pinpoints=grid,
        image_token_index=words.convert_tokens_to_ids(IMAGE), video_token_index=words.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1, vision_feature_select_strategy="full", tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.LlavaOnevisionForConditionalGeneration, config, processor, size)


def internvl(folder: Path, texts: Iterable[str], size: TinySize, *, tiles: bool = False) -> Path:
    """An InternVL of its own tower and Qwen2, a tile for a picture, or several by its shape."""
    named = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>",
    }  # fmt: skip
    words = make_tokenizer(texts, size, named)
    length = seen(size, 4)
    picture = hf.GotOcr2ImageProcessorPil(size=square(size), crop_to_patches=tiles, min_patches=1, max_patches=4 if tiles else 1)
    processor = mended_class(hf.InternVLProcessor)(picture, words, image_seq_length=length, chat_template=template("<IMG_CONTEXT>\n"))
    config = hf.InternVLConfig(
        vision_config=size.shape | {"image_size": [size.side] * 2, "patch_size": [size.patch] * 2},
        text_config=hf.Qwen2Config(**text_config(size, words)), image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=length, tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.InternVLForConditionalGeneration, config, processor, size)


def internvl_tiles(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """An InternVL that sees a picture in tiles."""
    return internvl(folder, texts, size, tiles=True)


def smolvlm(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """A SmolVLM of SigLIP and Llama, whose pictures are split."""
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    named = {
        "image_token": IMAGE, "fake_image_token": "<fake_token_around_image>", "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>", "video_token": "<video>", **{tile: tile for tile in tiles},
    }  # fmt: skip
    words = make_tokenizer(texts, size, named)
    picture = hf.SmolVLMImageProcessorPil(
        size={"longest_edge": 2 * size.side}, max_image_size={"longest_edge": size.side}, do_image_splitting=True
    )
    processor = mended_class(hf.SmolVLMProcessor)(picture, words, None, image_seq_len=seen(size, 4), chat_template=template(IMAGE))
    config = hf.SmolVLMConfig(
        vision_config=patches(size),
        text_config=hf.LlamaConfig(**text_config(size, words)).to_dict(), image_token_id=words.convert_tokens_to_ids(IMAGE),
        scale_factor=2, pad_token_id=words.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.SmolVLMForConditionalGeneration, config, processor, size)


def aya(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """An Aya-Vision of SigLIP and Cohere2, in tiles."""
    named = {
        "image_token": IMAGE, "start": "<|START_OF_IMG|>", "end": "<|END_OF_IMG|>", "patch": "<|IMG_PATCH|>", "line": "<|IMG_LINE_BREAK|>",
        "tile": "TILE", "tile_global": "TILE_GLOBAL",
    }  # fmt: skip
    words = make_tokenizer(texts, size, named)
    picture = hf.GotOcr2ImageProcessorPil(size=square(size), crop_to_patches=True, min_patches=1, max_patches=4)
    processor = hf.AyaVisionProcessor(
        picture, words, patch_size=size.patch, img_size=size.side, downsample_factor=2, chat_template=template(IMAGE)
    )
    config = hf.AyaVisionConfig(
        vision_config=siglip(size), image_token_index=words.convert_tokens_to_ids("<|IMG_PATCH|>"), tie_word_embeddings=False,
        text_config=hf.Cohere2Config(**text_config(size, words), head_dim=head(size), sliding_window=64),
    )  # fmt: skip
    return save_student(folder, hf.AyaVisionForConditionalGeneration, config, processor, size)


def ovis2(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """An Ovis2, whose pictures are words of a visual vocabulary."""
    indicators = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    words = make_tokenizer(texts, size, {"image_token": IMAGE, "atom": "<IMG_ATOM>", **{text: text for text in indicators}})
    picture = hf.Ovis2ImageProcessorPil(size=square(size), crop_to_patches=True, max_patches=4)
    processor = mended_class(hf.Ovis2Processor)(picture, words, image_seq_length=seen(size), chat_template=template(IMAGE))
    config = hf.Ovis2Config(
        vision_config=size.shape | {"image_size": size.side, "patch_size": size.patch, "vocab_size": 64},
        text_config=hf.Qwen2Config(**text_config(size, words)), image_token_id=words.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=words.convert_tokens_to_ids(indicators), vocab_size=len(words), hidden_size=size.width,
        tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.Ovis2ForConditionalGeneration, config, processor, size)


def lfm2_vl(folder: Path, texts: Iterable[str], size: TinySize) -> Path:
    """An LFM2-VL of SigLIP2 and LFM2; its image processor needs torchvision."""
    named = {
        "image_token": IMAGE, "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>", **{f"t{r}{c}": f"<|img_row_{r}_col_{c}|>" for r in (1, 2) for c in (1, 2)},
    }  # fmt: skip
    words = make_tokenizer(texts, size, named)
    picture = hf.Lfm2VlImageProcessor(
        tile_size=size.side,
        encoder_patch_size=size.patch,
        min_tiles=2,
        max_tiles=2,
        min_image_tokens=1,
        max_image_tokens=4,
    )
    processor = hf.Lfm2VlProcessor(picture, words, chat_template=template(IMAGE))
    config = hf.Lfm2VlConfig(
        vision_config=hf.Siglip2VisionConfig(**size.shape, patch_size=size.patch, num_patches=16, vision_use_head=False),
        text_config=hf.Lfm2Config(**text_config(size, words), layer_types=["conv", "full_attention"]),
        image_token_id=words.convert_tokens_to_ids(IMAGE), projector_hidden_size=2 * size.width, tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, hf.Lfm2VlForConditionalGeneration, config, processor, size)


def _grid(size: TinySize) -> list[list[int]]:
    """The shapes that tiles may be laid in: two beside or above each other."""
    return [[size.side, 2 * size.side], [2 * size.side, size.side]]
