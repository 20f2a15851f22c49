"""One lesson as a student's own processor makes it, or why it cannot be learned; done in the loader's workers."""

from dataclasses import dataclass
from itertools import starmap
from typing import Any, NamedTuple

import torch

from cotforge.train.data.learnable import Learnable, processor_refusal, text_of
from cotforge.train.trl_seam import apply_chat_template, prepare_multimodal_messages

MARKS = ("token_type_ids", "mm_token_type_ids")
"""What some processors say of each token."""
ACROSS = "cross_attention_mask"
"""Which pictures each token sees, where a model looks at them by attention across (Mllama)."""
TEXTUAL = {"input_ids", "attention_mask", ACROSS, *MARKS}

Record = dict[str, Any]
"""Tensors by name."""


class Unlearnable(NamedTuple):
    """Why a lesson is left out."""

    reason: str
    text: str = ""
    """The text that did not come out right, where the chat template may be the cause; else empty."""


@dataclass(frozen=True)
class Making:
    """Lessons made on demand; goes to the loader's workers."""

    rows: Any
    """A `datasets.Dataset` of images, prompt and completion."""
    processor: Any

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[Record, Record]:
        """(tokens, pictures) of a lesson, as TRL's own collator has its processor make them."""
        return self.make(self.rows[int(row)])[:2]

    def make(self, lesson: Record) -> tuple[Record, Record, str]:
        """The same from a lesson's row, and its prompt as it was rendered."""
        shown, text = processed_prompt(lesson, self.processor)
        said = self.processor(text=[text["completion"]], return_tensors="pt", add_special_tokens=False)
        tokens = {"prompt": shown["input_ids"][0].int(), "completion": said["input_ids"][0].int()}
        for name in MARKS:
            if name in shown:
                after = said[name][0] if name == "token_type_ids" else torch.zeros_like(said["input_ids"][0])
                tokens[name] = torch.cat([shown[name][0], after]).to(torch.int8)
        if ACROSS in shown:  # what is said sees what the end of the prompt sees
            seen = shown[ACROSS][0]
            tokens[ACROSS] = torch.cat([seen, seen[-1:].expand(len(tokens["completion"]), *seen.shape[1:])]).to(torch.int8)
        return tokens, {name: value for name, value in shown.items() if name not in TEXTUAL}, text["prompt"]


def processed_prompt(lesson: Record, processor: Any) -> tuple[Any, dict[str, str]]:
    """A lesson's prompt with its pictures as the processor makes it; and the texts of prompt and, where it has one, completion."""
    images = lesson["images"]
    spoken = {"prompt": prepare_multimodal_messages(lesson["prompt"], images=images)}
    if "completion" in lesson:
        spoken["completion"] = prepare_multimodal_messages(lesson["completion"])
    text = apply_chat_template(spoken, processor)
    shown = processor(images=[images] if images else None, text=[text["prompt"]], return_tensors="pt", add_special_tokens=False)
    return shown, text


@dataclass(frozen=True)
class CheckedLesson:
    """Lessons made for the first time, or why they cannot be learned; goes to the loader's workers."""

    making: Making
    learnable: Learnable | None

    def __len__(self) -> int:
        return len(self.making)

    def __getitem__(self, row: int) -> tuple[Record, Record] | Unlearnable:
        try:
            lesson = self.making.rows[int(row)]
            wanted = text_of(lesson["completion"])
            if self.learnable is not None:
                named = {"prompt": text_of(lesson["prompt"]), "completion": wanted}
                if fault := next(filter(None, starmap(self.learnable.control_fault, named.items())), ""):
                    return Unlearnable(fault)
            if not lesson["images"] and ACROSS in self.making.processor.model_input_names:
                return Unlearnable("it has no picture, which a student that looks at pictures by attention across cannot do without")
            tokens, pictures, prompt = self.making.make(lesson)
        except Exception as error:
            return Unlearnable(processor_refusal(error))
        if self.learnable is not None and (fault := self.learnable.text_fault(wanted, prompt, tokens["completion"].tolist())):
            return Unlearnable(fault, wanted)
        return tokens, pictures
