"""Starts the viewer of a run, for the command and for Python."""

import asyncio
import html
import os
import signal
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cotforge.errors import JournalError
from cotforge.given_answers import REVIEWER
from cotforge.view.viewed_run import ViewedRun

if TYPE_CHECKING:
    from cotforge.view.guard import ViewGuard
    from cotforge.view.routes import RunPages

HOST = "127.0.0.1"
"""Nothing else is listened on: a viewer on another machine is reached by `ssh -L PORT:127.0.0.1:PORT`."""


class RunViewer:
    """A viewer that serves a run in a thread of its own, until it is stopped.

        with start_viewer("runs/emotions") as viewer:
            print(viewer.url)

    In a notebook its value is a link.
    """

    def __init__(self, pages: "RunPages", guard: "ViewGuard", port: int) -> None:
        self._pages, self._guard = pages, guard
        self._loop = asyncio.new_event_loop()
        self._started: threading.Event = threading.Event()
        self._fault: OSError | None = None
        self._ends: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._serve_pages, args=(port,), name="viewer", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._fault is not None:
            self._thread.join()
            why = os.strerror(self._fault.errno or 0).lower()
            raise JournalError(f"{HOST}:{port}: cannot be listened on ({why}); choose another port with --port") from self._fault

    @property
    def url(self) -> str:
        """The address to open. It holds the secret of this start: whoever has it can see the run and answer."""
        return self._guard.url

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._guard.port

    def stop(self) -> None:
        """End it; nothing happens where it has ended."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._end_loop)
            self._thread.join()

    def wait(self) -> None:
        """Until it is stopped by another thread, or this one is interrupted."""
        while self._thread.is_alive():
            self._thread.join(3600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _repr_html_(self) -> str:
        return (
            f'<a href="{html.escape(self.url)}" target="_blank" rel="noreferrer">{html.escape(self._pages.run.name)}: open the viewer</a>'
        )

    def _end_loop(self) -> None:
        if self._ends is not None:
            self._ends.set()

    def _serve_pages(self, port: int) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen_until_end(port))
        except OSError as fault:
            self._fault = fault
        finally:
            self._loop.close()
            self._pages.close()
            self._started.set()

    async def _listen_until_end(self, port: int) -> None:
        from aiohttp import web

        self._ends = asyncio.Event()
        runner = web.AppRunner(self._pages.application(self._guard), access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port).start()
            self._guard.port = runner.addresses[0][1]
            self._started.set()
            await self._ends.wait()
        finally:
            await runner.cleanup()


def start_viewer(
    run: str | Path, *, port: int = 0, trust: bool = True, person: str = REVIEWER, trusted_origins: Sequence[str] = ()
) -> RunViewer:
    """Serve the pages of a run folder on 127.0.0.1; port 0 takes a free one.

    It has begun to listen when this returns.

    `person` is under whose name answers are saved; `trust` as in `Loaded.load`; `trusted_origins` are origins of pages that may show it.
    Raises PipelineError where the folder is no run, JournalError where the port is taken.
    """
    viewed = ViewedRun(Path(run), trust=trust)
    viewed.warm_up()  # first of all: the index is read while the libraries of the server are imported
    from cotforge.view.guard import ViewGuard
    from cotforge.view.reviewing import RunReview
    from cotforge.view.routes import RunPages

    guard = ViewGuard(tuple(trusted_origins))
    return RunViewer(RunPages(viewed, RunReview(viewed, person=person)), guard, port)


def serve_until_interrupted(viewer: RunViewer, *, tell: Callable[[str], object], opens: bool = False) -> None:
    """Tell the address, with `opens` also to the browser, and serve until Ctrl-C or SIGTERM."""
    with viewer, suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        tell(viewer.url)
        if opens:
            webbrowser.open(viewer.url)
        viewer.wait()
