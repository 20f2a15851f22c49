"""The safetensors of a model's folder, read and written tensor by tensor in pieces, whatever shards they lie in.

Read by plain reads, not by a memory map: pages of a map count as this process's memory until it is closed.
Source: https://huggingface.co/docs/safetensors/index (format).
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import torch

from cotforge.errors import PipelineError, show_value

PIECE = 1 << 18
"""Numbers of a tensor that are in memory at once: 1 MB in float32, which a core's cache holds."""
KINDS = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""Types of weights that are read, by their names in a file."""
INDEX, ONE = "model.safetensors.index.json", "model.safetensors"
LONGEST_HEADER = 100_000_000
"""Bytes of a header, at most: the format's own bound."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor lies."""

    file: Path
    kind: str
    """The name of its type in the file: `BF16`, ..."""
    shape: tuple[int, ...]
    start: int
    """Its first byte in the file."""
    size: int
    """Bytes."""

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The beginning of a safetensors file."""

    raw: bytes
    """As it stands there, its length included."""
    entries: Mapping[str, TensorEntry]
    """In the order of their bytes."""


class Checkpoint:
    """A model's folder. Raises PipelineError where its files are broken; `key` is that of the pipeline file which names it."""

    def __init__(self, folder: Path, *, key: str) -> None:
        self.folder, self.key = folder, key
        self.headers = {file: header_of(file, key) for file in _weight_files(folder, key)}
        self.entries = {name: entry for header in self.headers.values() for name, entry in header.entries.items()}

    @cached_property
    def config(self) -> dict[str, Any]:
        """`config.json`; empty where there is none that can be read."""
        try:
            held = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return held if isinstance(held, dict) else {}

    def demand_floats(self, names: Iterable[str]) -> None:
        """Raises PipelineError where weights are quantised."""
        if "quantization_config" in self.config:
            raise PipelineError(
                f"{self.key}: {str(self.folder)!r} is quantised; take the model that it was made of, in bfloat16 or float32"
            )
        for name in names:
            if (kind := self.entries[name].kind) not in KINDS:
                raise PipelineError(
                    f"{self.key}: {str(self.folder)!r}: the weight {name!r} is of type {show_value(kind)}; "
                    f"weights of {', '.join(sorted(KINDS))} can be read, and a quantised model cannot"
                )

    def pieces(self, name: str, piece: int = PIECE) -> Iterator[torch.Tensor]:
        """A tensor's numbers in their order as float32, flat, at most `piece` at a time."""
        for raw in self.raw(name, piece):
            yield torch.frombuffer(raw, dtype=KINDS[self.entries[name].kind]).float()

    def raw(self, name: str, piece: int = PIECE) -> Iterator[bytearray]:
        """The bytes of a tensor, those of at most `piece` numbers at a time. Raises PipelineError where the file ends before."""
        entry = self.entries[name]
        width = max(1, entry.size // max(1, entry.numbers))
        with entry.file.open("rb", buffering=0) as opened:
            opened.seek(entry.start)
            for first in range(0, entry.size, piece * width):
                buffer = bytearray(min(piece * width, entry.size - first))
                view, read = memoryview(buffer), 0
                while read < len(buffer):
                    if not (more := opened.readinto(view[read:])):
                        raise PipelineError(f"{self.key}: {str(entry.file)!r} ends within the weight {name!r}; fetch it again")
                    read += more
                view.release()
                yield buffer

    def tensor(self, name: str) -> torch.Tensor:
        """A whole tensor in float32."""
        entry = self.entries[name]
        return torch.cat([torch.empty(0), *self.pieces(name)]).reshape(entry.shape)


def _weight_files(folder: Path, key: str) -> list[Path]:
    if (index := folder / INDEX).is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as fault:
            raise PipelineError(f"{key}: {str(index)!r} is no index of weights; fetch it again") from fault
        files = [folder / name for name in names]
        wrong = next((file for file in files if file.parent != folder or not file.is_file()), None)
        if wrong is not None:
            raise PipelineError(f"{key}: {str(folder)!r} lacks the file {wrong.name!r} that its index names; fetch it again")
        return files
    found = [folder / ONE] if (folder / ONE).is_file() else sorted(folder.glob("*.safetensors"))
    if not found:
        raise PipelineError(f"{key}: {str(folder)!r} has no weights (.safetensors)")
    return found


def header_of(file: Path, key: str) -> Header:
    """What lies in a safetensors file. Raises PipelineError where it is broken."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            first = opened.read(8)
            length = int.from_bytes(first, "little")
            if len(first) < 8 or length > min(LONGEST_HEADER, size - 8):
                raise ValueError("it is cut short")
            raw = opened.read(length)
        held = json.loads(raw)
        held.pop("__metadata__", None)
        entries = {name: _tensor_entry(file, part, 8 + length, size) for name, part in held.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as fault:
        raise PipelineError(f"{key}: weights in {str(file)!r} are broken: {fault}; fetch them again") from fault
    return Header(first + raw, dict(sorted(entries.items(), key=lambda item: item[1].start)))


def _tensor_entry(file: Path, part: Mapping[str, Any], offset: int, size: int) -> TensorEntry:
    start, end = part["data_offsets"]
    entry = TensorEntry(file, str(part["dtype"]), tuple(part["shape"]), offset + start, end - start)
    kind = KINDS.get(entry.kind)
    if not 0 <= start <= end <= size - offset or (kind is not None and entry.numbers * kind.itemsize != entry.size):
        raise ValueError("a tensor lies outside of it")
    return entry


class Writer:
    """Writes a safetensors file of float32 tensors whose number is not known before: use as a context, `add` each in turn.

    Room for the names of all `shapes` is kept at its beginning; a tensor that is not wanted after all leaves no gap.
    """

    def __init__(self, file: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.file = file
        most = 4 * sum(map(math.prod, shapes.values()))
        longest = {name: _describe_tensor(shape, most, most) for name, shape in shapes.items()}
        length = len(json.dumps(longest, separators=(",", ":")).encode())
        self._room = length + -(8 + length) % 64
        self._held: dict[str, dict[str, Any]] = {}
        self._end = 0
        self._opened: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._opened = self.file.open("wb")
        self._opened.write(bytes(8 + self._room))
        return self

    def add(self, name: str, shape: tuple[int, ...], pieces: Iterable[torch.Tensor]) -> None:
        """Write a tensor, flat, piece by piece."""
        assert self._opened is not None
        start = self._end
        for piece in pieces:
            self._end += self._opened.write(piece.contiguous().numpy())
        self._held[name] = _describe_tensor(shape, start, self._end)

    def drop(self, name: str) -> None:
        """Have the tensor that was added last not be there."""
        assert self._opened is not None
        self._end = self._held.pop(name)["data_offsets"][0]
        self._opened.seek(8 + self._room + self._end)
        self._opened.truncate()

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        assert self._opened is not None
        with self._opened as opened:
            opened.seek(0)
            opened.write(self._room.to_bytes(8, "little"))
            opened.write(json.dumps(self._held, separators=(",", ":")).encode().ljust(self._room))


def _describe_tensor(shape: tuple[int, ...], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
