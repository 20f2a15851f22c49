"""The same work on every Sample of a long stream, done here or by other processes, in order and with few Samples ahead."""

import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any

from cotforge.records import Fault, Sample

CHUNK = 64
"""Samples handed over at a time (ours)."""
MOST = 4
"""Processes (ours): beyond, the one that collects what they find is the slowest."""

Start = tuple[Callable[..., Any], tuple[Any, ...]]
"""(function, arguments) that make in each process what works there."""

_worker: Any = None


Work = Callable[[Any, Sequence[Sample]], Sequence[Any]]
"""(what works, some Samples) to what it makes of each."""


def in_chunks(items: Iterator[Sample | Fault], work: Work, worker: Any) -> Iterator[tuple[Any, Any]]:
    """(item, what `work` makes of it), or (item, item) for a Fault, in order; done here, for some Samples at a time."""
    while chunk := list(islice(items, CHUNK)):
        yield from _beside_faults(chunk, work(worker, _samples_of(chunk)))


def in_processes(items: Iterator[Sample | Fault], work: Work, *, start: Start) -> Iterator[tuple[Any, Any]]:
    """The same by other processes. What `work` raises is raised here.

    `work` and all it takes and gives must pickle.
    """
    processes = max(1, min(MOST, os.cpu_count() or 1))
    gc.freeze()  # what is here already stays, and is not looked through again and again
    context = multiprocessing.get_context("spawn")  # threads are running here, which a fork would not take along
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin_worker, initargs=(start,)) as pool:
        ahead: deque[tuple[list[Sample | Fault], Future[Sequence[Any]]]] = deque()
        try:
            while True:
                while len(ahead) <= 2 * processes and (chunk := list(islice(items, CHUNK))):
                    ahead.append((chunk, pool.submit(_do_chunk, work, _samples_of(chunk))))
                if not ahead:
                    return
                chunk, future = ahead.popleft()
                yield from _beside_faults(chunk, future.result())
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_worker(start: Start) -> None:
    global _worker
    gc.disable()  # what works here makes no cycles, and looking for them costs a tenth of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that collects
    make, arguments = start
    _worker = make(*arguments)


def _do_chunk(work: Work, samples: Sequence[Sample]) -> Sequence[Any]:
    return work(_worker, samples)


def _samples_of(chunk: Sequence[Sample | Fault]) -> list[Sample]:
    return [item for item in chunk if isinstance(item, Sample)]


def _beside_faults(chunk: Sequence[Sample | Fault], found: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Each item with what was found of it, a Fault with itself."""
    each = iter(found)
    return ((item, item if isinstance(item, Fault) else next(each)) for item in chunk)
