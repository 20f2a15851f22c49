"""What a person sees while a run goes on: a live table on a terminal, a line now and then elsewhere, and never what a server commands."""

import io
import re
import time

import pytest
from rich.console import Console

from cotforge.display import PLAIN_S, REFRESH_S, Display
from cotforge.forge import Progress, TeacherCounts


def progress() -> Progress:
    quick = TeacherCounts(asked=1200, attempts=1210, in_flight=8, input_tokens=900_000, output_tokens=100_000, cost_usd=1.5, seconds=605.0)
    failing = TeacherCounts(asked=40, failed=30, attempts=60, in_flight=2, seconds=6.0, last_error="500: out of memory")
    return Progress(
        {"quick": quick, "failing": failing, "idle": TeacherCounts()}, samples=1300, per_sample=1, settled=900, judged=600, agreed=450
    )


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
    assert line == "1,300 rows read, 1,240 calls, 30 given up (12.4/s), $1.50; 75% of samples accepted so far"


def test_the_seconds_of_a_call_are_the_mean_of_those_that_ended_and_nothing_is_shown_before() -> None:
    waiting = TeacherCounts(attempts=8, in_flight=8)
    half = TeacherCounts(asked=4, attempts=8, in_flight=4, seconds=4.48)
    _, *rows, _ = shown(terminal(Progress({"waiting": waiting, "half": half}))).splitlines()
    cells = [re.split(r" {2,}", row.strip()) for row in rows]
    assert cells[0][-1] == "$0.00"
    assert cells[1][-1] == "1.1"


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_from_the_calls_of_the_latest_minute_and_is_not_told_before_there_is_one() -> None:
    of, clock = progress(), Clock()
    of.samples = of.teachers["quick"].asked = of.teachers["failing"].asked = 0
    display = Display(of, expected=4000, console=Console(file=io.StringIO()), clock=clock)
    for _ in range(5):
        clock.now += 10.0
        of.teachers["quick"].asked += 1
        assert "left" not in display.line(), "the first minute may read the source, or learn"
    for _ in range(12):
        clock.now += 10.0
        of.teachers["quick"].asked += 100
        last = display.line()
    left = (4000 - 5 - 1200) / 10
    assert f"; about {int(left) // 60}:{int(left) % 60:02} left" in last, "ten a second now, however slow the beginning was"
    for _ in range(7):
        clock.now += 10.0
        last = display.line()
    assert "left" not in last, "nothing came for a minute"


@pytest.mark.parametrize("expected", [None, 1240, 7])
def test_where_no_end_is_known_or_it_is_reached_no_time_is_told(expected: int | None) -> None:
    of, clock = progress(), Clock()
    display = Display(of, expected=expected, console=Console(file=io.StringIO()), clock=clock)
    clock.now += 120.0
    of.teachers["quick"].asked += 10
    assert "left" not in display.line()


def test_where_answers_decide_how_many_calls_there_are_the_average_so_far_tells_the_time_left() -> None:
    of, clock = progress(), Clock()
    of.per_sample, of.samples, of.had = 0, 310, 0
    display = Display(of, expected=620, console=Console(file=io.StringIO()), clock=clock)
    of.teachers["quick"].asked += 60
    of.samples = 325
    clock.now += 60.0
    assert "; about 0:19:" not in display.line()
    assert "; about 19:40 left" in display.line(), "four calls a sample, one a second"


def test_a_call_that_hangs_is_named_with_its_teacher_and_since_when() -> None:
    of, clock = progress(), Clock()
    display = Display(of, console=Console(file=io.StringIO()), clock=clock)
    of.teachers["quick"].begun |= {1: clock.now, 2: clock.now + 100.0, 3: clock.now + 132.0}
    of.teachers["failing"].begun |= {4: clock.now + 130.0}
    clock.now += 29.0
    assert "waiting" not in display.line()
    clock.now += 104.0
    assert "; waiting for quick: 2 calls for 2:13" in display.line()
    del of.teachers["quick"].begun[2]
    clock.now += 3600.0
    del of.teachers["quick"].begun[3], of.teachers["failing"].begun[4]
    assert "; waiting for quick: 1 call for 1:02:13" in display.line()


def test_a_teacher_whose_calls_all_take_minutes_is_not_said_to_hang() -> None:
    of, clock = Progress({"slow": TeacherCounts(attempts=12, in_flight=2, seconds=1000.0, begun={1: 1000.0})}), Clock()
    display = Display(of, console=Console(file=io.StringIO()), clock=clock)
    clock.now += 290.0
    assert "waiting" not in display.line()
    clock.now += 20.0
    assert "; waiting for slow: 1 call for 5:10" in display.line()


@pytest.mark.parametrize("message", ["\x1b]0;owned\x07\x1b[2J", "[bold]loud[/] [link=http://x]y[/link]", "[/]", "a\nb\rc", "\u202eback"])
def test_a_servers_message_is_shown_as_text(message: str) -> None:
    of = Progress({"one": TeacherCounts(asked=1, failed=1, last_error=message)})
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
