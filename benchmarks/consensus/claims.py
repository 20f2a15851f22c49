"""Whether the sequential rule claims what is true, in worlds that its defaults were chosen on and in others: a row for each.

    python -m benchmarks.consensus.claims
    python -m benchmarks.consensus.claims --style mechanisms --items 8000 --seeds 0 1 2 3 4
    python -m benchmarks.consensus.claims --smoke

People check items drawn by chance; of an item that belongs to no class they say that they cannot tell. What nobody checked is scored.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from time import perf_counter

import numpy as np

from benchmarks.consensus import item_response, mechanisms
from benchmarks.consensus.__main__ import number, share
from benchmarks.consensus.ours import decision, read
from benchmarks.consensus.score import Figures, figures, mean
from benchmarks.consensus.worlds import Inputs, Maker, World, inputs, item_ids
from benchmarks.forge.table import print_table
from cotforge.consensus.claim import Claim, shrunk_precision

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
    claim: Claim

    def weighed(self, shrink: float, wrong: float) -> float:
        """What would be claimed if the rule's expectation weighed as much as `shrink` checked answers, and so many more were wrong."""
        if self.claim.expected is None or not self.claim.checked:
            return math.nan
        checked = self.claim.checked
        return shrunk_precision(self.claim.right / checked, checked, self.claim.expected, shrink=shrink, wrong=wrong)


def main() -> None:
    """Measures as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", choices=STYLES, nargs="+", default=list(STYLES))
    parser.add_argument("--worlds", nargs="+", metavar="NAME", help="only these, like 'open set'")
    parser.add_argument("--items", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--gold", type=int, nargs="+", default=list(GOLD))
    parser.add_argument("--target", type=float, default=0.9)
    parser.add_argument("--weights", action="store_true", help="also what other weights of what the rule expects would claim")
    parser.add_argument("--smoke", action="store_true", help="300 items of one world of each style, one seed: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.items, options.seeds, options.gold = 300, options.seeds[:1], [0, 100]
    runs: list[Run] = []
    for style in options.style:
        names = [name for name in STYLES[style] if not options.worlds or name in options.worlds]
        print(f"\n{style}: {options.items:,} items, target {options.target:g}; mean of {len(options.seeds)} seeds\n")
        print_table(HEAD, rows(style, names[:1] if options.smoke else names, options, runs))
    print(LEGEND)
    print_table(TOTALS, totals(runs))
    if options.weights:
        print("\nOther weights of what the rule expects, and of one more answer that is taken to be wrong\n")
        print_table(WEIGHTS, weights(runs))


def rows(style: str, names: Iterable[str], options: argparse.Namespace, runs: list[Run]) -> Iterator[tuple[str, ...]]:
    """A line for each world and number of checked items; every decision goes to `runs`."""
    for name in names:
        measured: dict[int, list[Run]] = {gold: [] for gold in options.gold}
        for seed in options.seeds:
            world = STYLES[style][name](options.items, np.random.default_rng([seed, *name.encode()]))
            given = inputs(world)
            for gold in options.gold:
                people = checked(world, given, gold, seed)
                measured[gold].append(Run(style, name, gold, *decided(world, given, people, options.target)))
        for gold, several in measured.items():
            runs += several
            yield line(name, gold, [run.found for run in several])


def decided(world: World, given: Inputs, people: Mapping[str, str | None], target: float) -> tuple[Figures, Claim]:
    """What the rule makes of a world, and what it claims."""
    begun = perf_counter()
    labels, prices = given.labels or None, given.prices
    found = decision(given.frame, classes=given.classes, labels=labels, prices=prices, gold=people or None, target=target)
    seconds = perf_counter() - begun
    result = read(found.frame, gold=people, price=found.cost, claim=found.claim.precision, low=found.claim.low)
    return figures(replace(result, against_claim=found.claim.against_label), world, seconds=seconds), found.claim


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


WEIGHTS = ("style", "gold", "weight", "wrong", "over", "mean of claim - precision", "its root mean square")


def weights(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    """For each style and number of checked items, how the claim fares with other weights."""
    for style in dict.fromkeys(run.style for run in runs):
        for gold in dict.fromkeys(run.gold for run in runs):
            some = [run for run in runs if (run.style, run.gold) == (style, gold) and not math.isnan(run.weighed(0, 0))]
            for shrink, wrong in product((0, 10, 20, 30, 50, 75, 100), (0, 0.5, 1, 1.5, 2)) if some else ():
                found = [replace(run.found, claim=run.weighed(shrink, wrong)) for run in some]
                bias, error = _mean([one.overclaim for one in found]), math.sqrt(_mean([one.overclaim**2 for one in found]))
                counts = str(shrink), f"{wrong:g}", str(sum(one.over for one in found))
                yield style, str(gold), *counts, number(bias, 4), number(error, 4)


def _standard_error(found: Figures) -> float:
    return math.sqrt(found.against * (1 - found.against) / found.against_count)


def _mean(numbers: Sequence[float]) -> float:
    known = [one for one in numbers if not math.isnan(one)]
    return fmean(known) if known else math.nan


if __name__ == "__main__":
    main()
