"""Whether a promised precision is kept, over many small worlds drawn by chance.

    python -m benchmarks.consensus.promises
    python -m benchmarks.consensus.promises --smoke

Each world is one of those of `claims` with 1,000 to 2,500 items, three of its teachers, and 150 to 400 items that people checked. A promise
is broken where less than its precision of the accepted items that nobody checked is true; where nothing could be promised nothing is
accepted, and nothing is broken.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.consensus.__main__ import number, share
from benchmarks.consensus.claims import STYLES, checked
from benchmarks.consensus.ours import decision, read
from benchmarks.consensus.score import Figures, figures, mean
from benchmarks.consensus.worlds import inputs
from benchmarks.forge.table import print_table

ITEMS, GOLD = (1000, 2500), (150, 400)
"""Least and most."""
TEACHERS = 3
"""Of those of the world, drawn by chance: so few make a policy quick to find."""
HEAD = ("worlds", "runs", "with a promise", "broken", "share", "allowed", "precision", "coverage", "calls per accepted")


@dataclass(frozen=True)
class Run:
    """One world under a promise."""

    style: str
    world: str
    items: int
    gold: int
    found: Figures


def main() -> None:
    """Measures as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--precision", type=float, default=0.95)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="three worlds: only to see that it runs")
    options = parser.parse_args()
    count = 3 if options.smoke else options.worlds
    wish = (options.precision, options.confidence)
    runs = [one_run(np.random.default_rng([options.seed, place]), wish) for place in range(count)]
    print(f"\n{count} small worlds, promised {options.precision:g} with {options.confidence:g}\n")
    print_table(HEAD, lines(runs, options.precision, 1 - options.confidence))
    print("\nBroken:\n")
    print_table(("world", "items", "checked", "accepted", "precision"), broken_ones(runs, options.precision))


def one_run(random: np.random.Generator, wish: tuple[float, float]) -> Run:
    """A world drawn by chance, and what came of the promise in it."""
    style = list(STYLES)[random.integers(len(STYLES))]
    name = list(STYLES[style])[random.integers(len(STYLES[style]))]
    items, gold = int(random.integers(*ITEMS, endpoint=True)), int(random.integers(*GOLD, endpoint=True))
    whole = STYLES[style][name](items, random)
    teachers = random.permutation(len(whole.price_K))[:TEACHERS]
    world = replace(whole, answer_NKS=whole.answer_NKS[:, teachers], price_K=whole.price_K[teachers])
    given = inputs(world)
    people = checked(world, given, gold, seed=int(random.integers(1 << 31)))
    decided = decision(given.frame, classes=given.classes, labels=given.labels or None, gold=people, promise=wish)
    result = read(decided.frame, gold=people, price=decided.cost, claim=decided.claim.precision, low=decided.claim.low)
    return Run(style, name, items, gold, figures(result, world, seconds=0.0))


def lines(runs: Sequence[Run], precision: float, chance: float) -> Iterator[tuple[str, ...]]:
    """A line for each style, and one for all."""
    for style in (*dict.fromkeys(run.style for run in runs), "**all**"):
        found = [run.found for run in runs if style in (run.style, "**all**")]
        promised = [one for one in found if one.accepted]
        broken = sum(one.precision < precision for one in promised)
        allowed = chance + 2 * math.sqrt(chance * (1 - chance) / len(found))
        whole = mean(promised) if promised else None
        shares = (whole.precision, whole.coverage, whole.calls) if whole else (math.nan,) * 3
        yield (
            style,
            str(len(found)),
            str(len(promised)),
            str(broken),
            share(broken / len(found)),
            share(allowed),
            share(shares[0]),
            share(shares[1]),
            number(shares[2], 2),
        )


def broken_ones(runs: Sequence[Run], precision: float) -> Iterator[tuple[str, ...]]:
    """A line for each broken promise."""
    for run in runs:
        if run.found.accepted and run.found.precision < precision:
            yield run.world, f"{run.items:,}", str(run.gold), f"{run.found.accepted:,.0f}", share(run.found.precision)


if __name__ == "__main__":
    main()
