"""What a stranger hands over, mutated: no traceback, no more than 1 GB, no more than 10 s each.

    python -m benchmarks.fuzz [--inputs 20000] [--seed 1] [--only pipeline template]
    python -m benchmarks.fuzz --smoke

Each input that goes wrong is printed. Exit status 1 where any does.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.forge.table import print_table
from benchmarks.fuzz.counts import FAULTS, SEEN, counted
from benchmarks.fuzz.inputs import INPUTS


def main() -> None:
    """Reads as told, a process per kind of input so that each has its own peak of memory, and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(INPUTS), default=list(INPUTS))
    parser.add_argument("--smoke", action="store_true", help="200 inputs of each kind: only to see that it runs")
    options = parser.parse_args()
    inputs = 200 if options.smoke else options.inputs
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        columns = list(pool.map(counted, options.only, [inputs] * len(options.only), [options.seed] * len(options.only)))
    lines = [[words, *(f"{counts[name]:,}" for counts in columns)] for name, words in (FAULTS | SEEN).items()]
    print_table([f"of {inputs:,} inputs each", *options.only], lines)
    sys.exit(any(counts[name] for counts in columns for name in FAULTS))


if __name__ == "__main__":
    main()
