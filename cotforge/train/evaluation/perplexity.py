"""How surprising a text is to a student as the answer to a question, in the very tokens that it would be trained on."""

import inspect
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from cotforge.train.data.lesson_records import Making, Record
from cotforge.train.data.prepared import collate_lessons


def completion_perplexities(model: Any, processor: Any, lessons: Iterable[Record]) -> Iterator[float]:
    """exp(-1/T sum log p) over the T tokens of each lesson's completion and its end, one lesson at a time.

    A lesson has `images`, `prompt` and `completion`, as those that are learned.
    """
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    for lesson in lessons:
        tokens, pictures, _ = Making((), processor).make(lesson)
        said = len(tokens["completion"])
        batch = collate_lessons([(tokens, pictures)], processor.tokenizer.pad_token_id or 0)
        wanted_T = batch.pop("labels")[0, -said:].to(model.device)
        inputs = {name: _place_value(value, model) for name, value in batch.items()}
        with torch.inference_mode():
            logits_TV = model(**inputs, **({"logits_to_keep": said + 1} if keeps else {})).logits[0, -said - 1 : -1].float()
        logps_T = torch.log_softmax(logits_TV, -1).gather(-1, wanted_T[:, None])
        yield math.exp(-logps_T.mean().item())


def _place_value(value: torch.Tensor, model: Any) -> torch.Tensor:
    """On the model's device, and of its type where it is a picture."""
    return value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)
