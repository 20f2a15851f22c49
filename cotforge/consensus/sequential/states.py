"""What policies need beside their states: distinct codes among many, the place of each, and choices kept in mind."""

from typing import TypeVar

import numpy as np

from cotforge.consensus.sequential.answer_table import Floats, Ints

REMEMBERED = 1 << 16
"""Ways of having answered whose next voter is kept in mind: each takes about 200 bytes."""
_DENSE = 1 << 23
"""Codes up to which a table of all of them is quicker than sorting."""

Key = TypeVar("Key")


def likeliest_states(codes: list[Ints], masses: list[Floats], most: int) -> tuple[Ints, list[Ints]]:
    """The likeliest codes, sorted, and for each array the places of its codes among them; of all others the place behind the last."""
    if not codes:
        return np.zeros(0, np.int64), []
    flat, mass = np.concatenate([part.ravel() for part in codes]), np.concatenate([part.ravel() for part in masses])
    if len(flat) > most:
        # the same code comes from several states, with about the same mass from each
        least = np.partition(mass, len(mass) - most)[len(mass) - most]
        kept = np.unique(flat[mass >= max(least, 1e-12)])
    else:
        kept = np.unique(flat)
    if not len(kept):
        return kept, [np.zeros(part.shape, np.int64) for part in codes]
    places = []
    for part in codes:
        place = np.minimum(np.searchsorted(kept, part), len(kept) - 1)
        places.append(np.where(kept[place] == part, place, len(kept)))
    return kept, places


def number_states(codes: list[Ints], space: int) -> tuple[Ints, list[Ints]]:
    """All distinct codes, sorted, and for each array the places of its codes among them."""
    if not codes:
        return np.zeros(0, np.int64), []
    flat = np.concatenate([part.ravel() for part in codes])
    if space <= _DENSE:
        met = np.zeros(space, bool)
        met[flat] = True
        distinct = np.flatnonzero(met)
        number = np.cumsum(met, dtype=np.int32) - 1
        places = number[flat]
    else:
        distinct, places = np.unique(flat, return_inverse=True)
    ends = np.cumsum([part.size for part in codes])[:-1]
    return distinct, [part.reshape(whole.shape) for part, whole in zip(np.split(places, ends), codes, strict=True)]


def note_value(known: dict[Key, int], key: Key, value: int) -> int:
    """Keep a value in mind, so that Samples that were answered alike are looked at once."""
    if len(known) >= REMEMBERED:
        known.clear()
    known[key] = value
    return value


def names_behind(name: str, order: tuple[str, ...]) -> tuple[str, ...]:
    """Those that stand after it."""
    return order[order.index(name) + 1 :] if order else ()
