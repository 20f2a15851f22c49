"""Checked samples that were drawn with unequal probabilities: how much each says of those that nobody checked.

A claim is about accepted answers that nobody checked. A sample drawn with probability p stands for (1 - p) / p unchecked ones that are like
it: of those that are like it, so many were not drawn for each that was. So one that was certain to be drawn (p = 1) stands for none.
Sources: Horvitz and Thompson 1952 (weights of one over p); Hajek 1971 (the weighted mean); Gligoric and others 2024 (arXiv 2408.15204:
what people check drawn by a model's confidence, with valid intervals).
"""

from collections.abc import Iterable, Mapping
from math import fsum

from cotforge.order import sample_rank

PLACED = 13
"""Seed of the places: another order than the ones in which samples are asked or drawn."""


def sampling_weights(ids: Iterable[str], drawn: Mapping[str, float]) -> dict[str, float]:
    """How many unchecked samples each checked one stands for, 1 in the mean; 0 where all were certain to be drawn.

    `drawn` has the probabilities, in (0, 1]. A sample that it lacks was drawn by chance alone: as improbably as any other.
    """
    ids = list(ids)
    least = min((drawn[id] for id in ids if drawn.get(id, 1.0) < 1), default=0.5)
    odds = {id: (1 - share) / share for id in ids for share in [drawn.get(id, least)]}
    mean = fsum(odds.values()) / max(len(odds), 1)
    return {id: weight / mean if mean else 0.0 for id, weight in odds.items()}


def hash_place(id: str) -> float:
    """A number in [0, 1) that follows from the id alone, as if drawn by chance."""
    return sample_rank(id, PLACED) / 2**64


def is_evenly_drawn(weight: float, most: float, place: float) -> bool:
    """Whether a sample belongs to a part that is as if drawn with equal probabilities, where `most` is the largest weight there is.

    Each is kept with a probability in proportion to its weight, so that all have been drawn and kept alike: over that part an exact bound
    is exact. With equal weights it is all of them. The samples drawn for what they tell hardly count in it, as they must not.
    """
    return place * most < weight


def even_part(ids: Iterable[str], drawn: Mapping[str, float]) -> list[str]:
    """The checked samples, of these, that are as if drawn with equal probabilities."""
    found = sampling_weights(ids, drawn)
    most = max(found.values(), default=0.0)
    return [id for id, weight in found.items() if is_evenly_drawn(weight, most, hash_place(id))]
