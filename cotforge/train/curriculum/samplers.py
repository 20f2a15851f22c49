"""Samplers that are told what the student did with the rows they chose: a bandit over clusters, and reviews of what was hard.

All that they go by is in their state, so that a resumed stage draws the rows of an undisturbed one; what is drawn by chance follows from
the seed and the number of the step. Processes that are told the same values draw the same rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import torch

from cotforge.train.curriculum.orders import Order, Passes, Shuffled

WEIGHT = 0.3
"""Of the newest value in an arm's moving average. Default chosen by us."""


class RowSampler(Protocol):
    """Chooses the rows of a step, then is told of each what came of it."""

    def draw(self, count: int) -> list[int]:
        """The rows of the next step."""

    def see(self, values: Sequence[float]) -> None:
        """What came of each row of the newest step, in their order; NaN where it is not known."""

    def metrics(self) -> dict[str, float]:
        """Of the newest step, by name."""

    def state(self) -> dict[str, Any]:
        """All that decides what is drawn from now on, as JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from the state of another sampler of the same rows."""


class InOrder:
    """Rows of an order, whatever comes of them."""

    def __init__(self, order: Order) -> None:
        self.order, self._passes = order, Passes(order)

    def draw(self, count: int) -> list[int]:
        return self._passes.draw(count)

    def see(self, values: Sequence[float]) -> None:
        """It goes by nothing of that."""

    def metrics(self) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, Any]:
        return {"passes": self._passes.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._passes.restore(state["passes"])


@dataclass
class Arm:
    """A cluster of rows."""

    passes: Passes
    steps: int = 0
    """That were learned from it."""
    last: float | None = None
    """The mean of what came of its rows in the newest of them."""
    value: float | None = None
    """A moving average: of what came of its rows, or of how far that moved from one of its steps to the next."""


class Bandit:
    """Each step learns from one cluster: with a probability of `explore` from any, else from that of the highest value.

    Source: Matiisen et al. 2017 (arXiv 1707.00183), algorithm "Online" with a greedy choice. With `progress` the value of an arm is the
    moving average of the change between two of its steps, and its size is what counts; without, that of what came of its rows (the variance
    of rewards). Every arm is tried until it has a value.
    """

    def __init__(self, clusters: Sequence[Order], *, progress: bool, explore: float, seed: int) -> None:
        self.arms = [Arm(Passes(order)) for order in clusters]
        self.progress, self.explore, self.seed = progress, explore, seed
        self._steps = self._newest = 0

    def draw(self, count: int) -> list[int]:
        self._newest = self._choose_arm()
        self._steps += 1
        return self.arms[self._newest].passes.draw(count)

    def see(self, values: Sequence[float]) -> None:
        arm = self.arms[self._newest]
        arm.steps += 1
        known = [value for value in values if math.isfinite(value)]
        if not known:
            return
        mean = fmean(known)
        told = None if self.progress and arm.last is None else mean - (arm.last or 0.0) if self.progress else mean
        arm.last = mean
        if told is not None:
            arm.value = told if arm.value is None else (1 - WEIGHT) * arm.value + WEIGHT * told

    def metrics(self) -> dict[str, float]:
        """`curriculum/arm` counts clusters from 0."""
        arm = self.arms[self._newest]
        return {"curriculum/arm": float(self._newest)} | ({} if arm.value is None else {"curriculum/value": arm.value})

    def state(self) -> dict[str, Any]:
        arms = [{"passes": arm.passes.state(), "steps": arm.steps, "last": arm.last, "value": arm.value} for arm in self.arms]
        return {"steps": self._steps, "newest": self._newest, "arms": arms}

    def restore(self, state: dict[str, Any]) -> None:
        self._steps, self._newest = state["steps"], state["newest"]
        for arm, kept in zip(self.arms, state["arms"], strict=True):
            arm.passes.restore(kept["passes"])
            arm.steps, arm.last, arm.value = kept["steps"], kept["last"], kept["value"]

    def _choose_arm(self) -> int:
        untried = [place for place, arm in enumerate(self.arms) if arm.value is None]
        if untried:
            return min(untried, key=lambda place: (self.arms[place].steps, place))
        chance = torch.Generator().manual_seed((self.seed * 1_000_003 + self._steps) % 2**63)
        drawn, other = torch.rand(2, generator=chance, dtype=torch.float64).tolist()
        if drawn < self.explore:
            return int(other * len(self.arms))
        return max(range(len(self.arms)), key=lambda place: (abs(self.arms[place].value or 0.0), -place))


class Review:
    """After `every` steps of new rows, the `share` of their rows with the highest values comes once more, before further new ones.

    Each new row is reviewed once at most, so that a row which cannot be learned, as one with a wrong label, does not come again and again.
    """

    def __init__(self, order: Shuffled, *, every: int, share: float, known: Sequence[float] | None = None) -> None:
        """`known`: values by row, where they do not follow from what the student does."""
        self._order, self._passes, self._known = order, Passes(order), known
        self.every, self.share = every, share
        self._since, self._reviews = 0, 0
        self._window: list[tuple[float, int]] = []
        """(value, row) of the new rows since the last review."""
        self._waiting: list[int] = []
        """Rows that are to come once more."""
        self._again, self._new = 0, list[int]()
        """Of the newest step: how many rows came once more, and which were new."""

    def draw(self, count: int) -> list[int]:
        again, self._waiting = self._waiting[:count], self._waiting[count:]
        self._again, self._new = len(again), self._passes.draw(count - len(again))
        return again + self._new

    def see(self, values: Sequence[float]) -> None:
        new = values[self._again :] if self._known is None else [self._known[row] for row in self._new]
        self._window += [(value, row) for value, row in zip(new, self._new, strict=True) if math.isfinite(value)]
        self._since += not self._again
        if self._since == self.every and not self._waiting:
            self._begin_review()

    def metrics(self) -> dict[str, float]:
        """`curriculum/reviewed`: the share of the step's rows that came once more."""
        return {"curriculum/reviewed": self._again / max(1, self._again + len(self._new))}

    def state(self) -> dict[str, Any]:
        return {
            "passes": self._passes.state(), "since": self._since, "reviews": self._reviews,
            "window": [[value, row] for value, row in self._window], "waiting": self._waiting,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        self._passes.restore(state["passes"])
        self._since, self._reviews, self._waiting = state["since"], state["reviews"], state["waiting"]
        self._window = [(value, row) for value, row in state["window"]]
        self._again, self._new = 0, []

    def _begin_review(self) -> None:
        """The hardest rows of the window are to come; lessons in batches of about one length."""
        ranked = sorted(self._window, key=lambda one: (-one[0], one[1]))
        hardest = [row for _, row in ranked[: round(self.share * len(ranked))]]
        self._reviews += 1
        order = self._order
        grouped = Shuffled(hardest, seed=order.seed, size=order.size, lengths=order.lengths)
        self._waiting = grouped.of_pass(self._reviews)
        self._since, self._window = 0, []
