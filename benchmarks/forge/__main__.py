"""Prints the tables of benchmarks/README.md.

python -m benchmarks.forge --rows 2000 20000 --curate 40000
python -m benchmarks.forge --smoke
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.forge import data
from benchmarks.forge.data import Rows
from benchmarks.forge.process import Spent, arrivals, cotforge, spend, teacher
from benchmarks.forge.table import print_table

IN_FLIGHT = 64
LATENCY = 0.05
"""Seconds until the teacher answers."""
TEACHERS = 5
"""Of the journal that is curated again."""


@dataclass(frozen=True)
class Round:
    """One go of the bare client, and of cotforge in a new run folder."""

    bare: Spent
    bare_window: float
    """Rows per second between the 1st and the 99th percentile of requests at the server."""
    validated: Spent
    """`check` on pictures never seen."""
    checked: Spent
    """`check` once more."""
    built: Spent
    window: float
    first_request: float
    """Seconds from the start of the process."""
    again: Spent
    """`build` with nothing left to ask or pack."""
    packed: Spent
    """`build` with nothing left to ask, and the dataset gone."""
    disk: int
    """Bytes of the run folder that are not pictures."""


def main() -> None:
    """Measures as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2000], help="one table for each; only the first is repeated")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--curate", type=int, metavar="SAMPLES", help=f"also curate again SAMPLES samples of {TEACHERS} teachers")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where gigabytes may lie for a while (default: runs)")
    parser.add_argument("--smoke", action="store_true", help="200 rows, once: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.rows, options.repeats = [200], 1
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder.absolute()) as folder:
        print(f"`import cotforge`: {importing():.2f} s")
        for place, count in enumerate(options.rows):
            print_rounds(measure(Path(folder), count, repeats=1 if place else options.repeats), count)
        if options.curate:
            print_curation(Path(folder), options.curate)


def importing() -> float:
    """Seconds that `import cotforge` takes in a new interpreter, best of five."""
    program = "import time; start = time.perf_counter(); import cotforge; print(time.perf_counter() - start)"
    return min(float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(5))


def measure(folder: Path, count: int, *, repeats: int) -> list[Round]:
    """Rounds on the same pictures, the bare client and cotforge in turn."""
    rows = data.rows(folder / str(count), count)
    rounds = [one_round(folder / f"{count}-{number}", rows) for number in range(repeats)]
    shutil.rmtree(folder / str(count))
    return rounds


def one_round(folder: Path, rows: Rows) -> Round:
    """A bare client, then check, check, build, build, build; the folder is gone afterwards."""
    folder.mkdir()
    text = data.reply(random.Random(0))
    with teacher(folder / "bare.jsonl", latency=LATENCY, answer=text) as url:
        bare = spend("-m", "benchmarks.forge.bare", rows.table, url, str(IN_FLIGHT))
    with teacher(folder / "served.jsonl", latency=LATENCY, answer=text) as url:
        asked = {"name": "local", "model": "local", "url": url, "concurrency": IN_FLIGHT, "listed": False}
        where = data.pipeline(folder / "pipeline.yaml", rows.table, [asked]), "--out", folder / "run"
        validated, checked = cotforge("check", *where), cotforge("check", *where)
        built = cotforge("build", *where)
        came = arrivals(folder / "served.jsonl")
        disk = size(folder / "run") - rows.picture_bytes
        again = cotforge("build", *where)
        shutil.rmtree(folder / "run" / "dataset")
        packed = cotforge("build", *where)
    expect(folder / "run", accepted=len(rows.pictures), asked=len(came), served=len(arrivals(folder / "served.jsonl")))
    window, first = rate(came), came[0] - built.started
    bare_window = rate(arrivals(folder / "bare.jsonl"))
    shutil.rmtree(folder)
    return Round(bare, bare_window, validated, checked, built, window, first, again, packed, disk)


def rate(came: list[float]) -> float:
    """Requests per second between the 1st and the 99th percentile: without the start and the last stragglers."""
    low, high = len(came) // 100, len(came) - 1 - len(came) // 100
    return (high - low) / (came[high] - came[low])


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def expect(run: Path, *, accepted: int, asked: int, served: int) -> None:
    """Figures of a run that did not do its work are worth nothing: raises RuntimeError."""
    found = json.loads((run / "summary.json").read_text())["accepted"]
    if (found, asked, served) != (accepted, accepted, accepted):
        raise RuntimeError(f"{run}: {found:,} accepted and {asked:,} asked of {accepted:,} rows, {served - asked:,} asked again")


def print_rounds(rounds: list[Round], count: int) -> None:
    """A table of medians."""

    def middle(figure: Callable[[Round], float], digits: int) -> str:
        return f"{median(map(figure, rounds)):,.{digits}f}"

    print(
        f"\n{count:,} rows, {data.PHOTO_BYTES // 1024} KiB each, {IN_FLIGHT} in flight, {LATENCY * 1000:.0f} ms; median of {len(rounds)}\n"
    )
    lines = [
        (name, middle(bare, digits) if bare else "", middle(ours, digits), wanted) for name, bare, ours, digits, wanted in figures(count)
    ]
    print_table(("", "bare client", "cotforge", "wanted"), lines)


def figures(count: int) -> list[tuple[str, Callable[[Round], float] | None, Callable[[Round], float], int, str]]:
    """Name, the bare client's figure where it has one, cotforge's, digits to show, and what is wanted."""
    row = count / 1000
    return [
        ("rows/s, window", lambda r: r.bare_window, lambda r: r.window, 0, ""),
        ("share of the bare client's rows/s", None, lambda r: r.window / r.bare_window, 2, "at least 0.85"),
        ("CPU, ms a row: asking, journalling", lambda r: r.bare.cpu / row, lambda r: (r.built.cpu - r.packed.cpu) / row, 2, "at most 1.2"),
        ("CPU, ms a row: curating, packing (with start)", None, lambda r: r.packed.cpu / row, 2, ""),
        ("CPU, ms a row: validating a picture, once", None, lambda r: (r.validated.cpu - r.checked.cpu) / row, 2, "of its own"),
        ("peak memory of the process tree, MB", lambda r: r.bare.peak, lambda r: r.built.peak, 0, "at most 150"),
        ("peak memory while validating, MB", None, lambda r: r.validated.peak, 0, "at most 150"),
        ("disk beside the pictures, KiB a row", None, lambda r: r.disk / 1024 / count, 2, "at most 3"),
        ("first request, s after start", None, lambda r: r.first_request, 2, "within 1"),
        ("whole build, s", lambda r: r.bare.seconds, lambda r: r.built.seconds, 1, ""),
        ("build again with no calls, s", None, lambda r: r.again.seconds, 1, ""),
        ("build again with no calls, CPU s", None, lambda r: r.again.cpu, 1, ""),
    ]


def print_curation(folder: Path, samples: int) -> None:
    """Seconds and memory of curating again what `build` took from replies on disk."""
    rows = data.rows(folder / "curated", samples, side=(208, 156), size=2048)
    teachers: list[dict[str, object]] = [
        {"name": f"teacher-{n}", "model": f"model-{n}", "kind": "replay", "path": str(data.replies(folder / f"{n}.jsonl", samples, seed=n))}
        for n in range(TEACHERS)
    ]
    run = folder / "curated-run"
    built = cotforge("build", data.pipeline(folder / "curate.yaml", rows.table, teachers), "--out", run)
    spent = cotforge("curate", run, every=1.0)  # to look at several processes and a mapped file costs a third of a core at 20 Hz
    traces = f"{samples * TEACHERS:,} traces of {data.WORDS} words on {samples:,} samples"
    print(f"\nCurating again: {traces}\n")
    lines = [
        ("seconds", f"{spent.seconds:.1f}", "under 20"),
        ("CPU, s", f"{spent.cpu:.1f}", ""),
        ("peak memory, MB", f"{spent.peak:,.0f}", "under 1,000"),
        ("seconds of the build from replies on disk", f"{built.seconds:.1f}", ""),
    ]
    print_table(("", "cotforge", "wanted"), lines)


if __name__ == "__main__":
    main()
