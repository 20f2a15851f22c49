"""The pictures in `docs/images/`, of a run that `cotforge demo` left: `make screenshots`.

    python -m tests.screenshots runs/demo

The report and the viewer are opened in Chromium, at a fixed size. Nothing here asks a teacher.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser import PROGRAM, READY, Browser, chromium

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH, HEIGHT = 1200, 860
"""Pixels of a page on a desk."""
PHONE = (390, 760)
WAIT_S = 60


def photograph(run: Path, folder: Path = IMAGES) -> list[Path]:
    """Write report.png, report-dark.png, report-phone.png, view.png and view-sample.png of a run; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        return [*_of_report(browser, run, folder), *_of_viewer(browser, run, folder)]


def _of_report(browser: Browser, run: Path, folder: Path) -> Iterator[Path]:
    browser.open(run / "report.html")
    yield _taken(browser, folder / "report.png")
    yield _taken(browser, folder / "report-dark.png", dark=True)
    yield _taken(browser, folder / "report-phone.png", size=PHONE)


def _of_viewer(browser: Browser, run: Path, folder: Path) -> Iterator[Path]:
    with _served(run) as address:
        _visit(browser, address)
        yield _taken(browser, folder / "view.png")
        sample = browser.ask("document.querySelector('a[href*=\"sample\"]').href")
        _visit(browser, sample)
        yield _taken(browser, folder / "view-sample.png")


def _visit(browser: Browser, address: str) -> None:
    browser.do("Page.navigate", url=address)
    browser.ask(READY)


def _taken(browser: Browser, path: Path, *, size: tuple[int, int] = (WIDTH, HEIGHT), dark: bool = False) -> Path:
    browser.picture(path, *size, dark=dark)
    return path


@contextmanager
def _served(run: Path) -> Iterator[str]:
    """The address that `cotforge view` prints, while it serves."""
    command = [sys.executable, "-m", "cotforge", "view", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()
            process.wait(WAIT_S)


if __name__ == "__main__":
    if PROGRAM is None:
        sys.exit("screenshots need a Chromium on the PATH: apt-get install chromium")
    for picture in photograph(Path(sys.argv[1])):
        print(picture)
