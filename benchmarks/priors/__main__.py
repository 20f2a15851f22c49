"""Whether a text expert's weights help a VLM to reason: DRIFT by three rules and merges beside plain SFT, on sums of handwritten digits.

    python -m benchmarks.priors [--out DIR] [--seeds 3]
    python -m benchmarks.priors --smoke

On each seed a tiny text model learns to read and add digits that are given as words. An expert is made of it by lessons in words, with
reasoning; a VLM by learning to see the same digits in pictures, and to answer without reasoning. Then the stages of
`pipelines/merges.yaml` are carried out: the VLM learns few lessons with reasoning, with and without DRIFT, and is merged with the expert.
All students are tried on pictures of digits that none of them saw. What is done already in DIR is not done again.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.forge.table import print_table
from benchmarks.priors import models
from benchmarks.priors.arms import SEEDS_OFF, Arm, Lessons, Run
from benchmarks.priors.models import Making
from benchmarks.train import ground

SEEDS = 3
NORMAL = 1.96
"""97.5 % point of the normal distribution."""
HEAD = ("", "steps", "distance to the expert", "accuracy", "each seed", "tokens an answer", "words of reasoning", "reasoned, in form")


@dataclass(frozen=True)
class Size:
    """How much is learned and tried."""

    making: Making
    lessons: Lessons


WHOLE = Size(
    Making(text=400, expert=400, tower=600, vlm=250, pictures=3_000),
    Lessons(count=256, steps=300, batch=16, rate=2e-3, test=200),
)
SMOKE = Size(
    Making(text=2, expert=2, tower=2, vlm=2, pictures=8, batch=2, tried=2),
    Lessons(count=4, steps=2, batch=2, rate=1e-3, test=2, follow=1),
)


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, help="a folder to keep; without it all is gone at the end")
    asked.add_argument("--seeds", type=int, default=SEEDS, help="of first weights, lessons and all that is drawn (default: %(default)s)")
    asked.add_argument("--steps", type=int, default=WHOLE.lessons.steps, help="of each training on the lessons (default: %(default)s)")
    asked.add_argument("--models", action="store_true", help="make the text models, experts and VLMs alone")
    asked.add_argument("--smoke", action="store_true", help="one seed and two steps of everything: only to see that it runs")
    given = asked.parse_args()
    size = SMOKE if given.smoke else replace(WHOLE, lessons=replace(WHOLE.lessons, steps=given.steps))
    seeds = 1 if given.smoke else given.seeds
    ground.quiet()
    if given.out is not None:
        compare(given.out.resolve(), seeds, size, alone=given.models)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), seeds, size, alone=given.models)


def compare(root: Path, seeds: int, size: Size, *, alone: bool = False) -> None:
    """What is not done yet in a folder, then the table; only the models where they `alone` are wanted.

    Raises SystemExit where the folder holds a comparison of another size.
    """
    root.mkdir(parents=True, exist_ok=True)
    known, said = root / "size.json", json.dumps(asdict(size))
    if known.exists() and known.read_text(encoding="utf-8") != said:
        raise SystemExit(f"{root}: holds a comparison of another size; take another folder with --out")
    known.write_text(said, encoding="utf-8")
    others = max(seeds, SEEDS_OFF + 1)
    for seed in range(others):
        models.make(root / f"seed-{seed}", seed, size.making, _tell)
    if alone:
        return
    runs = [Run(root, seed, others, size.lessons) for seed in range(seeds)]
    for run in runs:
        run.write()
        run.train(_tell)
    for said in _about(runs, size):
        print(said)
    print()
    print_table(HEAD, (row(arm, runs) for arm in runs[0].arms()))


def _tell(said: str) -> None:
    print(said, file=sys.stderr, flush=True)


def _about(runs: list[Run], size: Size) -> list[str]:
    """What the models can do before any lesson about a picture."""
    text, expert, vlm = ([models.made(run.model(name)) for run in runs] for name in (models.TEXT, models.EXPERT, models.VLM))
    weights = models.made(runs[0].model(models.UNTRAINED))["weights"]
    count = size.lessons
    return [
        f"{len(runs)} seeds; {weights:,} weights; {count.count:,} lessons, {count.steps:,} steps of {count.batch}; "
        f"{count.test:,} pictures of other digits",
        f"sums in words: the text model is right about {_each(text, 'right')}, the expert about {_each(expert, 'right')}",
        f"pictures: the VLM reads all four digits of {_each(vlm, 'read')}, and is right about {_each(vlm, 'right')}",
    ]


def _each(found: list[dict[str, Any]], name: str) -> str:
    return ", ".join(f"{one[name]:.3f}" for one in found)


def row(arm: Arm, runs: list[Run]) -> tuple[str, ...]:
    """A row of the table: an arm over all seeds."""
    found = [run.figures(arm) for run in runs]
    share = fmean(one["distance"] / one["distance_of_vlm"] for one in found)
    right = [one["accuracy"] for one in found]
    low, high = wilson(fmean(right), sum(one["n"] for one in found))
    return (
        arm.name,
        f"{arm.steps:,}",
        f"{fmean(one['distance'] for one in found):.2f} ({share:.2f})",
        f"{fmean(right):.3f}  {low:.3f} to {high:.3f}",
        " ".join(f"{one:.3f}" for one in right),
        f"{fmean(one['output_tokens'] for one in found):.0f}",
        f"{fmean(one['reasoning_words'] for one in found):.0f}",
        f"{fmean(one['format_rate'] for one in found):.3f}",
    )


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many independent trials (Wilson 1927)."""
    whole = 1 + NORMAL**2 / count
    middle = share + NORMAL**2 / (2 * count)
    half = NORMAL * sqrt(share * (1 - share) / count + NORMAL**2 / (4 * count**2))
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


if __name__ == "__main__":
    main()
