"""Raw data to measure on: pictures like photographs in size, a table of rows, replies, a pipeline file."""

import io
import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

LABELS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
PHOTO_BYTES = 54 * 1024
WORDS = 150
"""Of reasoning, in each reply."""

_VOCABULARY = ("ka lo mi ren tas vel dor nim sul par " * 2).split()


@dataclass(frozen=True)
class Rows:
    """A table of rows and where its pictures lie."""

    table: Path
    pictures: tuple[Path, ...]

    @property
    def picture_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.pictures)


def rows(folder: Path, count: int, *, side: tuple[int, int] = (640, 480), size: int = PHOTO_BYTES) -> Rows:
    """`count` distinct JPEGs of about `size` bytes, and a `table` source (JSON lines) of them, all labelled awe."""
    (folder / "images").mkdir(parents=True)
    canvas = _canvas(2 * max(side))
    paths = tuple(folder / "images" / f"{number}.jpg" for number in range(count))
    quality = _quality(_crop(canvas, 0, side), size)

    def write(number: int) -> None:
        _crop(canvas, number, side).save(paths[number], quality=quality)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(count)))
    table = folder / "rows.jsonl"
    lines = (json.dumps({"id": str(number), "image": f"images/{number}.jpg", "label": "awe"}) for number in range(count))
    table.write_text("".join(f"{line}\n" for line in lines))
    return Rows(table, paths)


def reply(random: random.Random, answer: str = "awe") -> str:
    """A whole reply with `WORDS` words of reasoning, no two alike."""
    words = ("".join(random.choices(_VOCABULARY, k=random.randint(1, 3))) for _ in range(WORDS))
    return f"<think>It shows {' '.join(words)}.</think>\n<answer>{answer}</answer>"


def replies(path: Path, count: int, *, seed: int) -> Path:
    """A file for a `replay` teacher that is right on 85 % of `count` samples."""
    chance = random.Random(seed)
    with path.open("w") as file:
        for number in range(count):
            answer = "awe" if chance.random() < 0.85 else chance.choice(LABELS[2:])
            usage = {"prompt_tokens": 700, "completion_tokens": 210}
            file.write(json.dumps({"id": str(number), "content": reply(chance, answer), "usage": usage}) + "\n")
    return path


def pipeline(path: Path, table: Path, teachers: Sequence[dict[str, object]]) -> Path:
    """A pipeline file with the filters of a real one."""
    spec = {
        "name": "benchmark",
        "source": {"kind": "table", "path": str(table)},
        "task": {"kind": "classify", "question": "Which emotion does this image evoke most?", "labels": list(LABELS)},
        "teachers": list(teachers),
        "consensus": {"rule": "majority", "label": "vote"},
        "filters": [
            {"measure": "well_formed", "min": 1},
            {"measure": "reasoning_words", "min": 60, "max": 1200},
            {"measure": "repeated_ngrams", "with": {"n": 4}, "max": 0.2},
        ],
    }
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def _canvas(side: int) -> Image.Image:
    """Noise on many scales, as in photographs; crops of it at different places are different pictures."""
    chance = np.random.default_rng(0)
    total = np.zeros((side, side, 3))
    for cells in _scales(side):
        noise = Image.fromarray(chance.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        total += (np.asarray(noise, dtype=np.float64) - 128) * (8 / cells) ** 0.6
    return Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))


def _scales(side: int) -> Iterator[int]:
    cells = 8
    while cells <= side:
        yield cells
        cells *= 2


def _crop(canvas: Image.Image, number: int, side: tuple[int, int]) -> Image.Image:
    width, height = side
    wide, high = canvas.width - width, canvas.height - height
    y, x = divmod(number * 7919 % (wide * high), wide)  # 7919 is prime: no place comes twice
    return canvas.crop((x, y, x + width, y + height))


def _quality(image: Image.Image, size: int) -> int:
    """The JPEG quality at which this image comes nearest to `size` bytes."""

    def gap(quality: int) -> int:
        image.save(buffer := io.BytesIO(), format="JPEG", quality=quality)
        return abs(buffer.tell() - size)

    return min(range(20, 96), key=gap)
