"""Features handed to `decide`, in any of the forms that a notebook has them in."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from cotforge.consensus.decisions import AnswersError
from cotforge.consensus.image.gathered import gather_pictures
from cotforge.consensus.image.projection import LONGEST, Vectors
from cotforge.consensus.image.voter import Pictures

FORMS = "a mapping of id to vector, a frame with a column id and one of vectors (or numbers), or an array with a row for each id"
STEP = 1_024
"""Vectors looked at in one go."""


def of_table(features: Any, ids: Sequence[Hashable], *, fold: Callable[[str], int]) -> Pictures:
    """The Pictures of the ids, in their order; ids without a finite vector have no features. Raises AnswersError."""
    found = _by_place(features, ids)
    length = max((len(vector) for vector in found.values()), default=0)
    if length > LONGEST:
        raise AnswersError(f"features: vectors of {length:,} numbers; at most {LONGEST:,} are taken")
    if odd := next((ids[place] for place, vector in found.items() if len(vector) != length), None):
        raise AnswersError(f"features: {odd!r} has a vector of another length than others; all must have one length")
    sound = [place for place, vector in found.items() if length and np.isfinite(vector).all()]
    names = [str(id) for id in ids]
    order = sorted(sound, key=lambda place: names[place])  # sums must not depend on the order of rows
    parts = [order[at : at + STEP] for at in range(0, len(order), STEP)]
    return gather_pictures(names, lambda: ((part, np.array([found[place] for place in part], np.float32)) for part in parts), fold=fold)


def _by_place(features: Any, ids: Sequence[Hashable]) -> dict[int, Vectors]:
    if isinstance(features, Mapping):
        return {place: _row_vector(features[id], id) for place, id in enumerate(ids) if not _is_missing(features.get(id))}
    if hasattr(features, "columns") and hasattr(features, "to_numpy"):
        return _of_frame(features, ids)
    if hasattr(features, "__array__") or (isinstance(features, Sequence) and not isinstance(features, str | bytes)):
        if len(features) != len(ids):
            raise AnswersError(f"features: {len(features):,} rows for {len(ids):,} ids; one for each id in order of first appearance")
        return {place: _row_vector(row, id) for place, (row, id) in enumerate(zip(features, ids, strict=True)) if not _is_missing(row)}
    raise AnswersError(f"features: is a {type(features).__name__}; {FORMS} is needed")


def _of_frame(frame: Any, ids: Sequence[Hashable]) -> dict[int, Vectors]:
    others = [name for name in frame.columns if name != "id"]
    if "id" not in frame.columns or not others:
        raise AnswersError(f"features: the frame has the columns {', '.join(map(str, frame.columns))}; {FORMS} is needed")
    keys = frame["id"].to_list()
    columns = [frame[name].to_list() for name in others]
    rows = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
    place_of = {id: place for place, id in enumerate(ids)}
    found: dict[int, Vectors] = {}
    for key, row in zip(keys, rows, strict=True):
        if (place := place_of.get(key)) is not None and place not in found and not _is_missing(row):
            found[place] = _row_vector(row, key)
    return found


def _is_missing(row: Any) -> bool:
    """Whether a cell holds no vector: None, or pandas' NaN in its place."""
    return row is None or (isinstance(row, float) and row != row)


def _row_vector(values: Any, id: object) -> Vectors:
    """Numbers as one vector; what is none of them is not finite."""
    try:
        vector = np.asarray([np.nan if value is None else value for value in np.ravel(np.asarray(values)).tolist()], np.float32)
    except (TypeError, ValueError, OverflowError) as fault:
        raise AnswersError(f"features: those of {id!r} are no numbers; {FORMS} is needed") from fault
    return vector
