"""The pictures in `docs/images/`, of a run that `cotforge demo` left: `make screenshots`.

    python -m tests.screenshots runs/demo

Report and viewer are opened in Chromium, at a fixed size. No teacher is asked.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from cotforge.view.serving import start_viewer
from tests.browser import PROGRAM, READY, START_S, Browser, chromium

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DESK = (1200, 960)
"""Width and height in pixels."""
PHONE = (390, 780)
COLOURS = 128
"""Of a picture: a third of the bytes, and nothing to be seen of it."""
CARDS = "[...document.querySelectorAll('a.card')]"


def photograph(run: Path, folder: Path = IMAGES) -> list[Path]:
    """Write the pictures of a demo's run into a folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        browser.do("Emulation.setScrollbarsHidden", hidden=True)
        return [*_of_report(browser, run, folder), *_of_viewer(browser, run / "sums", folder)]


def _of_report(browser: Browser, run: Path, folder: Path) -> Iterator[Path]:
    """The report of the digits: its head in light and dark and on a phone, its samples and its training."""
    browser.open(run / "report.html")
    yield _take_picture(browser, folder / "report-phone.png", size=PHONE)
    yield _take_picture(browser, folder / "report-dark.png", dark=True)
    yield _take_picture(browser, folder / "report.png")
    for part in ("samples", "training"):
        for _ in range(3):  # parts above are laid out as they come near, which moves what is below
            browser.ask(f"document.getElementById('{part}').scrollIntoView()")
            browser.ask(READY)
        yield _take_picture(browser, folder / f"report-{part}.png")


def _of_viewer(browser: Browser, run: Path, folder: Path) -> Iterator[Path]:
    """The list, and the first sample whose label the teachers contradict."""
    with start_viewer(run) as viewer:
        browser.visit(viewer.url)
        _wait_for_pictures(browser)
        yield _take_picture(browser, folder / "view.png")
        browser.visit(browser.ask(f"{CARDS}.find(one => one.querySelector('.conflict'))?.href ?? {CARDS}[0].href"))
        yield _take_picture(browser, folder / "view-sample.png")


def _wait_for_pictures(browser: Browser) -> None:
    """Until the viewer has found all pictures of the page in the source, which it reads meanwhile."""
    end = time.monotonic() + START_S
    while browser.ask("document.querySelector('.card .empty') !== null") and time.monotonic() < end:
        time.sleep(0.5)
        browser.visit(browser.ask("location.href"))


def _take_picture(browser: Browser, path: Path, *, size: tuple[int, int] = DESK, dark: bool = False) -> Path:
    browser.picture(path, *size, dark=dark)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    return path


if __name__ == "__main__":
    if PROGRAM is None:
        sys.exit("screenshots need a Chromium on the PATH: apt-get install chromium")
    for picture in photograph(Path(sys.argv[1])):
        print(picture)
