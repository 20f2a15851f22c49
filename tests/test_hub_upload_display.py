"""What a person sees of an upload: one line that changes, and nothing that a terminal would obey."""

import io
import time

from rich.console import Console

from cotforge.hub.upload_display import UploadDisplay
from cotforge.hub.upload_meter import UploadMeter


def test_a_terminal_shows_a_line_without_escapes_from_elsewhere_and_is_left_clean() -> None:
    meter = UploadMeter()
    meter.begin_phase("uploading \x1b]0;title\x07", 100)
    meter.set_place("a", 40)
    shown = io.StringIO()
    with UploadDisplay(meter, Console(file=shown, force_terminal=True, width=200)):
        end = time.monotonic() + 20
        while "40% of 100 B" not in shown.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
    assert "40% of 100 B" in shown.getvalue()
    assert "\x1b]0;" not in shown.getvalue()
    assert shown.getvalue().rstrip().endswith("\x1b[2K")


def test_without_a_console_nothing_is_shown() -> None:
    with UploadDisplay(UploadMeter(), None):
        pass
