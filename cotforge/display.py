"""What a person sees while a run goes on: a live table on a terminal, a plain line now and then elsewhere. All of it on stderr."""

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cotforge.endings import Closing
from cotforge.forge import Progress, TeacherCounts
from cotforge.notices import progress_console
from cotforge.sources.values import clean_value
from cotforge.visible import show_invisible

REFRESH_S = 0.5
PLAIN_S = 10.0
"""Seconds between plain lines."""
LATEST_S = 60.0
"""Seconds from whose calls the time left is computed; before so many have passed, none is shown."""


class Display:
    """Shows a Progress for as long as it is open.

    `expected` is the number of Samples there will be, where it is known; without it there is no estimate of the time left.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        expected: int | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress, self.expected, self._clock = progress, expected, clock
        self.console = console or progress_console()
        self.begun = clock()
        self._looks = deque([(self.begun, progress.asked)])
        """When it was looked at, and how many Calls had ended then; the first is `LATEST_S` old, where there is one so old."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show_line, name="display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _show_line(self) -> None:
        if not self.console.is_terminal:
            while not self._over.wait(PLAIN_S):
                self.console.print(self.line(), markup=False, highlight=False, soft_wrap=True)
            return
        with Live(self.table(), console=self.console, auto_refresh=False, transient=True) as live:
            while not self._over.wait(REFRESH_S):
                live.update(self.table(), refresh=True)

    def line(self) -> str:
        """The state of the run in one line."""
        progress = self.progress
        self._look_at_run()
        cost = sum(meter.cost_usd for meter in progress.teachers.values())
        failed = f", {progress.failed:,} given up" if progress.failed else ""
        agreed = f"; {progress.agreed / progress.judged:.0%} of samples accepted so far" if progress.judged else ""
        money = f", ${cost:,.2f}" if cost else ""
        return (
            f"{progress.samples:,} rows read, {progress.asked:,} calls{failed} ({self._call_rate(progress.asked):.1f}/s){money}"
            f"{agreed}{self._time_left()}{self._longest_wait()}{self._trouble_lines()}"
        )

    def table(self) -> Group:
        """The state of the run as a table, a row per teacher."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("teacher")
        for name in ("calls", "per s", "in flight", "given up", "tokens", "cost", "seconds each"):
            table.add_column(name, justify="right")
        for name, meter in self.progress.teachers.items():
            table.add_row(escape(name), *self._teacher_cells(meter))
        return Group(table, Text(self.line(), style="dim"))

    def _teacher_cells(self, meter: TeacherCounts) -> list[str]:
        return [
            f"{meter.asked:,}",
            f"{self._call_rate(meter.asked):.1f}",
            f"{meter.in_flight:,}",
            f"{meter.failed:,}" if not meter.failed else f"[red]{meter.failed:,}[/] {escape(_message_beginning(meter.last_error))}",
            f"{meter.input_tokens + meter.output_tokens:,}",
            f"${meter.cost_usd:,.2f}",
            f"{meter.seconds / meter.ended:.1f}" if meter.ended > 0 else "",
        ]

    def _call_rate(self, count: int) -> float:
        return count / max(self._clock() - self.begun, 1e-9)

    def _look_at_run(self) -> None:
        now = self._clock()
        self._looks.append((now, self.progress.asked))
        while self._looks[1][0] <= now - LATEST_S:
            self._looks.popleft()

    def _longest_wait(self) -> str:
        """Whom a Call that takes long is waited for, and since when."""
        found = {name: waiting for name, meter in self.progress.teachers.items() if (waiting := meter.waiting(self._clock()))}
        told = [
            f"{name}: {calls:,} {'call' if calls == 1 else 'calls'} for {_clock_time(seconds)}" for name, (calls, seconds) in found.items()
        ]
        return f"; waiting for {', '.join(told)}" if told else ""

    def _trouble_lines(self) -> str:
        """Teachers that are not asked any more, or whose last attempt failed; once stopped, what is still waited for."""
        if self.progress.stopped:
            flying = {name: meter.in_flight for name, meter in self.progress.teachers.items() if meter.in_flight}
            return f"; stopping, in flight: {', '.join(f'{name} {count:,}' for name, count in flying.items())}" if flying else ""
        troubled = [
            f"{name}: {closed or meter.trouble}"
            for name, meter in self.progress.teachers.items()
            if (closed := meter.closed if meter.closed is not Closing.OVER else None) or (meter.trouble and not meter.closed)
        ]
        return f"; in trouble: {', '.join(troubled)}" if troubled else ""

    def _time_left(self) -> str:
        """About how long it will go on, by the Calls of the latest minute; nothing where there is no minute yet, or no Call in it."""
        progress = self.progress
        left = (self.expected or 0) * progress.usual - progress.asked - progress.had
        (since, asked), now = self._looks[0], self._clock()
        if left <= 0 or progress.asked == asked or now - since < LATEST_S:
            return ""
        return f"; about {_clock_time(left * (now - since) / (progress.asked - asked))} left"


def _clock_time(seconds: float) -> str:
    """`2:13`, or `1:02:13`."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _message_beginning(text: str) -> str:
    """The beginning of a server's message, without anything that a terminal would obey."""
    return show_invisible(" ".join(clean_value(text).split())[:60])
