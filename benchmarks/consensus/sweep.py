"""Whether the sequential rule is sensible everywhere: classes, teachers, items, labels and gold of all kinds, one world for each row.

    python -m benchmarks.consensus.sweep
    python -m benchmarks.consensus.sweep --big          # and a million items: time and memory
    python -m benchmarks.consensus.sweep --smoke

First single factors, from 2,000 items of COR with 8 classes, 5 teachers, labels and right gold on; then random combinations. Gold are 300
items, or a quarter where there are fewer than 1,200. "One class wrong": all items of that class are labelled as another.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.consensus.__main__ import number, share
from benchmarks.consensus.big import print_big
from benchmarks.consensus.ours import Ours
from benchmarks.consensus.score import Figures, scored
from benchmarks.consensus.worlds import KINDS, Inputs, Recipe, World, inputs
from benchmarks.forge.table import print_table
from cotforge.errors import CotforgeError

CLASSES = (2, 8, 30, 100, 1000, 0)
"""0: answers are free strings."""
ITEMS = (200, 2000, 20_000)
LABELS = ("present", "absent", "one class wrong")
GOLD = ("right", "2 % wrong", "none")
LARGEST = 100_000_000
"""Items times teachers times classes: nearly a gigabyte of beliefs."""

HEAD = (
    "world",
    "classes",
    "teachers",
    "items",
    "labels",
    "gold",
    "precision",
    "coverage",
    "calls per accepted",
    "own claim",
    "low",
    "claim - truth",
    "allowed",
    "s",
    "",
)


@dataclass(frozen=True)
class Case:
    """One row's world and what the rule is told."""

    kind: str = "COR"
    classes: int = 8
    teachers: int = 5
    items: int = 2000
    labels: str = "present"
    gold: str = "right"
    seed: int = 0

    @property
    def largest(self) -> int:
        return self.items * self.teachers * max(self.classes, 8)

    def world(self) -> World:
        """It, with the labels' fault."""
        spread = np.linspace(0.55, 0.85, self.teachers) if self.teachers > 1 else np.array([0.70])
        prices = tuple(np.linspace(1, 6, self.teachers).tolist())
        recipe = Recipe(self.kind, self.items, self.classes or 8, tuple(spread.tolist()), prices, samples=1)
        world = recipe.world(np.random.default_rng(self.seed))
        if self.labels == "one class wrong":
            world.label_N[world.truth_N == 0] = 1
        return world

    def rule(self, world: World, target: float) -> Ours:
        """The rule, told what this case tells it."""
        given = inputs(world, free=not self.classes)
        return Ours(given, self._told(given), target, self.seed, labels=self.labels != "absent")

    def _told(self, given: Inputs) -> dict[str, str]:
        """The gold: min(300, a quarter) of the items, a few of them with the next class as their truth where that is the fault."""
        chance = np.random.default_rng([self.seed, 1])
        gold = {} if self.gold == "none" else given.gold(min(300, self.items // 4), chance)
        if self.gold == "2 % wrong":
            for name in chance.choice(list(gold), max(1, len(gold) // 50), replace=False).tolist():
                stem, right = gold[name].rsplit("c", 1)
                gold[name] = f"{stem}c{(int(right) + 1) % (self.classes or 8)}"
        return gold


def main() -> None:
    """Prints a row for each case, and how many claim more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, default=12, metavar="COUNT", help="random combinations after the single factors")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--target", type=float, default=0.9)
    parser.add_argument("--big", type=int, nargs="?", const=1_000_000, metavar="ITEMS", help="also so many items (a million), alone")
    parser.add_argument("--smoke", action="store_true", help="four small rows: only to see that it runs")
    options = parser.parse_args()
    cases = [*singles(options.seed), *combinations(options.random, options.seed)]
    if options.smoke:
        cases = [Case(items=200, seed=options.seed), *(replace(case, items=200) for case in singles(options.seed)[-3:])]
    over: list[Case] = []
    print_table(HEAD, rows(cases, options.target, over))
    print(f"\n{len(over)} of {len(cases)} rows claim more than is allowed: 0.02 and two standard errors of the precision.")
    if options.big:
        print_big(options.big, target=options.target, seed=options.seed)


def singles(seed: int) -> list[Case]:
    """Every factor alone; but classes at every number of items, and labels in every world, for these hang together."""
    base = Case(seed=seed)
    return list(
        dict.fromkeys(
            [
                *(replace(base, classes=classes, items=items) for items in ITEMS for classes in CLASSES),
                *(replace(base, teachers=teachers) for teachers in range(1, 10)),
                *(replace(base, kind=kind, labels=labels) for labels in LABELS for kind in KINDS),
                *(replace(base, gold=gold) for gold in GOLD),
            ]
        )
    )


def combinations(count: int, seed: int) -> list[Case]:
    """Distinct random ones that are not too large."""
    chance = random.Random(seed)
    found: dict[Case, None] = {}
    while len(found) < count:
        kind, classes, teachers = chance.choice(KINDS), chance.choice(CLASSES), chance.choice(range(1, 10))
        case = Case(kind, classes, teachers, chance.choice(ITEMS), chance.choice(LABELS), chance.choice(GOLD), seed)
        if case.largest <= LARGEST:
            found[case] = None
    return list(found)


def rows(cases: list[Case], target: float, over: list[Case]) -> Iterator[tuple[str, ...]]:
    """A line for each case, as it is found; those that claim too much go to `over`."""
    for case in cases:
        what = (
            case.kind,
            f"{case.classes:,}" if case.classes else "free",
            str(case.teachers),
            f"{case.items:,}",
            case.labels,
            case.gold,
        )
        try:
            world = case.world()
            found = scored(case.rule(world, target), world)
        except CotforgeError as error:
            yield (*what, *[""] * 8, f"refused: {error}")
            continue
        if found.over:
            over.append(case)
        yield (*what, *line(found))


def line(found: Figures) -> tuple[str, ...]:
    """The figures of one row."""
    numbers = (found.claim, found.low, found.overclaim, found.allowed)
    too_much = "**over**" if found.over else ""
    costs = number(found.calls, 2), *map(share, numbers), number(found.seconds, 1)
    return share(found.precision), share(found.coverage), *costs, too_much


if __name__ == "__main__":
    main()
