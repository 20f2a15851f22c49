"""What the picture's vote and the teachers' own probabilities add to `sequential`, on real pictures whose truth is known.

python -m benchmarks.consensus.pictures [--draws 5] [--gold 120] [--target 0.9] [--worlds digits textile]
python -m benchmarks.consensus.pictures --worlds digits --pool 0 --draws 8 --ways plain picture --target 0.8 0.85 0.9 0.95
python -m benchmarks.consensus.pictures --smoke
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from statistics import fmean, stdev

import numpy as np
import polars as pl

from benchmarks.consensus.photos import WORLDS, Photos
from benchmarks.forge.table import print_table
from cotforge.consensus import Decisions, decide

WAYS = {"plain": (False, False), "picture": (True, False), "probability": (False, True), "both": (True, True)}
"""By name: (whether pictures vote, whether the teachers' own probabilities are told)."""
HEAD = ("target", "", "precision", "coverage", "calls", "flips found", "precision at .80", "at .90", "claim", "low", "admitted")
LEGEND = """
Means over the draws of gold, with their standard errors. Precision and coverage are of pictures that nobody checked; calls are all that
were charged, divided by all accepted. Flips found are wrong labels whose picture was accepted with its true class. Precision at a coverage
is of so large a share of the unchecked pictures, the surest first; nothing where fewer were accepted in any draw.
"""


@dataclass(frozen=True)
class Figures:
    """One run; nan where there is nothing to say."""

    precision: float
    coverage: float
    calls: float
    flips: float
    at_80: float
    at_90: float
    claim: float
    low: float
    admitted: float


def main() -> None:
    """Measures as told and prints markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--gold", type=int, default=120, help="pictures whose truth is told")
    parser.add_argument("--target", type=float, nargs="+", default=[0.9])
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--pool", type=int, help="seed of pictures, labels and teachers (0: the demo's); default: that of each draw")
    parser.add_argument("--smoke", action="store_true", help="the digits, one draw: only to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.draws, options.worlds = 1, ["digits"]
    for name in options.worlds:
        measured: dict[tuple[float, str], list[Figures]] = {key: [] for key in product(options.target, options.ways)}
        for draw in range(options.draws):
            photos = WORLDS[name](draw if options.pool is None else options.pool)
            gold = photos.gold(options.gold, np.random.default_rng([draw, 1]))
            for (target, way), several in measured.items():
                seen, sure = WAYS[way]
                several.append(figures(vote(photos, gold, seen=seen, sure=sure, target=target, seed=draw), photos, gold))
        print(f"\n{name}: {options.gold} gold; {options.draws} draws of it\n")
        print_table(HEAD, [(f"{target:g}", *line(way, several)) for (target, way), several in measured.items()])
    print(LEGEND)


def vote(photos: Photos, gold: Mapping[str, str], *, seen: bool, sure: bool, target: float, seed: int) -> Decisions:
    """One way of deciding."""
    return decide(
        photos.answers if sure else photos.answers.drop("probability"),
        classes=photos.classes,
        labels=photos.labels,
        gold=gold,
        features=photos.pixels if seen else None,
        target=target,
        seed=seed,
    )


def figures(decided: Decisions, photos: Photos, gold: Mapping[str, str]) -> Figures:
    """What the truth says of it."""
    truth = pl.DataFrame({"id": list(photos.truth), "true": list(photos.truth.values())})
    label = pl.DataFrame({"id": list(photos.labels), "label": list(photos.labels.values())})
    frame = (
        decided.frame.join(truth, on="id").join(label, on="id").with_columns(right=(pl.col("answer") == pl.col("true")).fill_null(False))
    )
    plain = frame.filter(~pl.col("id").is_in(list(gold)))
    accepted = plain.filter("accepted")
    flipped = plain.filter(pl.col("label") != pl.col("true"))
    admission = decided.admission
    return Figures(
        precision=_mean(accepted["right"]),
        coverage=len(accepted) / len(plain),
        calls=float(frame["calls"].sum()) / max(int(frame["accepted"].sum()), 1),
        flips=_mean(flipped["right"]),
        at_80=_surest(plain, 0.8),
        at_90=_surest(plain, 0.9),
        claim=decided.claim.precision if decided.claim.precision is not None else math.nan,
        low=decided.claim.low if decided.claim.low is not None else math.nan,
        admitted=math.nan if admission is None else float(admission.admitted),
    )


def line(way: str, several: Sequence[Figures]) -> tuple[str, ...]:
    """One way's line of the table."""
    return (way, *(_cell([getattr(one, field.name) for one in several]) for field in fields(Figures)))


def _cell(values: Sequence[float]) -> str:
    if any(map(math.isnan, values)):
        return ""
    spread = f" ± {stdev(values) / math.sqrt(len(values)):.3f}" if len(values) > 1 else ""
    return f"{fmean(values):.3f}{spread}"


def _mean(right: pl.Series) -> float:
    return float(right.mean()) if len(right) else math.nan  # type: ignore[arg-type]


def _surest(plain: pl.DataFrame, coverage: float) -> float:
    accepted = plain.filter("accepted").sort("confidence", descending=True)
    wanted = round(coverage * len(plain))
    return _mean(accepted["right"][:wanted]) if len(accepted) >= wanted else math.nan


if __name__ == "__main__":
    main()
