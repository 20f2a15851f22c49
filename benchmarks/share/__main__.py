"""What a run of many samples costs after it was asked: curating with report, viewer, exports, and the Hub. Prints tables.

No teacher is asked: the journal is made. The Hub is a server on this machine.

python -m benchmarks.share
python -m benchmarks.share --smoke
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.forge.process import Spent, cotforge, spend
from benchmarks.forge.table import print_table
from benchmarks.share.maker import TEACHERS, MadeRun, change_labels
from benchmarks.share.pushing import print_pushes
from benchmarks.share.viewing import print_views

SAMPLES = 120_000
FORMATS = ("llamafactory", "ms-swift", "easyr1", "sharegpt", "trl", "axolotl", "openai", "webdataset")
EVERY = 0.5
"""Seconds between two looks at memory: to look at mapped files 20 times a second costs a third of a core."""


def main() -> None:
    """Measures as told and prints markdown."""
    parts: dict[str, Callable[[MadeRun], None]] = {
        "curate": print_curation, "view": print_views, "export": print_exports, "push": print_pushes,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts), help="default: all of them; curate makes the dataset")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where gigabytes may lie for a while (default: runs)")
    parser.add_argument("--made", type=Path, help="a folder to make the run in, and to keep; a run that is there is taken as it is")
    parser.add_argument("--smoke", action="store_true", help="300 samples: only to see that it runs")
    options = parser.parse_args()
    samples = 300 if options.smoke else options.samples
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder.absolute(), ignore_cleanup_errors=True) as folder:
        made = MadeRun((options.made or Path(folder)).absolute())
        if not made.pipeline.exists():
            print_making(made, samples)
        for part in options.parts:
            parts[part](made)


def print_making(made: MadeRun, samples: int) -> None:
    """Makes the run, and tells what that took."""
    spent = spend("-m", "benchmarks.share.maker", made.folder, str(samples), every=EVERY)
    print(f"\nA run of {samples:,} samples and {samples * len(TEACHERS):,} calls\n")
    print_table(("", "seconds", "CPU, s", "peak MB", "MB on the disk"), [_line("making pictures and journal", spent, made.folder)])


def print_curation(made: MadeRun) -> None:
    """Three times: everything is packed, nothing is, and the shards of ten rows are."""

    def line(what: str) -> list[str]:
        spent = cotforge("curate", made.run, every=EVERY)
        return _line(what, spent, made.run / "dataset", report_of(made.run))

    def lines() -> Iterator[list[str]]:
        shutil.rmtree(made.run / "dataset", ignore_errors=True)
        yield line("first: all shards are packed")
        yield line("again: nothing has changed")
        change_labels(made.table, 10, seed=1)
        yield line("again: ten labels have changed")

    print("\n`cotforge curate`, with the report\n")
    print_table(("", "seconds", "CPU, s", "peak MB", "MB on the disk", "report, s", "report, MB"), lines())


def print_exports(made: MadeRun) -> None:
    """Every format once."""

    def lines() -> Iterator[list[str]]:
        for name in FORMATS:
            with tempfile.TemporaryDirectory(dir=made.folder) as folder:
                out = Path(folder) / name
                yield _line(name, cotforge("export", made.run, "--to", name, "--out", out, every=EVERY), out)

    print("\n`cotforge export`\n")
    print_table(("to", "seconds", "CPU, s", "peak MB", "MB on the disk"), lines())


def report_of(run: Path) -> Sequence[str]:
    """Seconds that the page took, and MB: it is written right after the list of conflicts."""
    page, before = (run / name for name in ("report.html", "conflicts.csv"))
    return f"{page.stat().st_mtime - before.stat().st_mtime:.1f}", f"{page.stat().st_size / 1e6:.2f}"


def _line(name: str, spent: Spent, folder: Path, more: Sequence[str] = ()) -> list[str]:
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [name, f"{spent.seconds:.1f}", f"{spent.cpu:.1f}", f"{spent.peak:,.0f}", f"{disk / 1e6:,.0f}", *more]


if __name__ == "__main__":
    main()
