"""A pool of threads that is handed several items at once: to hand over one costs as much as to look at a small picture."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

CHUNK = 8
"""Items that are handed over at once, at most."""

T = TypeVar("T")
R = TypeVar("R")


class _Chunk(Generic[T, R]):
    """Items that go to one thread together; not handed over yet while `results` is None."""

    __slots__ = ("items", "results")

    def __init__(self) -> None:
        self.items: list[T] = []
        self.results: Future[list[R | Exception]] | None = None


class Pending(Generic[T, R]):
    """What becomes of one item."""

    __slots__ = ("_chunk", "_place", "_pool")

    def __init__(self, pool: "ChunkedPool[T, R]", chunk: _Chunk[T, R], place: int) -> None:
        self._pool, self._chunk, self._place = pool, chunk, place

    def result(self) -> R:
        """Waits for it; the chunk of the item is handed over now where it was not. Raises what the work raised."""
        if self._chunk.results is None:
            self._pool.flush()
        assert self._chunk.results is not None
        found = self._chunk.results.result()[self._place]
        if isinstance(found, Exception):
            raise found
        return found


class ChunkedPool(Generic[T, R]):
    """Does one kind of work on items, in threads; items are given and asked for by one thread alone."""

    def __init__(self, work: Callable[[T], R], threads: int, *, name: str) -> None:
        """`name` begins those of the threads."""
        self._work, self._pool = work, ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._chunk: _Chunk[T, R] = _Chunk()

    def submit(self, item: T) -> Pending[T, R]:
        """One more item: work on it begins once its chunk is full, or when one of the chunk's results is asked for."""
        self._chunk.items.append(item)
        pending = Pending(self, self._chunk, len(self._chunk.items) - 1)
        if len(self._chunk.items) == CHUNK:
            self.flush()
        return pending

    def flush(self) -> None:
        """Hand over what is waiting."""
        chunk, self._chunk = self._chunk, _Chunk()
        chunk.results = self._pool.submit(self._work_on_chunk, chunk.items)

    def close(self) -> None:
        """Waits for the work that has begun, and drops the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _work_on_chunk(self, items: list[T]) -> list[R | Exception]:
        results: list[R | Exception] = []
        for item in items:
            try:
                results.append(self._work(item))
            except Exception as error:
                results.append(error)
        return results
