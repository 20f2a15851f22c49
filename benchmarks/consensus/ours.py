"""cotforge's own rule in a world: `cotforge.consensus.decide`, and what it says read as a Result."""
# ruff: noqa: N806

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from benchmarks.consensus.score import Result
from benchmarks.consensus.worlds import Inputs, World, inputs
from cotforge.consensus import decide


@dataclass(frozen=True)
class Ours:
    """`sequential` as told."""

    given: Inputs
    gold: Mapping[str, str | None]
    """What people found, None where they cannot tell; empty for none."""
    target: float
    seed: int
    objective: str = "balanced"
    labels: bool = True
    """Whether it may see them."""

    def __call__(self, world: World) -> Result:
        decided = decision(
            self.given.frame,
            classes=self.given.classes,
            labels=self.given.labels or None if self.labels else None,
            prices=self.given.prices,
            gold=self.gold or None,
            target=self.target,
            objective=self.objective,
            seed=self.seed,
        )
        result = read(decided.frame, gold=self.gold, price=decided.cost, claim=decided.claim.precision, low=decided.claim.low)
        return replace(result, against_claim=decided.claim.against_label)


def decision(frame: pl.DataFrame, **options: Any) -> Any:
    """What the rule says."""
    return decide(frame, rule="sequential", **options)


def read(frame: pl.DataFrame, *, gold: Collection[str], price: float, claim: float | None, low: float | None) -> Result:
    """A decision's frame as a Result. Raises RuntimeError where its rows are not the items in their order."""
    if not frame["id"].equals(pl.Series("id", [f"i{n}" for n in range(frame.height)])):
        raise RuntimeError("decide: the rows of its frame are not the items in the order of their first appearance")
    answer_N = frame["answer"].str.extract(r"c(\d+)$").cast(pl.Int64).fill_null(-1).to_numpy()
    gold_N = frame["id"].is_in(list(gold)).to_numpy()
    return Result(answer_N, frame["accepted"].to_numpy(), int(frame["calls"].sum()), float(price), claim, low, gold_N)


def ways(world: World, *, gold: int, target: float, seed: int) -> list[tuple[str, Ours]]:
    """The rule with and without gold and labels, and for the lowest price, under the names of their lines."""
    given = inputs(world)
    told = given.gold(gold, np.random.default_rng([seed, 1]))
    return [
        (f"**sequential, gold {gold}**", Ours(given, told, target, seed)),
        (f"**sequential, gold {gold}, cheapest**", Ours(given, told, target, seed, objective="cheapest")),
        ("**sequential, no gold**", Ours(given, {}, target, seed)),
        (f"**sequential, gold {gold}, no labels**", Ours(given, told, target, seed, labels=False)),
    ]
