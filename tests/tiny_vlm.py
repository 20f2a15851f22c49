"""A vision-language model of a third of a million parameters, trained in seconds: a LLaVA of CLIP and Qwen2 that tells colours."""

import random
import re
import sys
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from cotforge.prompts import shipped_folder

torch.set_num_threads(1)  # so small a model only waits for more of them, and for long where other processes use them too

SAYINGS = {
    "red": "<think>Warm.</think>\n<answer>red</answer>",
    "green": "<think>Leaves and grass.</think>\n<answer>green</answer>",
    "blue": "<think>The sea, and the sky above it.</think>\n<answer>blue</answer>",
    "white": "<think>Snow, or paper, or nothing at all to be seen.</think>\n<answer>white</answer>",
}
"""What it says about a picture of one colour (of several, about the first); a token per letter, and one more for its end."""

CONTEXT = 2048
SIDE, PATCH = 28, 14
START, END, PAD, IMAGE = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build(folder: Path, *, steps: int = 140) -> Path:
    """Writes the trained model with its tokenizer, processor and chat template into `folder`."""
    torch.manual_seed(0)
    words = _tokenizer()
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"height": SIDE, "width": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_center_crop=False),
        words, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=TEMPLATE,
        image_token=IMAGE,
    )  # fmt: skip
    model = _model(words)
    _train(model, processor, steps)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """A token for each common word of prompts, fewer letters for others; it calls `<think>` special, as some do."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = [START, END, PAD, IMAGE, "<think>", "</think>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1200, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator([*SAYINGS.values(), *_prompts()] * 2, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=PAD, model_max_length=CONTEXT, extra_special_tokens={"image_token": IMAGE}
    )


def _prompts() -> list[str]:
    """The texts of prompts as they are without a language of the reasoning."""
    optional = re.compile(r"\{% if reasoning_language is defined %\}.*?\{% endif %\}\n{0,2}", re.DOTALL)
    return [optional.sub("", file.read_text()) for file in sorted(shipped_folder("prompts").glob("*/solve.jinja"))]


def _model(words: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = Qwen2Config(
        **small, vocab_size=len(words), num_key_value_heads=1, max_position_embeddings=CONTEXT, bos_token_id=None,
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    vision = CLIPVisionConfig(**small, image_size=SIDE, patch_size=PATCH, projection_dim=64)
    image = words.convert_tokens_to_ids(IMAGE)
    return LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=image, vision_feature_layer=-1, tie_word_embeddings=False)
    )


def _train(model: LlavaForConditionalGeneration, processor: LlavaProcessor, steps: int, rows: int = 8) -> None:
    draw = random.Random(0)
    words = processor.tokenizer
    seen = {
        colour: processor.image_processor(Image.new("RGB", (SIDE, SIDE), colour), return_tensors="pt")["pixel_values"] for colour in SAYINGS
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    image = IMAGE * (SIDE // PATCH) ** 2
    vocabulary = " ".join(_prompts()).split()
    for _ in range(steps):
        colours = draw.choices(list(SAYINGS), k=rows)
        longest = draw.choice([5, 40, 160])
        asked = [" ".join(draw.choices(vocabulary, k=draw.randint(1, longest))) for _ in colours]
        prompts = words(
            [f"{START}user\n{image}{text}{END}\n{START}assistant\n" for text in asked],
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
        answers = words([SAYINGS[colour] + END for colour in colours], padding=True, padding_side="right", return_tensors="pt")
        mask = torch.cat([prompts["attention_mask"], answers["attention_mask"]], 1)
        labels = torch.cat(
            [torch.full_like(prompts["input_ids"], -100), answers["input_ids"].masked_fill(answers["attention_mask"] == 0, -100)], 1
        )
        loss = model(
            input_ids=torch.cat([prompts["input_ids"], answers["input_ids"]], 1), attention_mask=mask, labels=labels,
            pixel_values=torch.cat([seen[colour] for colour in colours]),
        ).loss  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
