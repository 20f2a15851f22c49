"""Rewards of a stage that learns from what the student says: measures with weights. Nothing is taken of a text here."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cotforge.errors import PipelineError
from cotforge.filters import Measured


class Reward(Measured):
    """A measure that is rewarded, and its weight."""

    weight: float = 1.0
    """Factor of the measure in the sum of rewards. Negative values penalise."""


def reward_faults(rewards: Sequence[Reward], root: Path) -> Iterator[str]:
    """What is wrong with measures and options, each with the path of its key; `root` is the pipeline file's folder."""
    for index, reward in enumerate(rewards):
        try:
            reward.found(root)
        except PipelineError as error:
            yield from (f"rewards[{index}].{fault}" for fault in error.faults)


def reward_words(rewards: Sequence[tuple[float, str]]) -> str:
    """For the plan's line: rewards, each a weight and a name, with their shares of all weights, in [-1, 1]."""
    whole = sum(abs(weight) for weight, _ in rewards) or 1.0
    return " + ".join(f"{weight / whole:.3g} {name}" for weight, name in rewards)
