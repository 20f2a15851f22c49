"""What is written down of a stage while it goes on, and shown: a row per optimizer step, and how long it will still take."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from cotforge.atomic import write_whole
from cotforge.notices import progress_console

PLAIN_S = 10.0
"""Seconds between plain lines (ours)."""
PAGE_S = 60.0
"""Seconds between two times that the page is brought up to date (ours)."""
SHOWN = {
    "loss": "loss",
    "mean_token_accuracy": "tokens right",
    "reward": "reward",
    "accuracy": "right",
    "format_rate": "well formed",
    "eval_accuracy": "held out",
}
"""Metrics that the display shows, where a stage has them, and what they are called there."""


class Bar(Progress):
    """A bar with a line below it."""

    said = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """What is shown, from above."""
        yield from super().get_renderables()
        if self.said:
            yield Text(self.said, style="dim")


class ProgressBar:
    """How far something has come, for a person: a bar on a terminal, elsewhere a plain line now and then; all of it on stderr."""

    def __init__(self, name: str, *, unit: str = "", console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self._unit = name, unit
        self._console = console or progress_console()
        self._clock, self._told = clock, clock()
        self._begun = (self._told, 0)
        self._bar: Bar | None = None
        self._total = 0

    def begin(self, *, at: int, total: int) -> None:
        """Of `total`, so many are done already."""
        self._total, self._begun = total, (self._clock(), at)
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.add_task(self.name, total=total, completed=at)
            self._bar.start()

    def show(self, at: int, said: str = "") -> None:
        """It has come so far."""
        if self._bar is not None:
            self._bar.said = said
            self._bar.update(self._bar.task_ids[0], completed=at)
        elif self._clock() - self._told >= PLAIN_S:
            self._told = self._clock()
            self.say("  ".join(filter(None, (f"{self._unit}{at:,} of {self._total:,}", said, self._time_left(at)))))

    def say(self, line: str) -> None:
        """A line for the user."""
        self._console.print(f"{self.name}: {line}", markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing more is shown."""
        if self._bar is not None:
            self._bar.stop()

    def _time_left(self, at: int) -> str:
        """About how long it will go on, by the pace so far."""
        since, first = self._begun
        if at <= first:
            return ""
        seconds = int((self._total - at) * (self._clock() - since) / (at - first))
        return f"about {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


@contextmanager
def count_progress(name: str, total: int, *, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Shows how many of `total` are over: what it gives is told how many more."""
    meter, over = ProgressBar(name, console=console), 0

    def more(count: int) -> None:
        nonlocal over
        over += count
        meter.show(over)

    meter.begin(at=0, total=total)
    try:
        yield more
    finally:
        meter.close()


class MetricsLog:
    """`metrics.jsonl` of one stage, and its line on the terminal. Rows go under TRL's own names.

    `known` is what is known before and shown with each row; `page` is called now and then, and when it is interrupted, to bring up to
    date what shows the rows.
    Without a file it is silent: that of a process beside the first one.
    """

    def __init__(
        self,
        file: Path | None,
        name: str,
        *,
        known: str = "",
        page: Callable[[], object] = bool,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._known, self._page, self._clock = file, known, page, clock
        self._meter = ProgressBar(name, unit="step ", console=console if file is not None else Console(quiet=True), clock=clock)
        self._shown = clock()
        self._file: TextIO | None = None
        self.last: dict[str, Any] = {}
        """The last row."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._meter.close()
        if self._file is not None:
            self._file.close()
            if kind is KeyboardInterrupt:
                self._page()

    def begin(self, *, step: int, total: int) -> None:
        """From `step` on; rows of later steps, which an interrupted run has left, go."""
        if self._path is None:
            return
        kept = [line for line in self._whole_lines() if json.loads(line)["step"] <= step]
        self.last = json.loads(kept[-1]) if kept else {}
        write_whole(self._path, "".join(kept))
        self._file = self._path.open("a", encoding="utf-8")
        self._meter.begin(at=step, total=total)

    def row(self, step: int, metrics: dict[str, Any]) -> None:
        """What an optimizer step came to."""
        self.last = {"step": step, **metrics}
        if self._file is None:
            return
        self._file.write(json.dumps(self.last, default=float) + "\n")
        self._file.flush()
        said = [f"{title} {metrics[name]:.4g}" for name, title in SHOWN.items() if isinstance(metrics.get(name), int | float)]
        self._meter.show(step, "  ".join(filter(None, (*said, self._known))))
        if self._clock() - self._shown >= PAGE_S:
            self._page()
            self._shown = self._clock()

    def say(self, line: str) -> None:
        """A line for the user."""
        self._meter.say(line)

    def _whole_lines(self) -> list[str]:
        """The whole lines so far; the last one may have been cut short."""
        if self._path is None or not self._path.exists():
            return []
        return [line for line in self._path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
