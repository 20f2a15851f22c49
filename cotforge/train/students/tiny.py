"""Vision-language models of a few hundred thousand weights, made offline in a second: for tests, `--smoke` and the demo.

Random weights, real classes, and a tokenizer of its own trained on the texts it will meet; saved like any other checkpoint.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2VLImageProcessorPil,
)

from cotforge.train.students.mends import mended_class

START, END, PAD, IMAGE = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CLAUSES = Regex(r"\d|</?\w+>|[^\d.,:;<>]+|[.,:;<>]")


@dataclass(frozen=True)
class TinySize:
    """How large a tiny model is."""

    width: int = 64
    """Of hidden states, in text and vision."""
    layers: int = 2
    heads: int = 2
    side: int = 32
    """Pixels of the square that pictures are brought to."""
    patch: int = 8
    """Pixels of a patch's side."""
    vocabulary: int = 1024
    """Tokens, at most."""
    context: int = 2048
    """Positions."""
    phrases: bool = False
    """Whether a token may span words, up to the end of a clause, so that texts made of few phrases are short; digits stay alone."""
    scaled: bool = False
    """Whether weights begin as large as layers so small need. The classes' own deviation of 0.02 suits layers of thousands: after 230 steps
    on the labels of 900 digits a student that began with it named 0.21 of others rightly, a scaled one 0.59."""
    seed: int = 0

    @property
    def shape(self) -> dict[str, int]:
        """What vision and text have in common."""
        return {
            "hidden_size": self.width, "intermediate_size": 2 * self.width, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
        }  # fmt: skip


SMALL = TinySize()


def make_llava(folder: Path, texts: Iterable[str], size: TinySize = SMALL) -> Path:
    """A LLaVA of CLIP and Qwen2 in `folder`; the same texts and size give the same bytes."""
    words = make_tokenizer(texts, size, {"image_token": IMAGE})
    square = {"height": size.side, "width": size.side}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size=square, crop_size=square, do_center_crop=False), words, patch_size=size.patch,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, image_token=IMAGE,
        chat_template=TEMPLATE.replace("IMAGE", IMAGE),
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**size.shape, image_size=size.side, patch_size=size.patch, projection_dim=size.width),
        text_config=Qwen2Config(**text_config(size, words)), image_token_index=words.convert_tokens_to_ids(IMAGE), vision_feature_layer=-1,
        tie_word_embeddings=False,
    )  # fmt: skip
    publish_names(save_student(folder, LlavaForConditionalGeneration, config, processor, size))
    return folder


def make_idefics3(folder: Path, texts: Iterable[str], size: TinySize = SMALL) -> Path:
    """An Idefics3 of SigLIP and Llama in `folder`."""
    named = {
        "image_token": IMAGE, "fake_image_token": "<fake_token_around_image>", "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>", "global_image_tag": "<global-img>", "boi_token": "<boi>",
    }  # fmt: skip
    words = make_tokenizer(texts, size, named)
    edge = {"longest_edge": size.side}
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False), words,
        image_seq_len=(size.side // size.patch) ** 2 // 4, chat_template=TEMPLATE.replace("IMAGE", IMAGE),
    )  # fmt: skip
    config = Idefics3Config(
        vision_config=size.shape | {"image_size": size.side, "patch_size": size.patch},
        text_config=LlamaConfig(**text_config(size, words)).to_dict(), image_token_id=words.convert_tokens_to_ids(IMAGE), scale_factor=2,
        pad_token_id=words.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, Idefics3ForConditionalGeneration, config, processor, size)


def make_qwen(folder: Path, texts: Iterable[str], size: TinySize = SMALL) -> Path:
    """A Qwen2.5-VL in `folder` that is used for pictures only: videos would need torchvision."""
    named = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "vision_start": "<|vision_start|>"}
    words = make_tokenizer(texts, size, named | {"vision_end": "<|vision_end|>"})
    token = {name: words.convert_tokens_to_ids(text) for name, text in named.items()}
    picture = Qwen2VLImageProcessorPil(
        patch_size=size.patch, size={"shortest_edge": (2 * size.patch) ** 2, "longest_edge": size.side**2}, merge_size=2
    )
    template = TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    patches = {"patch_size": size.patch, "temporal_patch_size": picture.temporal_patch_size, "merge_size": 2}
    processor = mended_class(Qwen2_5_VLProcessor)(picture, words, chat_template=template)
    processor.videos = {"video_processor_type": "Qwen2VLVideoProcessor", "size": dict(picture.size), **patches}
    head = size.width // size.heads // 2
    rope = {"rope_type": "default", "mrope_section": [head - 2 * (head // 3), head // 3, head // 3], "rope_theta": 10_000.0}
    config = Qwen2_5_VLConfig(
        vision_config={
            "hidden_size": size.width, "intermediate_size": 2 * size.width, "depth": size.layers, "num_heads": size.heads,
            "out_hidden_size": size.width, "patch_size": size.patch, "window_size": 4 * size.patch, "fullatt_block_indexes": [1],
        },
        text_config=text_config(size, words) | {"rope_parameters": rope}, image_token_id=token["image_token"],
        video_token_id=token["video_token"], vision_start_token_id=token["vision_start"],
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"), tie_word_embeddings=False,
    )  # fmt: skip
    return save_student(folder, Qwen2_5_VLForConditionalGeneration, config, processor, size)


def text_config(size: TinySize, words: Any) -> dict[str, Any]:
    return size.shape | {
        "vocab_size": len(words), "num_key_value_heads": 1, "max_position_embeddings": size.context, "bos_token_id": None,
        "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id, "tie_word_embeddings": False,
    }  # fmt: skip


def make_tokenizer(texts: Iterable[str], size: TinySize, named: dict[str, str]) -> Any:
    """Bytes, and what of them the texts have often; no text is unknown to it."""
    texts = list(texts)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not size.phrases)
    if size.phrases:
        texts += ["user\n", "assistant\n"] * len(texts)
        core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(_CLAUSES, "isolated"), core.pre_tokenizer])
    core.decoder = decoders.ByteLevel()
    special = list(dict.fromkeys([START, END, PAD, *named.values()]))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size.vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=PAD, padding_side="left", model_max_length=size.context,
        extra_special_tokens=named,
    )  # fmt: skip


def save_student(folder: Path, kind: Any, config: Any, processor: Any, size: TinySize) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(size.seed)
        model = kind(config)
        if size.scaled:
            scale_weights(model)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def publish_names(folder: Path) -> None:
    """Names a LLaVA's weights as published ones are, which vLLM looks for, and which transformers saves again once it has read them.

    Of a model that is new, transformers 5.23 saves the tower as `vision_tower.embeddings...`.
    """
    file = folder / "model.safetensors"
    named = {name.replace("vision_tower.", "vision_tower.vision_model.", 1): tensor for name, tensor in load_file(file).items()}
    save_file(named, file, metadata={"format": "pt"})


def scale_weights(model: Any) -> None:
    """Draw the weights of linear layers and patches so that what comes out is about as large as what goes in."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            torch.nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
