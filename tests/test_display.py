"""What a person sees while a run goes on: a live table on a terminal, a line now and then elsewhere, and never what a server commands."""

import io
import re
import time

import pytest
from rich.console import Console

from cotforge.display import PLAIN_S, REFRESH_S, Display
from cotforge.forge import Meter, Progress


def progress() -> Progress:
    quick = Meter(asked=1200, attempts=1210, in_flight=8, input_tokens=900_000, output_tokens=100_000, cost_usd=1.5, seconds=605.0)
    failing = Meter(asked=40, failed=30, attempts=60, in_flight=2, seconds=6.0, last_error="500: out of memory")
    return Progress({"quick": quick, "failing": failing, "idle": Meter()}, samples=1300, per_sample=1, settled=900, judged=600, agreed=450)


def shown(display: Display) -> str:
    """The table as it stands on a terminal, without its colours."""
    with display.console.capture() as capture:
        display.console.print(display.table())
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get())


def terminal(of: Progress, *, expected: int | None = None) -> Display:
    return Display(of, expected=expected, console=Console(file=io.StringIO(), force_terminal=True, width=160))


def test_every_teacher_has_a_row_and_the_run_a_line() -> None:
    display = terminal(progress())
    display.begun -= 100.0
    head, *rows, line = shown(display).splitlines()
    assert head.split("  ")[0] == "teacher"
    cells = [re.split(r" {2,}", row.strip()) for row in rows]
    assert cells[0] == ["quick", "1,200", "12.0", "8", "0", "1,000,000", "$1.50", "0.5"]
    assert cells[1] == ["failing", "40", "0.4", "2", "30 500: out of memory", "0", "$0.00", "0.1"]
    assert cells[2] == ["idle", "0", "0.0", "0", "0", "0", "$0.00"]
    assert line == "1,300 samples read, 1,240 calls, 30 given up (12.4/s), $1.50; 75% agree so far"


def test_the_time_left_follows_from_the_pace_where_the_end_is_known() -> None:
    display = terminal(progress(), expected=3720)
    display.begun -= 1240.0
    assert display.line().endswith("; about 0:41:20 left")
    for expected in (None, 1240, 7):
        assert "left" not in terminal(progress(), expected=expected).line()


def test_where_answers_decide_how_many_calls_there_are_the_average_so_far_tells_the_time_left() -> None:
    of = progress()
    of.per_sample, of.samples, of.had = 0, 310, 0
    display = terminal(of, expected=620)
    display.begun -= 1240.0
    assert display.line().endswith("; about 0:20:40 left"), "four calls a sample, one a second"
    assert "left" not in terminal(Progress({"idle": Meter()}), expected=620).line()


@pytest.mark.parametrize("message", ["\x1b]0;owned\x07\x1b[2J", "[bold]loud[/] [link=http://x]y[/link]", "[/]", "a\nb\rc", "\u202eback"])
def test_a_servers_message_is_shown_as_text(message: str) -> None:
    of = Progress({"one": Meter(asked=1, failed=1, last_error=message)})
    display = terminal(of)
    text = shown(display)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text.splitlines()) == 3
    if message.startswith("["):
        assert message in text


def test_a_terminal_gets_the_live_table_and_is_left_clean() -> None:
    display = terminal(progress())
    with display:
        time.sleep(2.5 * REFRESH_S)
        display.progress.teachers["quick"].asked = 7777
        time.sleep(1.5 * REFRESH_S)
    written = display.console.file.getvalue()  # type: ignore[attr-defined]
    assert "1,200" in written
    assert "7,777" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1, "the cursor is there again"


def test_elsewhere_a_quick_run_says_nothing_and_a_line_has_no_commands() -> None:
    console = Console(file=io.StringIO(), width=40)
    begun = time.monotonic()
    with Display(progress(), console=console) as display:
        pass
    assert time.monotonic() - begun < 5.0 < PLAIN_S, "the end waits for no refresh"
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
    assert display.line().isprintable()


def test_a_fault_inside_ends_the_display_too() -> None:
    display = terminal(progress())
    with pytest.raises(KeyboardInterrupt), display:
        raise KeyboardInterrupt
    assert not display._thread.is_alive()
