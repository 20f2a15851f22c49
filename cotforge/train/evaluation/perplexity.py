"""How surprising a text is to a student as the answer to a question, in the very tokens that it would be trained on."""

import inspect
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from cotforge.teachers.local.engine import opened
from cotforge.train.data.making import Making
from cotforge.train.data.prepared import collate
from cotforge.train.evaluation.askers import Question


def perplexities(model: Any, processor: Any, texts: Sequence[tuple[Question, str]]) -> Iterator[float]:
    """exp(-1/T sum log p) over the T tokens of each text and its end, one text at a time. Raises Fault where a picture cannot be read."""
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    for question, text in texts:
        tokens, pictures, _ = Making((), processor).make(_lesson(question, text))
        said = len(tokens["completion"])
        batch = collate([(tokens, pictures)], processor.tokenizer.pad_token_id or 0)
        wanted = batch.pop("labels")[0, -said:].to(model.device)
        inputs = {name: _placed(value, model) for name, value in batch.items()}
        with torch.inference_mode():
            logits_TV = model(**inputs, **({"logits_to_keep": said + 1} if keeps else {})).logits[0, -said - 1 : -1].float()
        logps_T = torch.log_softmax(logits_TV, -1).gather(-1, wanted[:, None])
        yield math.exp(-logps_T.mean().item())


def _placed(value: torch.Tensor, model: Any) -> torch.Tensor:
    """On the model's device, and of its type where it is a picture."""
    return value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)


def _lesson(question: Question, text: str) -> dict[str, Any]:
    asked = "\n".join(part["text"] for message in question.messages for part in message["content"] if part["type"] == "text")
    return {
        "images": [opened(picture.file or picture.load(), picture.digest) for picture in question.sample.pictures],
        "prompt": [{"role": "user", "content": asked}],
        "completion": [{"role": "assistant", "content": text}],
    }
