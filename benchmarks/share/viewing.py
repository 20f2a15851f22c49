"""How quickly `cotforge view` opens and filters, and what it holds in memory."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from statistics import median
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import psutil

from benchmarks.forge.table import print_table
from benchmarks.share.maker import MadeRun

ROUNDS = 5
"""Times that each filter is asked for."""
FILTERS: dict[str, dict[str, str]] = {
    "nothing": {},
    "class": {"answer": "awe"},
    "label": {"label": "fear"},
    "verdict": {"verdict": "disagreed"},
    "reason": {"reason": "vote:no_majority"},
    "against the label": {"conflict": "yes"},
    "teacher and fate": {"teacher": "eve", "fate": "wrong"},
    "range of a measure": {"measure": "reasoning_words", "min": "300", "max": "320"},
    "all of these, the least sure first": {
        "answer": "awe", "conflict": "yes", "teacher": "ann", "measure": "reasoning_words", "min": "100", "order": "unsure",
    },
    "text, frequent": {"text": "karen"},
    "text, in no trace": {"text": "zebra"},
}  # fmt: skip
"""What is asked for, as the viewer's addresses have it."""


@dataclass
class OpenViewer:
    """A viewer that runs, and a browser's part of talking to it."""

    process: psutil.Process
    opener: OpenerDirector
    address: str
    """Without the token."""
    seconds: float
    """From the start of the process to the whole first page."""

    def get(self, query: dict[str, str]) -> tuple[float, int]:
        """(seconds, bytes) of a page. Raises URLError where there is none."""
        begun = time.perf_counter()
        with self.opener.open(f"{self.address}?{urlencode(query)}", timeout=60) as page:
            size = len(page.read())
        return time.perf_counter() - begun, size

    @property
    def megabytes(self) -> float:
        """MB of proportional set size."""
        return float(self.process.memory_full_info().pss) / 1e6


@contextmanager
def viewer_of(made: MadeRun) -> Iterator[OpenViewer]:
    """`cotforge view` in a process of its own, its first page read."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", "from cotforge.cli import main; main()", "view", str(made.run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        try:
            assert child.stdout is not None
            said = ""
            while (found := re.search(r"(http://127\.0\.0\.1:\d+/)\?\S+", said)) is None:
                line = child.stdout.readline()
                if not line:
                    raise RuntimeError(f"cotforge view: {said[-2000:]}")
                said += line
            opener = build_opener(HTTPCookieProcessor(CookieJar()))
            with opener.open(found[0], timeout=60) as page:
                page.read()
            viewer = OpenViewer(psutil.Process(child.pid), opener, found[1], 0.0)
            viewer.get({})
            viewer.seconds = time.perf_counter() - begun
            yield viewer
        finally:
            child.terminate()


def print_views(made: MadeRun) -> None:
    """Start, first page, and every kind of filter."""
    with viewer_of(made) as viewer:
        opened = viewer.megabytes
        lines, most = [], opened
        for name, query in FILTERS.items():
            times, size = [], 0
            for _ in range(ROUNDS):
                seconds, size = viewer.get(query)
                times.append(1000 * seconds)
            most = max(most, viewer.megabytes)
            lines.append([name, f"{times[0]:,.0f}", f"{median(times):,.0f}", f"{max(times):,.0f}", f"{size / 1000:,.0f}"])
    print(f"\n`cotforge view`: first page after {viewer.seconds:.2f} s with {opened:,.0f} MB, at most {most:,.0f} MB\n")
    print_table(("filter", "first, ms", "median, ms", "longest, ms", "page, kB"), lines)
