"""Lessons as a student's own processor makes them, once: tokens always, pictures while they fit. No lesson is ever cut.

A lesson is two records in two files, each found by its place: its tokens, and what the processor made of its pictures.
"""

import gc
import os
import shutil
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch.utils.data import DataLoader
from trl.data_utils import apply_chat_template, prepare_multimodal_messages

from cotforge.errors import PipelineError
from cotforge.train import processors, ranks
from cotforge.train.lessons import Lessons

VERSION = "1"
MARKS = ("token_type_ids", "mm_token_type_ids")
"""What some processors say of each token."""
TEXTUAL = {"input_ids", "attention_mask", *MARKS}
SPELT = ("tokenizer.json", "processor_config.json", "preprocessor_config.json", "chat_template.jinja")
"""Files of a processor that decide what it makes."""
WORKERS = 8
ALONE = 256
"""Up to so many lessons, starting workers takes longer than they save (ours)."""

Record = dict[str, Any]
"""Tensors by name."""


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
        lesson = self.rows[int(row)]
        images = lesson["images"]
        spoken = {
            "prompt": prepare_multimodal_messages(lesson["prompt"], images=images),
            "completion": prepare_multimodal_messages(lesson["completion"]),
        }
        text = apply_chat_template(spoken, self.processor)
        asked = self.processor(images=[images] if images else None, text=[text["prompt"]], return_tensors="pt", add_special_tokens=False)
        said = self.processor(text=[text["completion"]], return_tensors="pt", add_special_tokens=False)
        tokens = {"prompt": asked["input_ids"][0].int(), "completion": said["input_ids"][0].int()}
        for name in MARKS:
            if name in asked:
                after = said[name][0] if name == "token_type_ids" else torch.zeros_like(said["input_ids"][0])
                tokens[name] = torch.cat([asked[name][0], after]).to(torch.int8)
        return tokens, {name: value for name, value in asked.items() if name not in TEXTUAL}


@dataclass(frozen=True)
class Prepared:
    """A folder of lessons that are made; `making` makes the pictures anew where they were not kept."""

    folder: Path
    making: Making

    @cached_property
    def index(self) -> Any:
        """(row, 4): where tokens begin and end, where pictures begin and end, in bytes."""
        return np.load(self.folder / "index.npy")

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each lesson, pictures included."""
        return [int(length) for length in np.load(self.folder / "lengths.npy")]

    @cached_property
    def keeps_pictures(self) -> bool:
        return (self.folder / "pictures.bin").exists()

    @cached_property
    def _tokens(self) -> Any:
        return np.memmap(self.folder / "tokens.bin", np.uint8, "r")

    @cached_property
    def _pictures(self) -> Any:
        return np.memmap(self.folder / "pictures.bin", np.uint8, "r")

    def __getstate__(self) -> dict[str, Any]:
        """Workers open the files themselves."""
        return {"folder": self.folder, "making": self.making}

    def __getitem__(self, row: int) -> tuple[Record, Record]:
        """(tokens, pictures) of a lesson."""
        begin, end, first, last = self.index[row]
        tokens = load(self._tokens[begin:end].tobytes())
        return tokens, load(self._pictures[first:last].tobytes()) if self.keeps_pictures else self.making[row][1]


def prepare(lessons: Lessons, processor: Any, *, cache: Path, cache_gb: float, kind: Any, tell: Callable[[str], object]) -> Prepared:
    """All lessons made, or found as they were made before. `kind` is the type of the student's weights, in which pictures are kept.

    Raises PipelineError where the processor cannot take a lesson.
    """
    making = Making(lessons.seen(["images", "prompt", "completion"]), processor)
    named = [VERSION, lessons.digest, _spelling(processor), str(kind), f"{cache_gb:g}"]
    folder = cache / sha256("\n".join(named).encode()).hexdigest()[:16]

    def make() -> None:
        if not folder.exists():
            passing = cache / f".{folder.name}.new"
            shutil.rmtree(passing, ignore_errors=True)
            passing.mkdir(parents=True)
            _make(making, passing, round(cache_gb * 1e9), kind, tell)
            passing.rename(folder)

    ranks.shared(make)
    return Prepared(folder, making)


def collate(made: Sequence[tuple[Record, Record]], pad: int) -> Record:
    """A batch from lessons: tokens padded on the right, labels where the completion stands, pictures one after the other."""
    texts = [torch.cat([tokens["prompt"], tokens["completion"]]).long() for tokens, _ in made]
    ids = _padded(texts, pad)
    seen = _padded([torch.ones_like(text) for text in texts], 0)
    learnt = [torch.cat([torch.full_like(tokens["prompt"], -100), tokens["completion"]]).long() for tokens, _ in made]
    batch = {"input_ids": ids, "attention_mask": seen, "labels": _padded(learnt, -100)}
    for name in MARKS:
        if name in made[0][0]:
            batch[name] = _padded([tokens[name].long() for tokens, _ in made], 0)
    for name in dict.fromkeys(name for _, pictures in made for name in pictures):
        batch[name] = _stacked([pictures[name] for _, pictures in made if name in pictures])
    return batch


def _padded(rows: Sequence[Any], fill: int) -> Any:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=fill)


def _stacked(parts: Sequence[Any]) -> Any:
    """Parts one after the other; smaller ones are filled up with zeros, as processors do within a batch."""
    shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    if all(list(part.shape[1:]) == shape for part in parts):
        return torch.cat(list(parts))
    whole = parts[0].new_zeros([sum(len(part) for part in parts), *shape])
    at = 0
    for part in parts:
        whole[(slice(at, at + len(part)), *(slice(size) for size in part.shape[1:]))] = part
        at += len(part)
    return whole


def _make(making: Making, folder: Path, room: int, kind: Any, tell: Callable[[str], object]) -> None:
    places, lengths = array("q"), array("q")
    at = there = 0
    with (folder / "tokens.bin").open("wb") as texts, (folder / "pictures.bin").open("wb") as pictures:
        keeps = True
        for row, (tokens, seen) in enumerate(_all(making)):
            lengths.append(len(tokens["prompt"]) + len(tokens["completion"]))
            written = save({name: value.contiguous() for name, value in tokens.items()})
            blob = save({name: _as(value, kind).contiguous() for name, value in seen.items()}) if keeps else b""
            if not row:
                keeps = len(blob) * len(making) <= room
                size = f"{len(blob) * len(making) / 1e9:,.2f} GB for {len(making):,} lessons"
                tell(f"prepared pictures: {size}; {'kept' if keeps else 'more than cache_gb, so made anew in every epoch'}")
            blob = blob if keeps else b""
            texts.write(written)
            pictures.write(blob)
            places.extend((at, at + len(written), there, there + len(blob)))
            at, there = at + len(written), there + len(blob)
    if not keeps:
        (folder / "pictures.bin").unlink()
    np.save(folder / "index.npy", np.frombuffer(places, np.int64).reshape(-1, 4))
    np.save(folder / "lengths.npy", np.frombuffer(lengths, np.int64))


def _as(value: Any, kind: Any) -> Any:
    return value.to(kind) if value.is_floating_point() else value


def _all(making: Making) -> Iterator[tuple[Record, Record]]:
    workers = 0 if len(making) <= ALONE else workers_here()
    with shared_heap():
        found = iter(DataLoader(making, batch_size=None, num_workers=workers))  # type: ignore[no-untyped-call,unused-ignore]
        for row in range(len(making)):
            try:
                yield next(found)
            except (ValueError, TypeError, RuntimeError, OSError, IndexError) as fault:
                said = (str(fault).strip().splitlines() or [type(fault).__name__])[-1][:200]
                raise PipelineError(f"lesson {row:,}: the student's processor cannot take it: {said}") from fault


@contextmanager
def shared_heap() -> Iterator[None]:
    """Have workers that are forked here share what is in memory: a collection of garbage would touch it, and so copy it, in each of them.

    Measured: 130 MB of its own less for a worker.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def workers_here() -> int:
    """How many processes may make lessons on this machine, beside the one that trains."""
    return max(0, min(WORKERS, len(os.sched_getaffinity(0)) - 1))


def _spelling(processor: Any) -> str:
    with TemporaryDirectory() as folder:
        processors.save(processor, folder)
        found = sha256()
        for name in SPELT:
            file = Path(folder) / name
            found.update(file.read_bytes() if file.exists() else b"-")
    return found.hexdigest()
