"""From `curriculum:` of a stage and what is known of its rows to an order or a sampler."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from cotforge.errors import PipelineError
from cotforge.plan import Curriculum, PacedStage
from cotforge.train.curriculum.orders import EasyFirst, Order, Shuffled, cut_parts, part_seed
from cotforge.train.curriculum.samplers import Bandit, InOrder, Review, RowSampler


@dataclass(frozen=True)
class RowFacts:
    """What is known of a stage's rows before it is trained, by their place."""

    rates: Sequence[float | None]
    """Shares of right answers, as `difficulty.parquet` has them."""
    lengths: Sequence[int] | None = None
    """Of what the student is to learn to say; None where that is not known."""
    alike: bool = False
    """Whether a batch is to hold rows of about one length."""

    @classmethod
    def of(cls, ids: Sequence[str], rates: Mapping[str, float], **known: Any) -> "RowFacts":
        """`ids` of the samples that the rows are of."""
        return cls([rates.get(id) for id in ids], **known)

    @property
    def unrated(self) -> int:
        """Rows without a pass rate."""
        return sum(rate is None for rate in self.rates)

    def hardness(self, by: str) -> list[float] | None:
        """Of each row, by `pass_rate` or `length`; a row without a pass rate is as hard as the median one. None where none is known."""
        if by == "length":
            return None if self.lengths is None else [float(length) for length in self.lengths]
        known = [rate for rate in self.rates if rate is not None]
        return [1 - (median(known) if rate is None else rate) for rate in self.rates] if known else None


@dataclass(frozen=True)
class StageSize:
    """Of a stage: rows of an optimizer step (for grpo: of a rollout) over all processes, and how many rows it sees in all."""

    step: int
    reach: int


def order_of(stage: PacedStage, facts: RowFacts, size: StageSize, tell: Callable[[str], object]) -> EasyFirst | None:
    """The order of a stage that begins with what is easy; None where its curriculum is another. Raises PipelineError."""
    asked = stage.curriculum
    if asked is None or asked.how != "easy_first":
        return None
    hardness = _row_hardness(stage.name, asked, facts, tell)
    return EasyFirst(_shuffled_sampler(stage, facts, size), hardness, buckets=asked.buckets, reach=size.reach)


def sampler_of(stage: PacedStage, facts: RowFacts, size: StageSize, tell: Callable[[str], object]) -> RowSampler | None:
    """The sampler of a stage's curriculum; None where it has none. Raises PipelineError where what it goes by is not known."""
    asked = stage.curriculum
    if asked is None:
        return None
    if (order := order_of(stage, facts, size, tell)) is not None:
        return InOrder(order)
    if asked.how == "review":
        known = _row_hardness(stage.name, asked, facts, tell) if stage.needs_pass_rates else None
        return Review(_shuffled_sampler(stage, facts, size), every=asked.every, share=asked.share, known=known)
    clusters = cluster_rows(facts, asked.buckets, size.step)
    if clusters is None:
        raise PipelineError(
            f"stage {stage.name!r}: curriculum.how: bandit: nothing tells its rows apart; write pass rates with "
            "cotforge eval PIPELINE --write-back, or take data: lessons"
        )
    sizes = [len(rows) for rows in clusters]
    tell(f"curriculum: {len(sizes)} clusters of {min(sizes):,} to {max(sizes):,} rows, by {_told_apart(facts)}")
    alike = facts.lengths if facts.alike else None
    orders: list[Order] = [
        Shuffled(rows, seed=part_seed(stage.seed, place), size=size.step, lengths=alike) for place, rows in enumerate(clusters)
    ]
    return Bandit(orders, progress=asked.by != "reward_variance", explore=asked.explore, seed=stage.seed)


def cluster_rows(facts: RowFacts, buckets: int, least: int) -> list[list[int]] | None:
    """Rows in clusters: quantiles of pass rate, each in a half of shorter and one of longer rows; without pass rates, quantiles of length.

    Fewer than asked for where a cluster would have less than `least` rows. None where neither is known.
    """
    rows = range(len(facts.rates))
    hardness, lengths = facts.hardness("pass_rate"), facts.hardness("length")
    if hardness is None:
        return None if lengths is None else cut_parts(sorted(rows, key=lambda row: lengths[row]), max(1, min(buckets, len(rows) // least)))
    halves = 2 if lengths is not None and len(rows) >= 2 * least else 1
    parts = cut_parts(sorted(rows, key=lambda row: hardness[row]), max(1, min(buckets, len(rows) // (halves * least))))
    if lengths is None:
        return parts
    return [half for part in parts for half in cut_parts(sorted(part, key=lambda row: lengths[row]), halves)]


def _told_apart(facts: RowFacts) -> str:
    known = [word for word, there in (("pass rate", facts.unrated < len(facts.rates)), ("length", facts.lengths is not None)) if there]
    return " and ".join(known)


def _shuffled_sampler(stage: PacedStage, facts: RowFacts, size: StageSize) -> Shuffled:
    lengths = facts.lengths if facts.alike else None
    return Shuffled(range(len(facts.rates)), seed=stage.seed, size=size.step, lengths=lengths)


def _row_hardness(name: str, asked: Curriculum, facts: RowFacts, tell: Callable[[str], object]) -> list[float]:
    found = facts.hardness(asked.by)
    if found is None:
        raise PipelineError(
            f"stage {name!r}: curriculum.by: {asked.by}: difficulty.parquet has none of its {len(facts.rates):,} rows; "
            "cotforge eval PIPELINE --write-back asks about those of the build"
        )
    if asked.by == "pass_rate" and facts.unrated:
        tell(f"curriculum: {facts.unrated:,} of {len(facts.rates):,} rows have no pass rate, and are taken for as hard as the median one")
    return found
