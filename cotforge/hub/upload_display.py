"""What a person sees while a push goes on: one changing line on a terminal, plain lines elsewhere."""

import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cotforge.errors import printable_line
from cotforge.hub.upload_meter import UploadMeter

REFRESH_S = 0.5
PLAIN_S = 10.0


class UploadDisplay:
    """Shows a meter for as long as it is open; nothing without a console."""

    def __init__(self, meter: UploadMeter, console: Console | None) -> None:
        self._meter, self._console = meter, console
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="upload-display", daemon=True)

    def __enter__(self) -> Self:
        if self._console is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self._console is not None:
            self._thread.join()

    def _show(self) -> None:
        assert self._console is not None
        if not self._console.is_terminal:
            while not self._over.wait(PLAIN_S):
                self._console.print(printable_line(self._meter.progress_line()), markup=False, highlight=False, soft_wrap=True)
            return
        with Live(self._line(), console=self._console, auto_refresh=False, transient=True) as live:
            while not self._over.wait(REFRESH_S):
                live.update(self._line(), refresh=True)

    def _line(self) -> Text:
        return Text(printable_line(self._meter.progress_line()), style="dim")
