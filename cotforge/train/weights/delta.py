"""Delta, an expert's weights minus others, in float32: made once, in pieces, kept on disk by what it is made of, and memory-mapped.

Source: arXiv 2510.15050, section 3 (one prior: expert minus student; two: expert minus its own base, a task vector, arXiv 2212.04089).
"""

import fcntl
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import torch

from cotforge.atomic import replace_folder
from cotforge.errors import PipelineError
from cotforge.train.students.loaded_student import weights_fingerprint
from cotforge.train.weights.checkpoint import Header, Writer, header_of
from cotforge.train.weights.model_layout import demand_alike
from cotforge.train.weights.names import VOCABULARY
from cotforge.train.weights.sides import InFiles, InMemory, Side, demand_unfused

WEIGHTS, ABOUT = "delta.safetensors", "delta.json"
RECIPE = 1
"""Changes with what is made of the same inputs."""


@dataclass(frozen=True)
class Delta:
    """What separates an expert from the weights it is compared with, by names below the decoder."""

    folder: Path
    names: tuple[str, ...]
    """Those that have a difference, in the decoder's order."""
    matched: tuple[str, ...]
    """Those that both have; some of them may be skipped."""
    missing: tuple[str, ...] = ()
    """Those that are wanted and the expert lacks: they have no difference here."""
    zeroed: tuple[str, ...] = ()
    """Biases that one of the two lacks, and which count as zero there."""
    mismatched: tuple[str, ...] = ()
    """Embeddings and heads with another number of words: they have no difference here."""
    skipped: tuple[str, ...] = ()
    """Those whose difference is zero, or not finite."""
    norms: Mapping[str, float] = field(default_factory=dict)
    """Euclidean norms of the differences, by name."""

    def __getitem__(self, name: str) -> torch.Tensor:
        """The difference of one weight: float32, on the CPU, mapped from the file, in the weight's shape. Not to be written to."""
        entry = self._header.entries[name]
        return self._map[entry.start // 4 : entry.start // 4 + entry.numbers].view(entry.shape)

    def __contains__(self, name: object) -> bool:
        return name in self._header.entries

    def __len__(self) -> int:
        return len(self.names)

    def line(self) -> str:
        """What was compared, in a sentence."""
        parts = [f"{len(self.matched):,} weights matched"]
        told = {
            "missing in the expert": self.missing,
            "of another vocabulary": self.mismatched,
            "without a difference (0, or not finite)": self.skipped,
        }
        parts += [f"{len(names):,} {what} (such as {names[0]})" for what, names in told.items() if names]
        parts += [f"{len(self.zeroed):,} biases count as zero where they are lacking"] if self.zeroed else []
        return f"{', '.join(parts)}; distance {math.sqrt(math.fsum(norm**2 for norm in self.norms.values())):.4g}"

    @cached_property
    def _header(self) -> Header:
        return header_of(self.folder / WEIGHTS, "delta")

    @cached_property
    def _map(self) -> torch.Tensor:
        file = self.folder / WEIGHTS
        return torch.from_file(str(file), shared=False, size=file.stat().st_size // 4, dtype=torch.float32)


def make_delta(
    expert: Path,
    base: Path | Mapping[str, torch.Tensor],
    *,
    wanted: Callable[[str], bool],
    cache: Path,
    bias: bool = True,
    like: Mapping[str, Sequence[int]] | None = None,
    student: Path | None = None,
    known_as: str = "",
    key: str = "expert",
) -> Delta:
    """The expert's language model minus `base`, of the weights that are `wanted` by their names below the decoder.

    expert: a text model's folder.
    base: another one's (the difference is a task vector), or the weights of the student's decoder in memory by their names below it
        (`weights.names.decoder_weights`).
    cache: a folder in which deltas are kept by what they are made of; several processes may ask at once, and one of them makes it.
    bias: whether biases are compared; one that only one side has counts as zero on the other, as in the code of arXiv 2510.15050.
    like: shapes of the student's decoder by name; None takes the names of `base`.
    student: a folder to whose configuration and tokenizer the models are held; None takes `base` where that is a folder.
    known_as: by what the content of `base` in memory is known; where empty, it is read and hashed.
    key: the key of the pipeline file that names the expert.

    Raises PipelineError where nothing matches, a shape, vocabulary or head layout is another, or the expert is quantised.
    """
    folders = [expert, base] if isinstance(base, Path) else [expert]
    if (like_one := student or (base if isinstance(base, Path) else None)) is not None:
        for folder in folders:
            demand_alike(folder, like_one, key=key)
    theirs = InFiles(expert, key)
    ours: Side = InFiles(base, f"{key}'s base") if isinstance(base, Path) else InMemory(base)
    shapes = _base_shapes(base, ours) if like is None else {name: tuple(shape) for name, shape in like.items()}
    plan = _compare_sides(theirs, ours, {name: shape for name, shape in shapes.items() if wanted(name)}, bias=bias, key=key)
    for side in (theirs, ours):
        if isinstance(side, InFiles):
            side.demand_floats(plan.matched)
    content = weights_fingerprint(base) if isinstance(base, Path) else [*_number_kinds(base), known_as or _sides_digest(ours, plan)]
    inputs = {"recipe": RECIPE, "expert": weights_fingerprint(expert), "base": content, "bias": bias, "names": plan.matched + plan.zeroed}
    kept = cache / "delta" / sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]
    with _lock_folder(kept):
        if not (kept / ABOUT).is_file():
            _make_folder(kept, theirs, ours, plan, shapes)
    held = json.loads((kept / ABOUT).read_text(encoding="utf-8"))
    if not held["norms"]:
        raise PipelineError(f"{key}: {str(expert)!r} has no weight that differs from those it is compared with; take another expert")
    return Delta(
        kept, tuple(held["norms"]), plan.matched, plan.missing, plan.zeroed, plan.mismatched, tuple(held["skipped"]), held["norms"]
    )


@dataclass(frozen=True)
class _Compared:
    """Which weights there are on both sides."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    zeroed: tuple[str, ...]
    mismatched: tuple[str, ...]


def _base_shapes(base: Path | Mapping[str, torch.Tensor], side: Side) -> dict[str, tuple[int, ...]]:
    names = side.names if isinstance(side, InFiles) else base if isinstance(base, Mapping) else ()
    return {name: shape for name in names if (shape := side.shape(name)) is not None}


def _compare_sides(theirs: InFiles, ours: Side, shapes: Mapping[str, tuple[int, ...]], *, bias: bool, key: str) -> _Compared:
    """Raises PipelineError where nothing matches, or a shape is another."""
    found: dict[str, list[str]] = {"matched": [], "missing": [], "zeroed": [], "mismatched": []}
    for name, shape in shapes.items():
        here, there = ours.shape(name), theirs.shape(name)
        is_bias = name.endswith(".bias")
        if is_bias and not bias:
            continue
        if here is None or there is None:
            found["zeroed" if is_bias and (here or there) else "missing"].append(name)
        elif here == there == shape:
            found["matched"].append(name)
        elif name in VOCABULARY and here[1:] == there[1:] == shape[1:]:
            found["mismatched"].append(name)
        else:
            wrong = there if there != shape else here
            raise PipelineError(
                f"{key}: its weight {name!r} is of shape {list(wrong)}, and the student's of {list(shape)}; take one of its family"
            )
    _demand_matches(theirs, found["matched"], [*found["missing"], *found["matched"]], key)
    demand_unfused(theirs, found["missing"], key)
    return _Compared(*(tuple(found[name]) for name in ("matched", "missing", "zeroed", "mismatched")))


def _demand_matches(theirs: InFiles, matched: Sequence[str], wanted: Sequence[str], key: str) -> None:
    if not wanted:
        raise PipelineError(f"{key}: no weight of the student's language model is chosen; look at modules and layers")
    if not matched:
        demand_unfused(theirs, wanted, key)
        raise PipelineError(
            f"{key}: none of the student's {len(wanted):,} weights, such as {wanted[0]!r}, is in {str(theirs.files.folder)!r}, "
            f"where they are called like {next(iter(theirs.names))!r}; take a model of the student's family"
        )


def _make_folder(folder: Path, theirs: InFiles, ours: Side, plan: _Compared, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Fill a folder under another name; it appears whole."""
    kept = {*plan.matched, *plan.zeroed}
    order = {name: shape for name, shape in shapes.items() if name in kept}
    norms: dict[str, float] = {}
    with replace_folder(folder) as passing:
        with Writer(passing / WEIGHTS, order) as writer:
            for name, shape in order.items():
                squares: list[float] = []
                writer.add(name, shape, _piece_differences(theirs, ours, name, squares))
                norm = math.sqrt(math.fsum(squares))
                if norm > 0 and math.isfinite(norm):
                    norms[name] = norm
                else:
                    writer.drop(name)
        about: dict[str, Any] = {"norms": norms, "skipped": [name for name in order if name not in norms]}
        (passing / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _piece_differences(theirs: Side, ours: Side, name: str, squares: list[float]) -> Iterator[torch.Tensor]:
    """The difference piece by piece; the sum of each one's squares is put into `squares`."""
    lacking = [side.shape(name) is None for side in (theirs, ours)]
    for pair in zip(*(side.pieces(name) for side, lacks in zip((theirs, ours), lacking, strict=True) if not lacks), strict=True):
        piece = pair[0] - pair[1] if len(pair) == 2 else pair[0] if lacking[1] else -pair[0]
        squares.append(float(piece @ piece))
        yield piece


def _number_kinds(weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Of numbers: rounded weights have another difference than the whole ones of the same files."""
    return sorted({str(weight.dtype) for weight in weights.values()})


def _sides_digest(side: Side, plan: _Compared) -> str:
    """Of the weights themselves."""
    found = blake2b(digest_size=16)
    for name in plan.matched + plan.zeroed:
        if side.shape(name) is None:
            continue
        found.update(name.encode())
        for piece in side.pieces(name):
            found.update(piece.contiguous().numpy())
    return found.hexdigest()


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Have one process of this machine at a time make a folder; the lock goes with the process that holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
