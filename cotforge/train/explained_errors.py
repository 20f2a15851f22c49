"""What goes wrong on the way, told as one line: no room on disk or in memory, a picture that is none, a student that cannot be spread."""

import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import UnidentifiedImageError
from torch.distributed.checkpoint.api import CheckpointException

from cotforge.errors import JournalError, PipelineError
from cotforge.train.sharding import layer_classes

FULL = (
    "No space left",
    "os error 28",
    "os error 27",
    "os error 122",
    "File too large",
    "failed writing",
    "file write failed",
    "quota exceeded",
)
"""How the system and two libraries, one of which hides the system's words, say that nothing more can be written."""


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Has a full disk be one line. Raises JournalError."""
    try:
        yield
    except Exception as fault:
        if not any(words in f"{fault} {fault.__cause__ or ''} {fault.__context__ or ''}" for words in FULL):
            raise
        raise JournalError(f"{folder}: the disk is full; make room, then run the same command again: it goes on where it can") from fault


SHORT = ("out of memory", "can't allocate memory", "Cannot allocate memory", "bad_alloc", "CUBLAS_STATUS_ALLOC_FAILED")
"""How torch and its libraries say that memory is short, in errors of other types than `torch.OutOfMemoryError`."""


@contextmanager
def explain_memory(name: str, advice: str, batch: Callable[[], str] = str) -> Iterator[None]:
    """Has memory that is short in a stage be one line: in what `batch`, how much was held, and what to set. Raises PipelineError."""
    try:
        yield
    except (RuntimeError, MemoryError) as fault:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(fault):
            raise
        held = " ".join(filter(None, (batch(), f"({peak_memory()})")))
        raise PipelineError(f"stage {name!r}: out of memory {held}; {advice}") from fault


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether an error says that memory is short, on a GPU or a CPU."""
    return isinstance(fault, (torch.OutOfMemoryError, MemoryError)) or any(words in str(fault) for words in SHORT)


def peak_memory() -> str:
    """The most memory that this process has held, on its GPU where it has one."""
    if torch.cuda.is_available():
        most, whole = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        return f"{most / 1e9:.1f} GB of {whole / 1e9:.1f} at its peak"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.1f} GB at its peak"


class BatchWatch:
    """Remembers the shape of the newest batch that a model was given."""

    def __init__(self, model: Any) -> None:
        self._shape: tuple[int, int] | None = None
        self._hook = model.register_forward_pre_hook(self._see_batch, with_kwargs=True)

    def _see_batch(self, model: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        for name in ("attention_mask", "input_ids", "inputs_embeds"):  # the first one also counts what a cache holds
            if (found := named.get(name)) is not None and hasattr(found, "shape"):
                self._shape = int(found.shape[0]), int(found.shape[1])
                return

    def __str__(self) -> str:
        return f"in a batch of {self._shape[0]:,} x {self._shape[1]:,} tokens" if self._shape else "before the first batch"

    def remove(self) -> None:
        """Look no more."""
        self._hook.remove()


@contextmanager
def explain_pictures(name: str) -> Iterator[None]:
    """Has a picture that cannot be read, where they are read on the way, be one line. Raises PipelineError."""
    try:
        yield
    except OSError as fault:
        if not isinstance(fault, UnidentifiedImageError) and "image file" not in str(fault):
            raise
        raise PipelineError(
            f"stage {name!r}: a lesson's picture cannot be read: {fault}; cotforge build leaves such rows out, and says which"
        ) from fault


@contextmanager
def explain_fsdp(model: Any) -> Iterator[None]:
    """Has what FSDP says of a student that it cannot spread over processes, or load again, be one line. Raises PipelineError."""
    try:
        yield
    except ValueError as fault:
        if "transformer layer class" not in str(fault):
            raise
        named = ",".join(layer_classes(model))
        raise PipelineError(f"accelerate: {fault} Set fsdp_transformer_layer_cls_to_wrap to {named}, or leave it out") from fault
    except CheckpointException as fault:
        if (lacks := re.search(r"optimizer\.state\.([\w.]+)\.", str(fault))) is None:
            raise
        raise PipelineError(
            f"its checkpoint cannot be gone on from under FSDP: no gradient ever reached {lacks.group(1)!r}; "
            "freeze that part (train.student.freeze), or do the stage again (--from)"
        ) from fault
