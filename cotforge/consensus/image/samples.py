"""Pictures by the ids of their Samples, with the labels: what a classifier of pictures learns from beside the teachers' answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cotforge.consensus.image.gathered import Batches, pictures
from cotforge.consensus.image.voter import Pictures
from cotforge.consensus.sequential.table import NONE, Ints


@dataclass(frozen=True, slots=True)
class SamplePictures:
    """The Pictures of all Samples of a run or a table."""

    pictures: Pictures
    places: Mapping[str, int]
    """Of each Sample's id among the pictures."""
    label_N: Ints
    """The raw label's place among the sorted options; `NONE` without one."""


def gathered(
    ids: Sequence[str], labels: Sequence[str | None], options: Sequence[str], batches: Batches, *, fold: Callable[[str], int]
) -> SamplePictures:
    """Features and labels of Samples; `fold` parts them as it parts people's answers."""
    codes = {option: place for place, option in enumerate(sorted(options))}
    label_N = np.array([NONE if label is None else codes.get(label, NONE) for label in labels], np.int64)
    return SamplePictures(pictures(ids, batches, fold=fold), {id: place for place, id in enumerate(ids)}, label_N)
