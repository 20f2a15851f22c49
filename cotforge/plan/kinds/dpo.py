"""Stages of kind `dpo`: learning from pairs of a right and a wrong text, those of the dataset or the student's own completions."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from cotforge.plan.rewards import Reward, reward_faults, reward_words
from cotforge.plan.stage import LOSS, Curve, LearnsFrom, TrlStage
from cotforge.spec import Spec

SMOKE_SAMPLES = 8
"""Samples of which completions are made when only the machinery is tried."""


class Rollouts(Spec):
    """How the student's completions are sampled, and which two of one sample become a pair.

    Right against wrong is the rollout DPO of Phi-4-Mini-Reasoning (arXiv 2504.21233). It gives no numbers: all defaults are chosen by us.
    arXiv 2404.19733 taught reasoning so with 30 completions and 10 pairs of a sample, at temperature 0.8.
    """

    of: Literal["lessons", "source"] = "lessons"
    """Samples the student is asked about. `lessons`: those of the lessons. `source`: every readable
    sample of the source, with its raw label."""
    at_most: int | None = Field(default=None, ge=1)
    """Most samples, drawn by the stage's seed. Null: all."""
    per_sample: int = Field(default=8, ge=2)
    """Completions per sample."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of the completions. They are drawn from all tokens."""
    max_completion: int = Field(default=1024, ge=1)
    """Most tokens per completion. A completion that is cut off is not used in a pair."""
    pairs_per_sample: int = Field(default=1, ge=1)
    """Most pairs per sample. Pairs of similar length come first, with different completions as long
    as there are some."""
    margin: float = Field(default=0.5, gt=0, le=1)
    """Smallest difference in reward between the chosen and the rejected completion. 1 is full
    marks."""
    length_ratio: float | None = Field(default=2.0, ge=1)
    """Largest ratio of the longer to the shorter completion of a pair, in tokens. Null: no limit."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What generates the completions: `vllm` or `transformers`. `auto`: vLLM on a GPU if it is
    installed and supports the student."""


class Dpo(TrlStage):
    """Direct preference optimisation: of a right and a wrong text about an image, the right one becomes more likely."""

    rows_are: ClassVar[str] = "pairs"
    learns_texts: ClassVar[bool] = True
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"rewards", "rollouts"})
    curves: ClassVar[tuple[Curve, ...]] = (LOSS, Curve("Right text preferred", (("rewards/accuracies", "share"),), share=True))

    kind: Literal["dpo"]
    """`dpo`: direct preference optimisation on pairs of a right and a wrong text."""
    data: Literal["lessons", "rollouts"] = "lessons"
    """`lessons`: the preference pairs of the dataset. `rollouts`: pairs of the student's own
    completions, sampled with the weights the stage starts with."""
    rewards: tuple[Reward, ...] = (Reward(measure="correct"),)
    """With `data: rollouts`: the measures that decide which of two completions is better. Default:
    `correct`."""
    rollouts: Rollouts = Rollouts()
    """With `data: rollouts`: how completions are sampled and paired."""
    beta: float | None = Field(default=None, gt=0)
    """Weight of the distance to the weights the stage starts with. Null: TRL's default, 0.1."""

    @model_validator(mode="after")
    def _has_rollouts(self) -> Self:
        given = [name for name in ("rewards", "rollouts") if getattr(self, name) != type(self).model_fields[name].get_default()]
        if given and not self.makes_rollouts:
            raise ValueError(f"{given[0]}: is for data: rollouts alone; set data to rollouts, or leave {given[0]} out")
        if not self.rewards:
            raise ValueError("rewards: there is none; at least one is needed, or leave rewards out for correct")
        return self

    @property
    def makes_rollouts(self) -> bool:
        """Whether its pairs are the student's own completions."""
        return self.data == "rollouts"

    @property
    def learns_from(self) -> LearnsFrom:
        """Pairs of the dataset, or the samples of which completions are made."""
        return self.rollouts.of if self.makes_rollouts else "pairs"

    @property
    def longest_answer(self) -> int | None:
        """Of its own completions."""
        return self.rollouts.max_completion if self.makes_rollouts else None

    def faults(self, root: Path) -> Iterator[str]:
        """Of the rewards."""
        yield from reward_faults(self.rewards, root)

    def amount(self, rows: int, *, processes: int = 1, steps: int | None = None) -> str:
        """Of rollouts how many are made: how many pairs they give is not known before."""
        if not self.makes_rollouts:
            return super().amount(rows, processes=processes, steps=steps)
        samples = min(rows, self.rollouts.at_most or rows, rows if steps is None else SMOKE_SAMPLES)
        return f"{self.rollouts.per_sample:,} completions each of {samples:,} samples"

    def words(self, steps: int | None = None) -> list[str]:
        """Of rollouts also what is better, and what is paired."""
        words = super().words(steps)
        if not self.makes_rollouts:
            return words
        words[1] = f"on its own completions of {self.learns_from}"
        made = self.rollouts
        ratio = [] if made.length_ratio is None else [f"lengths within {made.length_ratio:g}"]
        pairs = f"{made.pairs_per_sample:,} pair{'s' * (made.pairs_per_sample > 1)} of a sample"
        better = reward_words([(reward.weight, reward.measure) for reward in self.rewards])
        return [*words, better, pairs, f"margin {made.margin:g}", *ratio]
