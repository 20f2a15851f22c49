"""The pictures in `docs/images/`, of a run that `cotforge demo` left: `make screenshots`.

    python -m tests.screenshots runs/demo

Report and viewer are opened in Chromium, at a fixed size. No teacher is asked.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cotforge.view.serving import start_viewer

from tests.browser import PROGRAM, Browser, chromium

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DESK = (1200, 960)
"""Width and height in pixels."""
PHONE = (390, 780)
CARDS = "[...document.querySelectorAll('a.card')]"


def photograph(run: Path, folder: Path = IMAGES) -> list[Path]:
    """Write the pictures of a demo's run into a folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        browser.do("Emulation.setScrollbarsHidden", hidden=True)
        return [*_of_report(browser, run, folder), *_of_viewer(browser, run / "sums", folder)]


def _of_report(browser: Browser, run: Path, folder: Path) -> Iterator[Path]:
    """The run asked one by one, whose answers people checked; and the training of the other one."""
    browser.open(run / "sequential" / "report.html")
    yield _take_picture(browser, folder / "report.png")
    yield _take_picture(browser, folder / "report-dark.png", dark=True)
    yield _take_picture(browser, folder / "report-phone.png", size=PHONE)
    browser.open(run / "report.html")
    browser.ask("document.getElementById('training').scrollIntoView()")
    yield _take_picture(browser, folder / "report-training.png")


def _of_viewer(browser: Browser, run: Path, folder: Path) -> Iterator[Path]:
    """The list, and the first sample whose label the teachers contradict."""
    with start_viewer(run) as viewer:
        browser.visit(viewer.url)
        browser.visit(browser.ask(f"{CARDS}.find(one => one.querySelector('.conflict'))?.href ?? {CARDS}[0].href"))
        yield _take_picture(browser, folder / "view-sample.png")
        browser.visit(browser.ask("document.getElementById('back').href"))
        yield _take_picture(browser, folder / "view.png")


def _take_picture(browser: Browser, path: Path, *, size: tuple[int, int] = DESK, dark: bool = False) -> Path:
    browser.picture(path, *size, dark=dark)
    return path


if __name__ == "__main__":
    if PROGRAM is None:
        sys.exit("screenshots need a Chromium on the PATH: apt-get install chromium")
    for picture in photograph(Path(sys.argv[1])):
        print(picture)
