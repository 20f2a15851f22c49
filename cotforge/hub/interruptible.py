"""Work that Ctrl-C ends at once, although the client's threads wait for a server."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Outcome = TypeVar("Outcome")


def run_interruptibly(work: Callable[[], Outcome], *, stop: Callable[[], object]) -> Outcome:
    """What the work gives, done in a thread of its own. Raises what it raises; at a KeyboardInterrupt it is told to `stop`, and left alone.

    The client joins its threads before an exception leaves it, so that an interrupt in its own thread waits for every request in flight.
    """
    outcome: Future[Outcome] = Future()
    context = contextvars.copy_context()

    def done() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as fault:
            outcome.set_exception(fault)

    threading.Thread(target=done, name="push", daemon=True).start()
    try:
        return outcome.result()
    except KeyboardInterrupt:
        stop()
        raise
