"""What a person sees of a stage while it goes on, and what is called meanwhile."""

import io
import json
import os
from pathlib import Path

from rich.console import Console

from cotforge.train.report.record import PAGE_S, MetricsLog, count_progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_there_is_a_plain_line_now_and_then_with_metrics_and_the_time_left(tmp_path: Path) -> None:
    said, clock = io.StringIO(), Clock()
    console = Console(file=said)
    with MetricsLog(tmp_path / "metrics.jsonl", "reason", known="held out so far: accuracy 0.500", console=console, clock=clock) as record:
        record.begin(step=0, total=1_000)
        for step in range(1, 26):
            clock.now = step
            record.row(step, {"loss": 0.5, "reward": 0.25, "accuracy": 1 / 3, "grad_norm": 1.0})
    known = "loss 0.5  reward 0.25  right 0.3333  held out so far: accuracy 0.500"
    assert said.getvalue().splitlines() == [
        f"reason: step 10 of 1,000  {known}  about 0:16:30 left",
        f"reason: step 20 of 1,000  {known}  about 0:16:20 left",
    ]
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [*range(1, 26)]


def test_on_a_terminal_there_is_a_bar_with_metrics_and_the_time_left(tmp_path: Path) -> None:
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    with MetricsLog(tmp_path / "metrics.jsonl", "reason", known="held out so far: accuracy 0.500", console=console) as record:
        record.begin(step=40, total=100)
        record.row(41, {"loss": 0.5, "reward": 0.25})
        record.say("a line")
    shown = said.getvalue()
    assert all(
        words in shown for words in ("41/100", "loss 0.5  reward 0.25  held out so far: accuracy 0.500", "reason: a line", "-:--:--")
    )


def test_the_page_is_brought_up_to_date_once_a_minute(tmp_path: Path) -> None:
    clock, shown = Clock(), []
    with MetricsLog(
        tmp_path / "metrics.jsonl", "reason", page=lambda: shown.append(clock.now), console=Console(quiet=True), clock=clock
    ) as record:
        record.begin(step=0, total=300)
        for step in range(1, 151):
            clock.now = step
            record.row(step, {})
    assert shown == [PAGE_S, 2 * PAGE_S]


def test_a_process_beside_the_first_one_says_and_writes_nothing(tmp_path: Path) -> None:
    before = os.listdir(tmp_path)
    with MetricsLog(None, "reason", page=lambda: 1 / 0) as record:
        record.begin(step=0, total=3)
        record.row(1, {"loss": 1.0})
        record.say("nobody hears it")
        assert record.last == {"step": 1, "loss": 1.0}
    assert os.listdir(tmp_path) == before


def test_counting_shows_how_many_are_over() -> None:
    said = io.StringIO()
    with count_progress(
        "trying 00-base", 40, console=Console(file=said, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    ) as done:
        done(16)
        done(16)
    assert "trying 00-base" in said.getvalue()
    assert "32/40" in said.getvalue()
