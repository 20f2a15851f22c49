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
    """How the student's own completions are made, and which two of one sample become a pair.

    Right against wrong is the rollout DPO of Phi-4-Mini-Reasoning (arXiv 2504.21233). It gives no numbers: all defaults are chosen by us.
    arXiv 2404.19733 taught reasoning so with 30 completions and 10 pairs of a sample, at temperature 0.8.
    """

    of: Literal["lessons", "source"] = "lessons"
    """Samples that the student is asked about: those of the lessons, or every readable sample of the source with its raw label."""
    at_most: int | None = Field(default=None, ge=1)
    """Samples, drawn by the stage's seed; null takes all."""
    per_sample: int = Field(default=8, ge=2)
    """Completions of one sample."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the completions, drawn from all tokens."""
    max_completion: int = Field(default=1024, ge=1)
    """Tokens of one completion, at most; one that is cut off is in no pair."""
    pairs_per_sample: int = Field(default=1, ge=1)
    """Pairs of one sample, at most: those of the most similar lengths, and of different completions while there are some."""
    margin: float = Field(default=0.5, gt=0, le=1)
    """Reward of the chosen completion above that of the rejected one, at least; 1 is full marks."""
    length_ratio: float | None = Field(default=2.0, ge=1)
    """Tokens of the longer completion of a pair over those of the shorter one, at most; null takes any."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """Who makes the completions; `auto` is vLLM on a GPU where it is installed and serves the student, else transformers."""


class Dpo(TrlStage):
    """Preference: of a right and a wrong text about a picture, the right one becomes likelier."""

    rows_are: ClassVar[str] = "pairs"
    learns_texts: ClassVar[bool] = True
    keyless_defaults: ClassVar[frozenset[str]] = frozenset({"rewards", "rollouts"})
    curves: ClassVar[tuple[Curve, ...]] = (LOSS, Curve("Right text preferred", (("rewards/accuracies", "share"),), share=True))

    kind: Literal["dpo"]
    data: Literal["lessons", "rollouts"] = "lessons"
    """`lessons`: the dataset's pairs; `rollouts`: the student's own completions, made with the weights that the stage begins with."""
    rewards: tuple[Reward, ...] = (Reward(measure="correct"),)
    """What makes one of two completions the better, with `data: rollouts`."""
    rollouts: Rollouts = Rollouts()
    """How completions are made and paired, with `data: rollouts`."""
    beta: float | None = Field(default=None, gt=0)
    """Weight of the distance to the weights that the stage began with. Null is TRL's own: 0.1."""

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
