"""Running a coroutine to its end from code that is not async, also where an event loop runs already: in a notebook."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from threading import Thread, current_thread, main_thread
from typing import Any, TypeVar

T = TypeVar("T")


def run_coroutine(work: Coroutine[Any, Any, T], *, interrupt: Callable[[], object] | None = None) -> T:
    """What the coroutine returns, or the exception that it raises.

    A thread in which a loop runs cannot wait for another loop, so the coroutine gets a thread and a loop of its own there. An interrupt
    (Ctrl-C) meanwhile calls `interrupt`, each time; without one, the coroutine is cancelled, and KeyboardInterrupt raised. Its end is
    waited for in any case.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    apart = _LoopThread(work)
    with _interrupts_to(interrupt or apart.cancel) as heard:
        Thread(target=copy_context().run, args=(apart.run,), name="cotforge").start()
        try:
            found: T = apart.result.result()
        except asyncio.CancelledError as fault:
            raise (KeyboardInterrupt if heard else fault) from fault
    if heard and interrupt is None:
        raise KeyboardInterrupt  # it ended before it could be cancelled
    return found


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns. Whoever is cancelled, or ends the loop, does not wait for it: an executor would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(how: Callable[[Any], object], what: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: done.done() or how(what))

    def run() -> None:
        try:
            found = work()
        except Exception as fault:
            tell(done.set_exception, fault)
        else:
            tell(done.set_result, found)

    Thread(target=run, name="learning", daemon=True).start()
    return await done


@contextmanager
def _interrupts_to(interrupt: Callable[[], object]) -> Iterator[list[int]]:
    """Inside, SIGINT calls that and raises nothing, for an exception could fall anywhere; what it gives grows with each.

    In other threads than the main one nothing changes: no interrupt reaches them.
    """
    heard: list[int] = []

    def hear_interrupt(number: int, frame: object) -> None:
        heard.append(number)
        interrupt()

    if current_thread() is not main_thread():
        yield heard
        return
    before = signal.signal(signal.SIGINT, hear_interrupt)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


class _LoopThread:
    """A coroutine in a thread of its own."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self.result: Future[Any] = Future()

    def run(self) -> None:
        """Runs in the thread."""
        try:
            self.result.set_result(asyncio.run(self._run_noted()))
        except BaseException as fault:  # whatever it is, the thread that waits raises it
            self.result.set_exception(fault)

    async def _run_noted(self) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._running = asyncio.get_running_loop(), task
        try:
            return await self._work
        finally:
            self._running = None

    def cancel(self) -> None:
        """From any thread."""
        if (running := self._running) is not None:
            loop, task = running
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(task.cancel)
