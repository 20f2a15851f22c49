"""A coroutine run to its end from code that is not async, with and without a loop that runs already."""

import asyncio
import contextvars
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cotforge.coroutines import run_coroutine

WORD = contextvars.ContextVar("WORD", default="none")


def within_a_loop(call: Callable[[], Any]) -> Any:
    async def cell() -> Any:
        return call()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(cell())
    finally:
        loop.close()


async def seven() -> tuple[int, str, str]:
    await asyncio.sleep(0)
    return 7, WORD.get(), threading.current_thread().name


def test_without_a_loop_it_runs_in_this_thread_and_with_one_in_another_with_the_same_context() -> None:
    WORD.set("mine")
    here = threading.current_thread().name
    assert run_coroutine(seven()) == (7, "mine", here)
    assert within_a_loop(lambda: run_coroutine(seven())) == (7, "mine", "cotforge")


def test_what_it_raises_is_raised() -> None:
    async def fails() -> None:
        raise LookupError("here")

    for run in (lambda: run_coroutine(fails()), lambda: within_a_loop(lambda: run_coroutine(fails()))):
        with pytest.raises(LookupError, match="here"):
            run()


def test_an_interrupt_cancels_it_and_waits_for_its_end() -> None:
    ended = []

    async def waits() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        within_a_loop(lambda: run_coroutine(waits()))
    assert ended == [True]


def test_an_interrupt_calls_what_was_given_for_it_as_often_as_it_comes() -> None:
    calls: list[int] = []
    told = threading.Event()

    async def waits() -> str:
        for _ in range(2):
            told.clear()
            os.kill(os.getpid(), signal.SIGINT)
            while not told.is_set():
                await asyncio.sleep(0.001)
        return "done"

    def interrupt() -> None:
        calls.append(1)
        told.set()

    assert within_a_loop(lambda: run_coroutine(waits(), interrupt=interrupt)) == "done"
    assert calls == [1, 1]
