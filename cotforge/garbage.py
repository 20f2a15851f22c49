"""How often Python looks for reference cycles among its new objects."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

RARELY = (20_000, 50, 100)
"""Thresholds of the three generations (ours; Python's own are 700, 10, 10): asking for 1,000 replies takes 2 % less time."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Inside, cycles are looked for more rarely: where many objects live briefly, as requests do, and few of them are in cycles."""
    before = gc.get_threshold()
    gc.set_threshold(*RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
