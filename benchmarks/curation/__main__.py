"""Faults planted by a program, and how many of them each gate of curation finds: recall and precision on templates it was not tuned on.

    python -m benchmarks.curation [--parts leaks residue ...] [--seed 1]
    python -m benchmarks.curation --throughput
    python -m benchmarks.curation --hashing 2000      # pictures a second
    python -m benchmarks.curation --rows 1000000      # reasonings deduplicated: seconds and memory
    python -m benchmarks.curation --misses            # what went wrong, of the half that gates are tuned on
    python -m benchmarks.curation --smoke

Templates are split in two halves by a hash of their text; the gates were tuned on one of them. Intervals count templates, not cases.
"""

import argparse
import importlib
from typing import Any

from benchmarks.curation.frame import HEAD, missed_cases, table_rows
from benchmarks.forge.table import print_table

PARTS = {
    "leaks": "benchmarks.curation.texts:judge_leaks",
    "residue": "benchmarks.curation.texts:judge_residue",
    "loops": "benchmarks.curation.texts:judge_loops",
    "switches": "benchmarks.curation.texts:judge_switches",
    "languages": "benchmarks.curation.texts:judge_languages",
    "cuts": "benchmarks.curation.texts:judge_cuts",
    "contradictions": "benchmarks.curation.texts:judge_contradictions",
    "pictures": "benchmarks.curation.pictures:judge_pictures",
    "repeats": "benchmarks.curation.repeats:judge_repeats",
}
"""`module:function` of each part: `(size, seed) -> (gate, verdicts, whether kinds are told)`, or several of them as a list.

`size` is how many cases are made from each template, and `seed` an int.
"""


def load_part(name: str) -> Any:
    """The function of a part; only what is asked for is imported."""
    module, _, function = PARTS[name].partition(":")
    return getattr(importlib.import_module(module), function)


def main() -> None:
    """Prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--size", type=int, default=8, help="cases made from each template")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--throughput", action="store_true", help="how many traces a second all text gates judge together")
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="one case of each template: only to see that it runs")
    parser.add_argument("--hashing", type=int, metavar="PICTURES", help="how many pictures a second are compared")
    parser.add_argument("--rows", type=int, metavar="REASONINGS", help="what deduplicating so many reasonings takes")
    options = parser.parse_args()
    if options.hashing:
        importlib.import_module("benchmarks.curation.pictures").print_hashing(options.hashing, options.seed)
    if options.rows:
        importlib.import_module("benchmarks.curation.repeats").print_rows(options.rows, options.seed)
    if options.hashing or options.rows:
        return
    if options.throughput or options.smoke:
        measure = importlib.import_module("benchmarks.curation.throughput")
        measure.print_throughput(200 if options.smoke else 20_000, options.seed)
    if not options.throughput:
        print_parts(options.parts, 1 if options.smoke else options.size, options.seed, misses=options.misses)


def print_parts(names: list[str], size: int, seed: int, *, misses: bool) -> None:
    """The table of some parts, or what went wrong in them."""
    from benchmarks.curation.frame import count_lines

    lines = []
    for name in names:
        found = load_part(name)(size, seed)
        for gate, verdicts, kinds in found if isinstance(found, list) else [found]:
            lines += list(count_lines(gate, verdicts, kinds=kinds))
            for wrong in missed_cases(verdicts) if misses else ():
                print(gate, *wrong, sep=" | ")
    if not misses:
        print_table(HEAD, table_rows(lines))


if __name__ == "__main__":
    main()
