"""Lessons as a student's own processor makes them, once: tokens always, pictures while they fit. No lesson is ever cut.

A lesson is two records in two files, each found by its place: its tokens, and what the processor made of its pictures.
"""

import csv
import gc
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch.utils.data import DataLoader

from cotforge.atomic import replace_folder
from cotforge.errors import PipelineError
from cotforge.train import ranks
from cotforge.train.data.learnable import Learnable
from cotforge.train.data.lesson_records import ACROSS, MARKS, CheckedLesson, Making, Record, Unlearnable
from cotforge.train.data.lessons import Lessons
from cotforge.train.students import processors

VERSION = "3"
SPELT = ("tokenizer.json", "processor_config.json", "preprocessor_config.json", "chat_template.jinja")
"""Files of a processor that decide what it makes."""
WORKERS = 8
SURE = 256
"""Lessons after which it is given up to keep pictures that would take twice the room."""
ALONE = 256
"""Up to so many lessons, starting workers takes longer than they save (ours)."""


@dataclass(frozen=True)
class Prepared:
    """A folder of lessons that are made; `making` makes the pictures anew where they were not kept."""

    folder: Path
    making: Making

    @cached_property
    def index(self) -> Any:
        """(lesson that is not left out, 4): where tokens begin and end, where pictures begin and end, in bytes."""
        return np.load(self.folder / "index.npy")

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each lesson, pictures included; 0 for one that is left out."""
        return [int(length) for length in np.load(self.folder / "lengths.npy")]

    @cached_property
    def _learned_places(self) -> Any:
        """Where each lesson stands among those that are not left out."""
        return np.cumsum(np.asarray(self.lengths) > 0) - 1

    @cached_property
    def learned(self) -> int:
        """Lessons that are not left out."""
        return len(self.lengths) - self.lengths.count(0)

    def faults(self) -> Iterator[str]:
        """Why each lesson is left out; empty for one that is not."""
        with (self.folder / "faults.csv").open(newline="", encoding="utf-8") as opened:
            listed = csv.reader(opened)
            row, fault = next(listed, ("", ""))
            for place in range(len(self.lengths)):
                if row == str(place):
                    yield fault
                    row, fault = next(listed, ("", ""))
                else:
                    yield ""

    @cached_property
    def keeps_pictures(self) -> bool:
        return (self.folder / "pictures.bin").exists()

    @cached_property
    def _token_array(self) -> Any:
        return np.memmap(self.folder / "tokens.bin", np.uint8, "r")

    @cached_property
    def _picture_array(self) -> Any:
        return np.memmap(self.folder / "pictures.bin", np.uint8, "r")

    def __getstate__(self) -> dict[str, Any]:
        """Workers open the files themselves."""
        return {"folder": self.folder, "making": self.making}

    def __getitem__(self, row: int) -> tuple[Record, Record]:
        """(tokens, pictures) of a lesson."""
        begin, end, first, last = self.index[self._learned_places[row]]
        tokens = load(self._token_array[begin:end].tobytes())
        return tokens, load(self._picture_array[first:last].tobytes()) if self.keeps_pictures else self.making[row][1]


def prepare_lessons(
    lessons: Lessons,
    processor: Any,
    *,
    cache: Path,
    cache_gb: float,
    kind: Any,
    tell: Callable[[str], object],
    learnable: Learnable | None = None,
) -> Prepared:
    """All lessons made, or found as they were made before. `kind` is the type of the student's weights, in which pictures are kept.

    A lesson that the processor cannot take, or `learnable` finds a fault in, is left out. Raises PipelineError where a file cannot be
    read, or the chat template would harm any lesson.
    """
    making = Making(lessons.seen(["images", "prompt", "completion"]), processor)
    named = [
        VERSION,
        version("transformers"),
        lessons.digest,
        _processor_spelling(processor),
        str(kind),
        f"{cache_gb:g}",
        learnable.key if learnable else "",
    ]
    folder = cache / sha256("\n".join(named).encode()).hexdigest()[:16]

    def make() -> None:
        if not folder.exists():
            with replace_folder(folder) as passing:
                _make_files(CheckedLesson(making, learnable), passing, round(cache_gb * 1e9), kind, tell)

    ranks.from_first(make)
    return Prepared(folder, making)


def collate_lessons(made: Sequence[tuple[Record, Record]], pad: int) -> Record:
    """A batch from lessons: tokens padded on the right, labels where the completion stands, pictures one after the other."""
    texts = [torch.cat([tokens["prompt"], tokens["completion"]]).long() for tokens, _ in made]
    ids = _pad_rows(texts, pad)
    seen = _pad_rows([torch.ones_like(text) for text in texts], 0)
    learnt = [torch.cat([torch.full_like(tokens["prompt"], -100), tokens["completion"]]).long() for tokens, _ in made]
    batch = {"input_ids": ids, "attention_mask": seen, "labels": _pad_rows(learnt, -100)}
    for name in MARKS:
        if name in made[0][0]:
            batch[name] = _pad_rows([tokens[name].long() for tokens, _ in made], 0)
    if ACROSS in made[0][0]:
        batch[ACROSS] = _stack_parts([tokens[ACROSS][None].long() for tokens, _ in made])
    for name in dict.fromkeys(name for _, pictures in made for name in pictures):
        batch[name] = _stack_parts([pictures[name] for _, pictures in made if name in pictures])
    return batch


def _pad_rows(rows: Sequence[Any], fill: int) -> Any:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=fill)


def _stack_parts(parts: Sequence[Any]) -> Any:
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


def _make_files(checked: CheckedLesson, folder: Path, room: int, kind: Any, tell: Callable[[str], object]) -> None:
    """Fill the folder: lessons that can be learned in three files, why the others cannot in `faults.csv`."""
    places, lengths = array("q"), array("q")
    with (
        (folder / "tokens.bin").open("wb") as texts,
        (folder / "pictures.bin").open("wb") as pictures,
        (folder / "faults.csv").open("w", newline="", encoding="utf-8") as faults,
    ):
        keeps, size = True, 0.0
        listed = csv.writer(faults)
        for row, made in enumerate(_all_records(checked)):
            if isinstance(made, Unlearnable):
                listed.writerow((row, _lesson_fault(made, checked.learnable)))
                lengths.append(0)
                continue
            tokens, seen = made
            begun = texts.tell(), pictures.tell()
            lengths.append(len(tokens["prompt"]) + len(tokens["completion"]))
            texts.write(save({name: value.contiguous() for name, value in tokens.items()}))
            blob = save({name: _cast_pixels(value, kind).contiguous() for name, value in seen.items()}) if keeps else b""
            size += len(blob) if keeps else size / (len(places) // 4)  # of the rest, as large as those before
            keeps = keeps and size <= room and (len(places) < 4 * SURE or size / (len(places) // 4 + 1) * len(checked) <= 2 * room)
            pictures.write(blob if keeps else b"")
            places.extend((begun[0], texts.tell(), begun[1], pictures.tell()))
    told = "kept" if keeps else "more than cache_gb, so made anew in every epoch"
    tell(f"prepared pictures: {size / 1e9:,.2f} GB for {len(checked):,} lessons; {told}")
    if not keeps:
        (folder / "pictures.bin").unlink()
    np.save(folder / "index.npy", np.frombuffer(places, np.int64).reshape(-1, 4))
    np.save(folder / "lengths.npy", np.frombuffer(lengths, np.int64))


def _lesson_fault(made: Unlearnable, learnable: Learnable | None) -> str:
    """Raises PipelineError where the chat template is the cause."""
    return learnable.lesson_fault(made.reason, made.text) if learnable and made.text else made.reason


def _cast_pixels(value: Any, kind: Any) -> Any:
    return value.to(kind) if value.is_floating_point() else value


def _all_records(checked: CheckedLesson) -> Iterator[tuple[Record, Record] | Unlearnable]:
    workers = 0 if len(checked) <= ALONE else workers_here()
    with shared_heap(workers):
        found = iter(DataLoader(checked, batch_size=None, num_workers=workers))  # type: ignore[no-untyped-call,unused-ignore]
        for row in range(len(checked)):
            try:
                yield next(found)
            except (ValueError, TypeError, RuntimeError, OSError, IndexError) as fault:
                said = (str(fault).strip().splitlines() or [type(fault).__name__])[-1][:200]
                raise PipelineError(f"lesson {row:,}: the student's processor cannot take it: {said}") from fault


@contextmanager
def shared_heap(workers: int) -> Iterator[None]:
    """Have workers that are forked here share what is in memory: a collection of garbage would touch it, and so copy it, in each of them.

    Measured: 130 MB of its own less for a worker. Where there are none, nothing is changed.
    """
    if not workers:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def workers_here() -> int:
    """How many processes may make lessons on this machine, beside the one that trains."""
    return max(0, min(WORKERS, len(os.sched_getaffinity(0)) - 1))


def _processor_spelling(processor: Any) -> str:
    with TemporaryDirectory() as folder:
        processors.save_processor(processor, folder)
        found = sha256()
        for name in SPELT:
            file = Path(folder) / name
            found.update(file.read_bytes() if file.exists() else b"-")
    return found.hexdigest()
