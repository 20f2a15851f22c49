"""How much there is to learn, by a sample: the longest lessons and some spread over all, as the student's processor makes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nlargest
from statistics import fmean
from typing import Any

from cotforge.train.data.learnable import text_of
from cotforge.train.data.lesson_records import processed_prompt
from cotforge.train.data.lessons import Lessons

SAMPLE = 16
"""Lessons with the most letters, and as many spread over all, whose tokens are counted: half a second of a processor's work."""


@dataclass(frozen=True)
class Extent:
    """What a stage learns from, by its sizes."""

    count: int
    longest: int
    """Tokens of the longest lesson of the sample, pictures included."""
    mean: float
    """Tokens of a lesson in the mean."""
    patches: int
    """Vision tokens of a lesson's pictures, before they are merged, at most."""
    pictures: float = 0.0
    """Bytes of a lesson's prepared pictures in float32, in the mean."""


def extent_of(lessons: Lessons, processor: Any, *, texts: tuple[str, ...], patch: int) -> Extent | None:
    """By the columns that hold what is learned (none for rollouts); None where no lesson of the sample can be made.

    `patch` is the side of a vision token in pixels.
    """
    rows = lessons.seen(["images", "prompt", *texts])
    lengths = list(_lesson_letters(lessons, texts))
    step = max(1, len(lengths) // SAMPLE)
    spread = range(0, len(lengths), step)
    made = {
        place: found
        for place in {*nlargest(SAMPLE, range(len(lengths)), lengths.__getitem__), *spread}
        if (found := _measure_lesson(rows, place, processor, texts, patch))
    }
    if not made:
        return None
    evenly = [made[place] for place in spread if place in made] or [*made.values()]
    return Extent(
        len(lengths),
        max(tokens for tokens, _, _ in made.values()),
        fmean(tokens for tokens, _, _ in evenly),
        max(patches for _, patches, _ in made.values()),
        fmean(pictures for _, _, pictures in evenly),
    )


def _lesson_letters(lessons: Lessons, texts: tuple[str, ...]) -> Iterator[int]:
    for row in lessons.rows(["prompt", *texts]):
        yield len(text_of(row["prompt"])) + max((len(text_of(row[name])) for name in texts), default=0)


def _measure_lesson(rows: Any, place: int, processor: Any, texts: tuple[str, ...], patch: int) -> tuple[int, int, float] | None:
    """Tokens, patches, and bytes of the pictures of one lesson."""
    try:
        row = rows[place]
        prompt = {"images": row["images"], "prompt": row["prompt"]}
        made = [processed_prompt(prompt | ({"completion": row[name]} if name else {}), processor) for name in texts or ("",)]
        shown = made[0][0]
        spoken = [text.get("completion", "") for _, text in made]
        said = max(len(processor.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in spoken)
    except Exception:  # of any kind: a stage leaves such a lesson out, and says why
        return None
    pictures = shown.get("pixel_values")
    size = 0.0 if pictures is None else float(pictures.numel() * 4)
    return int(shown["input_ids"].shape[-1]) + said, _count_patches(shown, patch), size


def _count_patches(shown: Any, patch: int) -> int:
    pictures = shown.get("pixel_values")
    if (grid := shown.get("image_grid_thw")) is not None:
        return int(grid.prod(-1).sum())
    if pictures is None or pictures.ndim < 4:
        return 0 if pictures is None else int(pictures.shape[0])
    high, wide = pictures.shape[-2:]
    return int(pictures.numel() // (3 * high * wide) * -(-high // patch) * -(-wide // patch))
