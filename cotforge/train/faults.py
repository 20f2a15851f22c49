"""What goes wrong on the way, told as one line: no room on the disk, a picture that is none, a student that cannot be spread."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import UnidentifiedImageError
from torch.distributed.checkpoint.api import CheckpointException

from cotforge.errors import JournalError, PipelineError
from cotforge.train.sharding import layers

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
def room(folder: Path) -> Iterator[None]:
    """Has a full disk be one line. Raises JournalError."""
    try:
        yield
    except Exception as fault:
        if not any(words in f"{fault} {fault.__cause__ or ''} {fault.__context__ or ''}" for words in FULL):
            raise
        raise JournalError(f"{folder}: the disk is full; make room, then run the same command again: it goes on where it can") from fault


@contextmanager
def pictures(name: str) -> Iterator[None]:
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
def spread(model: Any) -> Iterator[None]:
    """Has what FSDP says of a student that it cannot spread over processes, or load again, be one line. Raises PipelineError."""
    try:
        yield
    except ValueError as fault:
        if "transformer layer class" not in str(fault):
            raise
        named = ",".join(layers(model))
        raise PipelineError(f"accelerate: {fault} Set fsdp_transformer_layer_cls_to_wrap to {named}, or leave it out") from fault
    except CheckpointException as fault:
        if (lacks := re.search(r"optimizer\.state\.([\w.]+)\.", str(fault))) is None:
            raise
        raise PipelineError(
            f"its checkpoint cannot be gone on from under FSDP: no gradient ever reached {lacks.group(1)!r}; "
            "freeze that part (train.student.freeze), or do the stage again (--from)"
        ) from fault
