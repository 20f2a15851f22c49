"""Random and mutated bodies of chat completions, from the bytes to the lesson: what reading may never do, counted.

    python -m benchmarks.replies [--bodies 100000] [--seeds 1 2]
    python -m benchmarks.replies --smoke

Each body that goes wrong is printed. Exit status 1 where any does.
"""

import argparse
import sys
import time

from benchmarks.forge.table import print_table
from benchmarks.replies.counts import FAULTS, counted

SEEN = {
    "answer": "answers after a thought that had to be read",
    "answered": "bodies with a text",
    "read": "ballots",
    "lesson": "lessons",
    "mended": "lessons of which something was taken out",
}


def main() -> None:
    """Counts as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--smoke", action="store_true", help="1,000 bodies, one seed: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.bodies, options.seeds = 1_000, options.seeds[:1]
    columns, seconds = [], []
    for seed in options.seeds:
        begun = time.process_time()
        columns.append(counted(options.bodies, seed))
        seconds.append(f"{time.process_time() - begun:.0f}")
    lines = [[words, *(f"{counts[name]:,}" for counts in columns)] for name, words in (FAULTS | SEEN).items()]
    print_table([f"of {options.bodies:,} bodies", *(f"seed {seed}" for seed in options.seeds)], [*lines, ["seconds of CPU", *seconds]])
    sys.exit(any(counts[name] for counts in columns for name in FAULTS))


if __name__ == "__main__":
    main()
