"""`train.student.tiny`: a student of random weights, its tokens those of the run's own texts, so that any data can be rehearsed offline."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Literal

from cotforge.atomic import replace_folder
from cotforge.errors import PipelineError
from cotforge.train.data.lessons import Lessons
from cotforge.train.students import tiny

Family = Literal["llava", "idefics3", "qwen"]

MAKERS = {"llava": tiny.make_llava, "idefics3": tiny.make_idefics3, "qwen": tiny.make_qwen}
SIZE = tiny.TinySize(heads=4, vocabulary=1536, context=4096, phrases=True, scaled=True)
"""Of pictures it sees 32 x 32 pixels in 16 patches; what the demo found good for 8 x 8, with room for longer texts."""
TEXTS = 2_000
"""Lessons, evenly spread, whose texts its tokens come from: more take minutes and hardly change them."""
RECIPE = 1
"""Changes with what is made of the same inputs."""


def make_newborn(folder: Path, texts: Iterable[str], size: tiny.TinySize = SIZE, *, family: Family = "llava") -> Path:
    """A student in `folder`, replaced as a whole; the same texts and size give the same bytes."""
    with replace_folder(folder) as passing:
        MAKERS[family](passing, texts, size)
    return folder


def of_run(train: Path, data: Sequence[Lessons], *, family: Family) -> Path:
    """The student in `tiny` of a run's folder `train`, made anew where the family or the data it is to learn have changed.

    Raises PipelineError where there are no texts.
    """
    folder, known = train / "tiny", train / "tiny.json"
    inputs = {"family": family, "data": [lessons.digest for lessons in data], "size": vars(SIZE), "recipe": RECIPE}
    key = sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    with suppress(OSError, ValueError):
        if json.loads(known.read_text(encoding="utf-8"))["key"] == key and (folder / "config.json").is_file():
            return folder
    texts = [text for lessons in data for text in texts_of(lessons)]
    if not texts:
        raise PipelineError("train.student.tiny: there is no lesson to make a tokenizer of; cotforge build makes them")
    known.unlink(missing_ok=True)
    make_newborn(folder, texts, family=family)
    known.write_text(json.dumps(inputs | {"key": key}, indent=1), encoding="utf-8")
    return folder


def texts_of(lessons: Lessons, most: int = TEXTS) -> Iterator[str]:
    """The prompts and completions of at most so many rows, evenly spread."""
    step = max(1, -(-len(lessons) // most))
    for place, row in enumerate(lessons.rows(["prompt", "completion"])):
        if place % step == 0:
            yield from (row[part][-1]["content"] for part in ("prompt", "completion"))
