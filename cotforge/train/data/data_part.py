"""The data of a stage split into parts, of which it learns one. Each split is the same for the same rows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import Any

from cotforge.errors import PipelineError
from cotforge.plan import Sft, Stage
from cotforge.plan.part import DataPart
from cotforge.train.data.learnable import text_of
from cotforge.train.data.lessons import Lessons


def part_rows(lessons: Lessons, part: DataPart) -> frozenset[int]:
    """The rows of the data that are in the part."""
    column, split = SPLITS[part.by]
    return frozenset(row for row, index in enumerate(split([row[column] for row in lessons.rows([column])], part)) if index == part.index)


def demand_part(stage: Sft, learned_by: Callable[[Stage], Lessons | None]) -> None:
    """Raises PipelineError where a stage's part would hold no row of its data."""
    part = stage.part
    if part is not None and (lessons := learned_by(stage)) is not None and not part_rows(lessons, part):
        other = ", or split by random" if part.by in ("label", "hash") else ""
        raise PipelineError(f"stage {stage.name!r}: no row of {len(lessons):,} is in {part.words}; lower part.of{other}")


def by_random(rows: Sequence[object], part: DataPart) -> list[int]:
    """The part of each row, drawn; sizes differ by one row at most."""
    drawn = Random(part.seed).sample(range(len(rows)), len(rows))
    return [place % part.of for place in drawn]


def by_label(answers: Sequence[str], part: DataPart) -> list[int]:
    """The part of each row: that of its answer. The commonest answer goes first, each to the part with the fewest rows so far."""
    sizes, where = [0] * part.of, dict[str, int]()
    for answer, count in sorted(Counter(answers).items(), key=lambda item: (-item[1], item[0])):
        where[answer] = sizes.index(min(sizes))
        sizes[where[answer]] += count
    return [where[answer] for answer in answers]


def by_length(completions: Sequence[Sequence[Mapping[str, Any]]], part: DataPart) -> list[int]:
    """The part of each row, by the letters of its completion: the shortest in part 0; sizes differ by one row at most."""
    order = sorted(range(len(completions)), key=lambda row: (len(text_of(completions[row])), row))
    found = [0] * len(order)
    for place, row in enumerate(order):
        found[row] = place * part.of // len(order)
    return found


def by_hash(ids: Sequence[object], part: DataPart) -> list[int]:
    """The part of each row, by its id alone; sizes differ as chance has it."""
    return [int(sha256(str(name).encode()).hexdigest()[:13], 16) % part.of for name in ids]


SPLITS: Mapping[str, tuple[str, Callable[[Sequence[Any], DataPart], list[int]]]] = {
    "random": ("id", by_random),
    "label": ("answer", by_label),
    "length": ("completion", by_length),
    "hash": ("id", by_hash),
}
"""By the word in the pipeline file: the column that is read, and what splits it."""
