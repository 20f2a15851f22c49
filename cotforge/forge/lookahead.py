"""Reading ahead without getting in the way of the calls in flight."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Generic, Self, TypeVar

LOOKAHEAD = 8
"""Items read in one go (ours)."""
SLOW_S = 0.02
"""Seconds for one go beyond which the next is left to a thread (ours)."""
WAITED = 4
"""Times that in a thread (ours), beyond which the next is left there."""

T = TypeVar("T")


class LookaheadReader(Generic[T]):
    """Chunks of an iterator: read on the event loop while that is quick, in a thread where the disk or a decoder is slow.

    A thread beside a busy loop waits for the interpreter after every query and every file: at full speed it is slower than the loop itself.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._thread = ThreadPoolExecutor(1, "reading")
        self._slow = True  # until it is known: to open the source, and to validate its first pictures, takes long

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def chunk(self) -> list[T]:
        """The next items, `LOOKAHEAD` at most; none at the end. Raises what the iterator raises."""
        if self._slow:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read_items)
        return self._read_items()

    def _read_items(self) -> list[T]:
        begun = time.monotonic()
        chunk = list(islice(self._items, LOOKAHEAD))
        self._slow = time.monotonic() - begun > (WAITED if self._slow else 1) * SLOW_S
        return chunk
