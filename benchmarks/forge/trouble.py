"""Servers in trouble, and what of it a run feels. Prints the second half of the tables of benchmarks/README.md.

python -m benchmarks.forge.trouble
python -m benchmarks.forge.trouble --smoke
"""

import argparse
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.forge import data
from benchmarks.forge.data import Rows
from benchmarks.forge.process import cotforge, served, spend, started, teacher
from benchmarks.forge.table import print_table
from tests.noise import FAULTS

LATENCY = 0.05
"""Seconds until a teacher answers."""
LIMIT = 16
"""Requests in flight that the refusing server takes."""
KNEE = 32
"""Requests in flight above which the silent server slows down."""
KILLS = 50
ROUNDS = 3
NOISES: dict[str, tuple[Sequence[str], float]] = {
    "none": ((), 0.0),
    "1 % of 429": (("429",), 1.3),
    "1 % of 429 with Retry-After: 1": (("429, Retry-After: 1",), 1.3),
    "1 % of hangs": (("hang",), 2.0),
    "all 18 faults, 1 % each": (tuple(FAULTS), 3.0),
}
"""What strikes a hundredth of all requests each, and how much longer a run may take."""

Figure = tuple[str, str, str]
"""Name, value, what is wanted."""


def main() -> None:
    """Measures and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where a gigabyte may lie for a while (default: runs)")
    parser.add_argument("--smoke", action="store_true", help="200 rows, 3 kills: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.rows = 200
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder.absolute()) as folder:
        there = Path(folder)
        rows = data.rows(there / "rows", options.rows)
        many = data.rows(there / "many", 4 * options.rows, side=(208, 156), size=2048)
        for title, figures in (
            (f"A server that takes {LIMIT} in flight and refuses what is above with 429", refusing(there, rows)),
            (f"A silent server, slower by the square above {KNEE} in flight; `concurrency: 256`", silent(there, many)),
            ("Three replicas, one killed in the middle", replicas(there, many)),
            ("5 % of the calls fail for good", failing(there, rows)),
            ("A share of all requests struck at random, whatever is in flight; 30 ms, `concurrency: 64`", noisy(there, many)),
            ("SIGKILL at random moments of one run", killed(there, rows, kills=3 if options.smoke else KILLS)),
        ):
            print(f"\n{title}\n", flush=True)
            print_table(("", "cotforge", "wanted"), figures)


@contextmanager
def prepared(folder: Path, rows: Rows, *urls: str, **fields: object) -> Iterator[tuple[str | Path, ...]]:
    """The arguments of a build in a new run folder, with pictures already validated."""
    asked = {"name": "local", "model": "local", "url": list(urls), "listed": False, **fields}
    run = folder / "run"
    where = data.pipeline(folder / "pipeline.yaml", rows.table, [asked]), "--out", run
    cotforge("check", *where)
    yield where
    shutil.rmtree(run)


def refusing(folder: Path, rows: Rows) -> list[Figure]:
    """Window and waste where the server's limit must be found."""
    ideal = len(rows.pictures) * LATENCY / LIMIT
    text = data.reply(random.Random(0))
    with teacher(folder / "bare.jsonl", latency=LATENCY, answer=text, limit=LIMIT) as url:
        spend("-m", "benchmarks.forge.bare", rows.table, url, str(LIMIT))
    ledger = folder / "refusing.jsonl"
    with teacher(ledger, latency=LATENCY, answer=text, limit=LIMIT) as url, prepared(folder, rows, url, concurrency=64) as where:
        cotforge("build", *where)
        refused = sum(entry["status"] == 429 for entry in served(ledger))
        window = span(ledger)
    return [
        ("ideal window, s", f"{ideal:.2f}", ""),
        (f"window of a bare client that knows the limit, {LIMIT} in flight, s", f"{span(folder / 'bare.jsonl'):.2f}", ""),
        ("window, s", f"{window:.2f}", ""),
        ("window over the ideal one", f"{window / ideal:.2f}", "at most 1.4"),
        ("requests turned away", f"{refused / (refused + len(rows.pictures)):.2%}", "at most 1.5 %"),
    ]


def silent(folder: Path, rows: Rows) -> list[Figure]:
    """Throughput and latency in the second half, where nothing but latency tells of the load."""
    ledger = folder / "silent.jsonl"
    text = data.reply(random.Random(0))
    with teacher(ledger, latency=LATENCY, answer=text, knee=KNEE) as url, prepared(folder, rows, url, concurrency=256) as where:
        cotforge("build", *where)
    entries = sorted(served(ledger), key=lambda entry: entry["started"])
    steady = entries[len(entries) // 2 : -KNEE]
    rate = len(steady) / (steady[-1]["started"] - steady[0]["started"])
    best = KNEE / LATENCY
    seconds = mean(entry["finished"] - entry["started"] for entry in steady)
    return [
        ("best throughput there is, rows/s", f"{best:,.0f}", ""),
        ("rows/s, second half", f"{rate:,.0f}", ""),
        ("share of the best", f"{rate / best:.2f}", "at least 0.8"),
        ("mean latency over the unloaded one", f"{seconds / LATENCY:.2f}", "at most 2"),
    ]


def replicas(folder: Path, rows: Rows) -> list[Figure]:
    """The time from the death of one of three replicas to the end, beside the pace of two."""
    fields: dict[str, Any] = {"latency": 0.1, "answer": data.reply(random.Random(0))}
    names = ("two-0", "two-1", "three-0", "three-1", "three-2")
    ledgers = {name: folder / f"{name}.jsonl" for name in names}
    with ExitStack() as stack:
        urls = [stack.enter_context(teacher(ledgers[name], **fields)) for name in names[:2]]
        with prepared(folder, rows, *urls, concurrency=16) as where:
            cotforge("build", *where)
    pace = rate([entry["finished"] for name in names[:2] for entry in served(ledgers[name])])
    with ExitStack() as stack:
        urls = [stack.enter_context(teacher(ledgers[name], **fields)) for name in names[2:4]]
        dying = started(ledgers["three-2"], **fields)
        assert dying.stdout is not None
        with dying, prepared(folder, rows, *urls, dying.stdout.readline().strip(), concurrency=16) as where:
            death: list[float] = []
            killer = threading.Thread(target=_kill, args=(dying, [ledgers[name] for name in names[2:]], len(rows.pictures) // 2, death))
            killer.start()
            cotforge("build", *where)
            killer.join()
    ends = [entry["finished"] for name in names[2:] for entry in served(ledgers[name])]
    left = max(sum(end > death[0] for end in ends), 1)
    after = max(ends) - death[0]
    return [
        ("rows/s of two replicas alone", f"{pace:,.0f}", ""),
        ("rows left at the kill", f"{left:,}", ""),
        ("seconds from the kill to the end", f"{after:.2f}", ""),
        ("over what two replicas take for them", f"{after / (left / pace):.2f}", "at most 1.1"),
    ]


def _kill(server: subprocess.Popen[str], ledgers: Sequence[Path], after: int, death: list[float]) -> None:
    while sum(len(served(ledger)) for ledger in ledgers) < after:
        time.sleep(0.02)
    server.kill()
    death.append(time.time())


def failing(folder: Path, rows: Rows) -> list[Figure]:
    """The time of a build whose calls fail here and there, beside one without; in turn, three times."""
    text = data.reply(random.Random(0))
    whole: dict[float, list[float]] = {0.0: [], 0.05: []}
    for number in range(3):
        for share, seconds in whole.items():
            ledger = folder / f"failing-{share}-{number}.jsonl"
            with teacher(ledger, latency=LATENCY, answer=text, broken=share) as url, prepared(folder, rows, url, concurrency=64) as where:
                seconds.append(cotforge("build", *where).seconds)
    without, with_them = (median(seconds) for seconds in whole.values())
    return [
        ("whole build without, s", f"{without:.2f}", ""),
        ("whole build with them, s", f"{with_them:.2f}", ""),
        ("over the one without", f"{with_them / without:.2f}", "at most 1.15"),
    ]


def noisy(folder: Path, rows: Rows) -> list[Figure]:
    """From the first request to the last, beside a run without any fault; in turn, `ROUNDS` times each."""
    text = data.reply(random.Random(0))
    windows: dict[str, list[float]] = {name: [] for name in NOISES}
    lost: dict[str, int] = {}
    for number in range(ROUNDS):
        for name, (faults, _) in NOISES.items():
            ledger = folder / f"noisy-{number}-{name[:8]}.jsonl"
            with (
                teacher(ledger, latency=0.03, answer=text, noise=faults, share=0.01) as url,
                prepared(folder, rows, url, concurrency=64, timeout=120) as where,
            ):
                cotforge("build", *where)
                lost[name] = json.loads((Path(where[-1]) / "summary.json").read_text())["calls_failed"]
            begun = [entry["started"] for entry in served(ledger)]
            windows[name].append(max(begun) - min(begun))
            ledger.unlink()
    without = median(windows["none"])
    figures = [("window without, s", f"{without:.2f}", "")]
    for name, (_, wanted) in NOISES.items():
        if wanted:
            figures.append((f"{name}: over the one without", f"{median(windows[name]) / without:.2f}", f"at most {wanted:g}"))
    return [*figures, ("of all at 1 %: calls given up in this run", f"{lost['all 18 faults, 1 % each']:,} of {len(rows.pictures):,}", "")]


def killed(folder: Path, rows: Rows, *, kills: int) -> list[Figure]:
    """What the server did and the journal does not know, after each kill and in all."""
    ledger, chance = folder / "killed.jsonl", random.Random(0)
    concurrency = 8
    lost: list[int] = []
    with (
        teacher(ledger, latency=LATENCY, answer=data.reply(random.Random(0))) as url,
        prepared(folder, rows, url, concurrency=concurrency) as where,
    ):
        run = Path(where[-1])
        for _ in range(kills):
            build = subprocess.Popen(
                [sys.executable, "-c", "from cotforge.cli import main; main()", "build", *map(str, where)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(chance.uniform(0.4, 0.9))
            build.kill()
            build.wait()
            time.sleep(2 * LATENCY)
            lost.append(len(served(ledger)) - replies(run) - sum(lost))
        cotforge("build", *where)
        accepted = json.loads((run / "summary.json").read_text())["accepted"]
        asked = Counter(entry["call"] for entry in served(ledger))
        stored = replies(run)
    return [
        ("kills", f"{kills}", ""),
        ("in flight at most", f"{concurrency}", ""),
        ("served and not stored, at most after one kill", f"{max(lost)}", f"at most {concurrency}"),
        (
            "replies that were stored and are not there at the end",
            f"{sum(asked.values()) - stored - sum(lost)}",
            "0",
        ),
        ("calls asked again, per kill", f"{(sum(asked.values()) - len(asked)) / kills:.2f}", f"at most {concurrency}"),
        ("rows accepted at the end", f"{accepted:,} of {len(rows.pictures):,}", "all"),
    ]


def replies(run: Path) -> int:
    """Whole replies in a journal."""
    with sqlite3.connect(run / "journal.sqlite") as journal:
        return int(journal.execute("SELECT count(*) FROM replies WHERE error IS NULL").fetchone()[0])


def span(ledger: Path) -> float:
    """Seconds from the first request to the last answer."""
    entries = served(ledger)
    return float(max(entry["finished"] for entry in entries) - min(entry["started"] for entry in entries))


def rate(ends: Sequence[float]) -> float:
    """Answers per second between the 10th and the 90th percentile."""
    ends = sorted(ends)
    low, high = len(ends) // 10, len(ends) * 9 // 10
    return (high - low) / (ends[high] - ends[low])


if __name__ == "__main__":
    main()
