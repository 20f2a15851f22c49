"""Whether the sequential rule claims what is true, in worlds that its defaults were chosen on and in others: a row for each.

    python -m benchmarks.consensus.claims
    python -m benchmarks.consensus.claims --style mechanisms --items 8000 --seeds 0 1 2 3 4
    python -m benchmarks.consensus.claims --smoke

People check items drawn by chance; of an item that belongs to no class they say that they cannot tell. What nobody checked is scored.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.consensus import item_response, mechanisms
from benchmarks.consensus.__main__ import number, share
from benchmarks.consensus.ours import Ours
from benchmarks.consensus.score import Figures, mean, scored
from benchmarks.consensus.worlds import Inputs, Maker, World, inputs, item_ids
from benchmarks.forge.table import print_table

STYLES: dict[str, dict[str, Maker]] = {"item response": item_response.WORLDS, "mechanisms": mechanisms.WORLDS}
GOLD = (0, 100, 300)
AGAINST = 0.03
"""What the claim about answers against the label may be away from the truth."""
HEAD = (
    "world",
    "gold",
    "precision",
    "claim",
    "low",
    "coverage",
    "calls per accepted",
    "claim - precision",
    "over",
    "low above",
    "precision against the label",
    "its claim",
)
LEGEND = """
"Over": runs whose claim exceeds the precision by more than 0.02 and two standard errors of the precision. "Low above": runs whose lower
bound is above the precision. The precision against the label is that of all runs, with how many answers that are in the mean; its claim is
that of the runs which make one.
"""


@dataclass(frozen=True)
class Run:
    """One decision."""

    style: str
    world: str
    gold: int
    found: Figures


def main() -> None:
    """Measures as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", choices=STYLES, nargs="+", default=list(STYLES))
    parser.add_argument("--worlds", nargs="+", metavar="NAME", help="only these, like 'open set'")
    parser.add_argument("--items", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--gold", type=int, nargs="+", default=list(GOLD))
    parser.add_argument("--target", type=float, default=0.9)
    parser.add_argument("--smoke", action="store_true", help="300 items of three worlds of each style, one seed: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.items, options.seeds, options.gold = 300, options.seeds[:1], [0, 100]
    runs: list[Run] = []
    for style in options.style:
        names = [name for name in STYLES[style] if not options.worlds or name in options.worlds]
        print(f"\n{style}: {options.items:,} items, target {options.target:g}; mean of {len(options.seeds)} seeds\n")
        print_table(HEAD, rows(style, names[:: len(names) // 3] if options.smoke else names, options, runs))
    print(LEGEND)
    print_table(TOTALS, totals(runs))


def rows(style: str, names: Iterable[str], options: argparse.Namespace, runs: list[Run]) -> Iterator[tuple[str, ...]]:
    """A line for each world and number of checked items; every decision goes to `runs`."""
    for name in names:
        measured: dict[int, list[Figures]] = {gold: [] for gold in options.gold}
        for seed in options.seeds:
            world = STYLES[style][name](options.items, np.random.default_rng([seed, *name.encode()]))
            given = inputs(world)
            for gold in options.gold:
                rule = Ours(given, checked(world, given, gold, seed), options.target, seed=0)
                measured[gold].append(scored(rule, world))
        for gold, several in measured.items():
            runs += [Run(style, name, gold, found) for found in several]
            yield line(name, gold, several)


def checked(world: World, given: Inputs, count: int, seed: int) -> dict[str, str | None]:
    """What people say about items drawn by chance: the same first ones whatever the count; None where an item belongs to no class."""
    order = np.random.default_rng([seed, 7]).permutation(world.items)[:count]
    ids = item_ids(world)
    return {ids[n]: given.truth.get(ids[n]) for n in sorted(order.tolist())}


def line(name: str, gold: int, several: Sequence[Figures]) -> tuple[str, ...]:
    """One line of the table."""
    found = mean(several)
    return (
        name,
        str(gold),
        share(found.precision),
        share(found.claim),
        share(found.low),
        share(found.coverage),
        number(found.calls, 2),
        share(_mean([one.overclaim for one in several])),
        str(sum(one.over for one in several)) if not math.isnan(found.claim) else "",
        str(sum(one.low > one.precision for one in several)) if not math.isnan(found.low) else "",
        f"{share(found.against)} of {found.against_count:.0f}" if found.against_count else "",
        share(found.against_claim),
    )


TOTALS = (
    "style",
    "gold",
    "runs with a claim",
    "over",
    "mean of claim - precision",
    "its root mean square",
    "low above",
    "claims against the label",
    "their mean error",
    f"further than {AGAINST:g} away",
)


def totals(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    """For each style and number of checked items, then of all with any."""
    for style in dict.fromkeys(run.style for run in runs):
        for gold in dict.fromkeys(run.gold for run in runs):
            yield total(style, str(gold), [run.found for run in runs if (run.style, run.gold) == (style, gold)])
    yield total("**all**", "any", [run.found for run in runs if run.gold])


def total(style: str, gold: str, found: Sequence[Figures]) -> tuple[str, ...]:
    """One line of the totals."""
    claiming = [one for one in found if not math.isnan(one.overclaim)]
    against = [one for one in found if not math.isnan(one.against_claim) and one.against_count]
    errors = [one.against_claim - one.against for one in against]
    away = [abs(error) > AGAINST + 2 * _standard_error(one) for one, error in zip(against, errors, strict=True)]
    return (
        style,
        gold,
        str(len(claiming)),
        str(sum(one.over for one in claiming)),
        number(_mean([one.overclaim for one in claiming]), 4),
        number(math.sqrt(_mean([one.overclaim**2 for one in claiming])), 4),
        str(sum(one.low > one.precision for one in claiming)),
        str(len(against)),
        number(_mean(errors), 4),
        str(sum(away)),
    )


def _standard_error(found: Figures) -> float:
    return math.sqrt(found.against * (1 - found.against) / found.against_count)


def _mean(numbers: Sequence[float]) -> float:
    known = [one for one in numbers if not math.isnan(one)]
    return fmean(known) if known else math.nan


if __name__ == "__main__":
    main()
