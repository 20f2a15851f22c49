"""How many tokens the longest prompts of a stage have, pictures included, without making every prompt."""

import io
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from PIL import Image

from cotforge.train.data.learnable import Learnable, processor_refusal, text_of
from cotforge.train.trl_seam import prepare_multimodal_messages

TRIED = 32
"""Prompts that are made whole, of each kind: the longest texts, the largest pictures, the widest or highest ones. No measured optimum."""


class Longest(NamedTuple):
    """Of a stage's prompts."""

    found: int
    """Tokens of the longest that was made whole."""
    bound: int
    """Tokens that none has more of: the longest text and the pictures with the most tokens, though they be of two prompts."""


@dataclass
class RolloutPrompts:
    """Sees every row once, in order, and tells afterwards which prompts are long."""

    learnable: Learnable
    _letters: "array[int]" = field(default_factory=lambda: array("q"))
    """Tokens of each row's text; -1 for one that is left out."""
    _pixels: "array[int]" = field(default_factory=lambda: array("q"))
    _pictures: "array[int]" = field(default_factory=lambda: array("q"))
    _stretch: "array[float]" = field(default_factory=lambda: array("d"))
    """The longer side over the shorter one, of the most stretched picture."""

    def faults(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        """The id of each row and why its prompt cannot be learned from; empty where it can."""

        @cache
        def count(text: str) -> int:
            return len(self.learnable.processor.tokenizer(text)["input_ids"])

        for row in rows:
            fault = self.learnable.prompt_fault(row)
            sizes = [] if fault else [*map(size_of, row["images"])]
            self._letters.append(-1 if fault else count(text_of(row["prompt"])))
            self._pictures.append(len(sizes))
            self._pixels.append(sum(width * height for width, height in sizes))
            self._stretch.append(max((max(size) / min(size) for size in sizes), default=0.0))
            yield str(row["id"]), fault

    def long(self) -> list[int]:
        """Rows, among those without a fault and counted as these are, whose prompts may be the longest."""
        sound = [row for row, count in enumerate(self._letters) if count >= 0]
        places: dict[int, None] = {}
        for size in (self._letters, self._pixels, self._stretch):
            sizes = [size[row] for row in sound]
            places |= dict.fromkeys(sorted(range(len(sound)), key=sizes.__getitem__, reverse=True)[:TRIED])
        return list(places)

    def longest(self, rows: Any) -> Longest:
        """Of `rows`, a dataset of those without a fault."""
        whole, texts, seen = 0, 0, 0
        for row in rows.select(self.long()):
            tokens = count_tokens(row, self.learnable.processor)
            text = len(self.learnable.processor.tokenizer(text_of(row["prompt"]))["input_ids"])
            whole, texts, seen = max(whole, tokens), max(texts, text), max(seen, tokens - text)
        return Longest(whole, max(whole, texts + seen))

    @property
    def most_pictures(self) -> int:
        """Of one prompt."""
        return max(self._pictures, default=0)

    def mixed_fault(self, rows: Any) -> str:
        """Why prompts without a picture cannot be among those with one; empty where they can, or there are none. In the first process."""
        sound = [count for count, letters in zip(self._pictures, self._letters, strict=True) if letters >= 0]
        if not sound or all(sound) or not any(sound):
            return ""
        chosen = [rows[sound.index(0)], rows[next(place for place, count in enumerate(sound) if count)]]
        asked = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in chosen]
        processor = self.learnable.processor
        try:
            texts = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
            processor(images=[row["images"] for row in chosen], text=texts, padding=True, return_tensors="pt")
        except Exception as fault:
            return f"{sound.count(0):,} of {len(sound):,} prompts have no picture; {processor_refusal(fault)} among prompts that have one"
        return ""


def size_of(cell: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of a picture as it stands in a row, by its header."""
    with Image.open(io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else cell["path"]) as picture:
        return picture.size


def count_tokens(row: Mapping[str, Any], processor: Any) -> int:
    """Of a row's prompt, pictures included."""
    asked = prepare_multimodal_messages(row["prompt"], images=row["images"])
    ids: Sequence[Any] = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
    return len(ids[0]) if ids and isinstance(ids[0], list) else len(ids)
