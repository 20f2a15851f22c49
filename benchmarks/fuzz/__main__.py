"""Mutated pipeline files, templates, tables, tars, pictures, replies, journals and gold files: what the command may never do, counted.

    python -m benchmarks.fuzz [--inputs 20000] [--seed 1] [--kinds template "table, csv"]
    python -m benchmarks.fuzz --smoke

Each input goes through the command (`check`, `build` or `curate`) in a small project that is sound but for one file. What it may never do:
raise, say what is not one printable line, take more than 10 s of CPU, or 1 GB of memory. Each input that does is printed with its
number; the same seed makes the same inputs. Exit status 1 where any does. Needs Linux.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.forge.table import print_table
from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.watch import ENDS, FAULTS, Seen, watched


def main() -> None:
    """Counts as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", default=[kind.name for kind in KINDS], choices=[kind.name for kind in KINDS])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="8 inputs of each kind: only to see that it runs")
    options = parser.parse_args()
    chosen = [index for index, kind in enumerate(KINDS) if kind.name in options.kinds]
    each = 8 if options.smoke else -(-options.inputs // len(chosen))
    with ThreadPoolExecutor(options.processes) as pool:
        rows = list(pool.map(lambda index: _told(watched(index, options.seed, range(each))), chosen))
    header = ["of mutated files", "inputs", *ENDS, *FAULTS, "most CPU s", "most MB"]
    print_table(header, [_row(KINDS[index].name, seen) for index, seen in zip(chosen, rows, strict=True)])
    sys.exit(any(one.outcome in FAULTS for seen in rows for one in seen))


def _told(seen: Iterable[Seen]) -> list[Seen]:
    kept = []
    for one in seen:
        kept.append(one)
        if one.outcome in FAULTS:
            print(f"{one.kind} {one.index}: {one.outcome}: {one.said}", file=sys.stderr, flush=True)
    return kept


def _row(name: str, seen: list[Seen]) -> list[str]:
    counts = Counter(one.outcome for one in seen)
    figures = [f"{counts[outcome]:,}" for outcome in (*ENDS, *FAULTS)]
    return [name, f"{len(seen):,}", *figures, f"{max(one.seconds for one in seen):.1f}", f"{max(one.peak for one in seen) / 2**20:.0f}"]


if __name__ == "__main__":
    main()
