"""What is written down of a stage while it goes on, and shown: a row per optimizer step, and how long it will still take."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_S = 10.0
"""Seconds between plain lines (ours)."""
SHOWN = ("loss", "reward", "eval_accuracy", "mean_token_accuracy")
"""Metrics that the display shows, where a stage has them."""


class Record:
    """`metrics.jsonl` of one stage, and its line on the terminal (all of it on stderr). Rows go under TRL's own names.

    Without a file it is silent: that of a process beside the first one.
    """

    def __init__(
        self, file: Path | None, name: str, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._name = file, name
        self._console = console or Console(stderr=True)
        self._clock, self._told = clock, clock()
        self._file: TextIO | None = None
        self._bar: Progress | None = None
        self._total = 0
        self.last: dict[str, Any] = {}
        """The last row."""
        if file is None:
            self._console = Console(quiet=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            self._file.close()

    def begin(self, *, step: int, total: int) -> None:
        """From `step` on; rows of later steps, which an interrupted run has left, go."""
        self._total = total
        if self._path is None:
            return
        kept = [line for line in self._lines() if json.loads(line)["step"] <= step]
        self.last = json.loads(kept[-1]) if kept else {}
        passing = self._path.with_name(f".{self._path.name}.new")
        passing.write_text("".join(kept), encoding="utf-8")
        passing.replace(self._path)
        self._file = self._path.open("a", encoding="utf-8")
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
            self._bar.add_task(self._name, total=total, completed=step, said="")
            self._bar.start()

    def row(self, step: int, metrics: dict[str, Any]) -> None:
        """What an optimizer step came to."""
        self.last = {"step": step, **metrics}
        if self._file is not None:
            self._file.write(json.dumps(self.last, default=float) + "\n")
            self._file.flush()
        said = "  ".join(f"{name} {metrics[name]:.4g}" for name in SHOWN if isinstance(metrics.get(name), int | float))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, said=said)
        elif self._clock() - self._told >= PLAIN_S:
            self._told = self._clock()
            self.say(f"step {step:,} of {self._total:,}  {said}")

    def say(self, line: str) -> None:
        """A line for the user."""
        self._console.print(f"{self._name}: {line}", markup=False, highlight=False, soft_wrap=True)

    def _lines(self) -> list[str]:
        """The whole lines so far; the last one may have been cut short."""
        if self._path is None or not self._path.exists():
            return []
        return [line for line in self._path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
