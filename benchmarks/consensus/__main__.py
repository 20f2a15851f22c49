"""cotforge's sequential rule beside other people's: one table for each world, means over the seeds.

python -m benchmarks.consensus [--items 20000] [--seeds 100 101 102] [--gold 300] [--target 0.9]
python -m benchmarks.consensus --smoke
"""

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.consensus import ours
from benchmarks.consensus.peers import PEERS
from benchmarks.consensus.score import Figures, Result, mean, scored
from benchmarks.consensus.worlds import KINDS, Recipe, World
from benchmarks.forge.table import print_table

HEAD = (
    "rule",
    "precision",
    "coverage",
    "calls per accepted",
    "price per accepted",
    "own claim",
    "low",
    "precision against the label",
    "with the label",
    "s",
)
LEGEND = """
Precision is of what the rule itself accepts. Calls and price per accepted are all that was charged, over all items, for learning, gold and
audits too, divided by the items accepted. Items of gold count in neither precision nor coverage nor as accepted. A rule that makes no claim
has none here.
"""


def main() -> None:
    """Measures as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--gold", type=int, default=300, help="items whose true answer is told to rules that take it")
    parser.add_argument("--target", type=float, default=0.9, help="precision promised for each item accepted")
    parser.add_argument("--smoke", action="store_true", help="1,000 items of one world, one seed, 100 gold: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.items, options.seeds, options.gold = 1000, options.seeds[:1], 100
    for kind in KINDS[:1] if options.smoke else KINDS:
        print(f"\n{kind}: {options.items:,} items, 8 classes, 5 teachers, target {options.target:g}; mean of {len(options.seeds)} seeds\n")
        measured: dict[str, list[Figures]] = {}
        for seed in options.seeds:
            world = Recipe(kind, options.items).world(np.random.default_rng(seed))
            for name, rule in rules(world, gold=options.gold, target=options.target, seed=seed):
                measured.setdefault(name, []).append(scored(rule, world))
        print_table(HEAD, [line(name, mean(several)) for name, several in measured.items()])
    print(LEGEND)


def rules(world: World, *, gold: int, target: float, seed: int) -> Iterator[tuple[str, Callable[[World], Result]]]:
    """All of them by name."""
    yield from PEERS
    yield from ours.ways(world, gold=gold, target=target, seed=seed)


def line(name: str, found: Figures) -> tuple[str, ...]:
    """One rule's line of the table."""
    return (
        name,
        share(found.precision),
        share(found.coverage),
        number(found.calls, 2),
        number(found.price, 1),
        share(found.claim),
        share(found.low),
        share(found.against),
        share(found.agreeing),
        number(found.seconds, 1),
    )


def share(value: float) -> str:
    """Three digits; nothing for nan."""
    return number(value, 3)


def number(value: float, digits: int) -> str:
    """So many digits; nothing for nan."""
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


if __name__ == "__main__":
    main()
