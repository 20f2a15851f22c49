"""Synthetic worlds for consensus: what every teacher would answer, the true class, and a label that is wrong at times.

| kind | |
|---|---|
| IND | teachers err independently given the class: what Dawid and Skene assume |
| COR | items differ in difficulty, and wrong teachers share a distractor class |
| COR+L | COR, where the label too is wrong on the difficult items, and often by the same distractor |
| COR30 | COR with 30 % of the labels wrong |

Errors fall mostly inside a class's own half of the classes, as they do among pleasant and unpleasant emotions. The samples of one
teacher about one item come from one belief, so a second sample repeats much of the first one's error.

Shapes: N items, K teachers, S samples of each, C classes.
"""
# ruff: noqa: N803, N806, N815
# Arrays end in their axes.

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit

KINDS = ("IND", "COR", "COR+L", "COR30")
ACCURACIES = (0.55, 0.62, 0.70, 0.78, 0.85)
PRICES = (1.0, 1.2, 2.0, 4.0, 6.0)

_CONCENTRATION = 1.2
"""Of a teacher's belief about one item: the lower, the more its samples repeat each other."""
_DIFFICULTY = 1.6
"""Log odds of being right that one standard deviation of difficulty costs."""
_SHARED = 0.62
"""Share of the errors that fall on the distractor."""
_AT_ONCE = 1 << 22
"""Numbers in an array of one step."""

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """What the teachers would answer, and what nobody who decides may see."""

    classes: int
    truth_N: Classes
    """-1 for an item that belongs to no class."""
    label_N: Classes
    """-1 for an item without a label."""
    answer_NKS: npt.NDArray[Any]
    """Classes too, in as few bytes as they fit in; -1 for an answer that cannot be read."""
    price_K: Floats
    """Price units of one call."""

    @property
    def items(self) -> int:
        return len(self.truth_N)

    @cached_property
    def by_skill(self) -> list[int]:
        """Teachers, the most accurate first."""
        accuracy_K = (self.answer_NKS[:, :, 0] == self.truth_N[:, None]).mean(0)
        return [int(k) for k in np.argsort(-accuracy_K, kind="stable")]


Maker = Callable[[int, np.random.Generator], World]
"""(items, where chance comes from) to a world."""


def answered_once(classes: int, truth_N: Classes, label_N: Classes, answer_NK: Classes) -> World:
    """A world with one answer of each teacher, all at the same price."""
    return World(classes, truth_N, label_N, answer_NK[:, :, None], np.ones(answer_NK.shape[1]))


@dataclass(frozen=True)
class Recipe:
    """How a world is made; the same recipe and generator give the same world, bit by bit."""

    kind: str = "COR"
    items: int = 20_000
    classes: int = 8
    accuracies: tuple[float, ...] = ACCURACIES
    """Of each teacher, in the mean over classes and items."""
    prices: tuple[float, ...] = PRICES
    samples: int = 12
    """Answers of each teacher about each item."""
    noise: float = 0.10
    """Share of the labels that are wrong, mostly by a class of the same half; COR30 has 0.30."""

    def world(self, random: np.random.Generator) -> World:
        """One world. Raises ValueError where kind or prices do not fit."""
        if self.kind not in KINDS or len(self.prices) != len(self.accuracies):
            raise ValueError(f"{self}: kind is one of {', '.join(KINDS)}, and every teacher has a price")
        near_CC = _similarity(self.classes, random)
        truth_N = random.integers(0, self.classes, self.items)
        accuracy_KC = self._accuracies(random)
        errors_KCC = np.stack([near_CC * random.gamma(3.0, 1 / 3.0, near_CC.shape) for _ in self.accuracies])
        errors_KCC /= errors_KCC.sum(2, keepdims=True)
        distractor_N = drawn(near_CC, truth_N, random)
        difficulty_N = random.normal(0, 1, self.items)
        slope, shared = (0.0, 0.0) if self.kind == "IND" else (_DIFFICULTY, _SHARED)
        level_KC = _levels(accuracy_KC, slope)
        belief_NKC = np.empty((self.items, len(self.accuracies), self.classes))
        for some in _steps(self.items, belief_NKC[0].size):
            truth, n = truth_N[some], np.arange(len(truth_N[some]))
            right_NK = expit(level_KC.T[truth] - slope * difficulty_N[some, None])
            wrong_NKC = (1 - shared) * errors_KCC.transpose(1, 0, 2)[truth]
            wrong_NKC[n, :, distractor_N[some]] += shared
            mean_NKC = (1 - right_NK)[..., None] * wrong_NKC
            mean_NKC[n, :, truth] += right_NK
            belief_NKC[some] = _believed(mean_NKC, random)
        answer_NKS = self._answers(belief_NKC, random)
        label_N = self._labels(near_CC, truth_N, distractor_N, difficulty_N, random)
        return World(self.classes, truth_N, label_N, answer_NKS, np.array(self.prices))

    def _accuracies(self, random: np.random.Generator) -> Floats:
        """Of each teacher on each class, around its own."""
        mean_K = np.array(self.accuracies)
        accuracy_KC = np.clip(mean_K[:, None] + random.normal(0, 0.06, (len(mean_K), self.classes)), 0.30, 0.97)
        accuracy_KC += (mean_K - accuracy_KC.mean(1))[:, None]
        return accuracy_KC

    def _answers(self, belief_NKC: Floats, random: np.random.Generator) -> npt.NDArray[Any]:
        """Classes drawn from cumulative beliefs."""
        items, teachers, classes = belief_NKC.shape
        answer_NKS = np.empty((items, teachers, self.samples), np.int8 if classes <= 128 else np.int16)
        for some in _steps(items, belief_NKC[0].size * self.samples):
            chance_NKS = random.random(answer_NKS[some].shape)
            answer_NKS[some] = (chance_NKS[..., None] > belief_NKC[some, :, None, :]).sum(-1)
        return answer_NKS

    def _labels(
        self, near_CC: Floats, truth_N: Classes, distractor_N: Classes, difficulty_N: Floats, random: np.random.Generator
    ) -> Classes:
        noise = 0.30 if self.kind == "COR30" else self.noise
        if self.kind == "COR+L":
            chance_N = expit(-2.75 + _DIFFICULTY * difficulty_N)
            chance_N *= noise / chance_N.mean()
            slips_N = random.random(self.items) < np.minimum(chance_N, 0.9)
            shares_N = random.random(self.items) < 0.6
            wrong_N = np.where(shares_N, distractor_N, drawn(near_CC, truth_N, random))
        else:
            slips_N = random.random(self.items) < noise
            wrong_N = drawn(near_CC, truth_N, random)
        return np.where(slips_N, wrong_N, truth_N)


@dataclass(frozen=True)
class Inputs:
    """A world as the arguments of `cotforge.consensus.decide`."""

    frame: pl.DataFrame
    """Columns id, teacher, answer; in the order asked: by item, then sample, then teacher."""
    classes: list[str] | None
    labels: dict[str, str]
    truth: dict[str, str]
    """Both without the items that have none."""
    prices: dict[str, float]

    def gold(self, count: int, random: np.random.Generator) -> dict[str, str]:
        """The true answers of `count` items drawn at random."""
        ids = list(self.truth)
        return {ids[n]: self.truth[ids[n]] for n in sorted(random.choice(len(ids), count, replace=False))}


def inputs(world: World, *, samples: int = 1, free: bool = False) -> Inputs:
    """The world in words: `c3` for class 3, or, `free`, `i17-c3`: a string that no other item knows, and no closed list of classes."""
    ids, names = item_ids(world), [f"c{c}" for c in range(world.classes)]
    items, teachers, _ = world.answer_NKS.shape
    shape = items, samples, teachers
    item, teacher = (np.broadcast_to(place, shape).ravel() for place in (np.arange(items)[:, None, None], np.arange(teachers)))
    answers = world.answer_NKS[:, :, :samples].transpose(0, 2, 1).ravel()
    frame = pl.DataFrame(
        {
            "id": pl.Series(ids).gather(item),
            "teacher": pl.Series(_teachers(world)).gather(teacher),
            "answer": pl.Series([*names, None]).gather(np.where(answers < 0, len(names), answers.astype(np.int64))),
        }
    )
    labels, truth = (
        {name: f"{name}-{names[c]}" if free else names[c] for name, c in zip(ids, class_N.tolist(), strict=True) if c >= 0}
        for class_N in (world.label_N, world.truth_N)
    )
    if free:
        frame = frame.with_columns(answer=pl.format("{}-{}", "id", "answer"))
    return Inputs(frame, None if free else names, labels, truth, dict(zip(_teachers(world), world.price_K.tolist(), strict=True)))


def item_ids(world: World) -> list[str]:
    """`i0`, `i1` and so on."""
    return [f"i{n}" for n in range(world.items)]


def _teachers(world: World) -> list[str]:
    return [f"t{k + 1}" for k in range(world.answer_NKS.shape[1])]


def _similarity(classes: int, random: np.random.Generator) -> Floats:
    """How often each class is taken for each other one; rows sum to one."""
    half_C = np.arange(classes) < classes // 2
    near_CC = np.where(half_C[:, None] == half_C[None, :], 3.0, 0.6) * random.gamma(2.0, 0.5, (classes, classes))
    np.fill_diagonal(near_CC, 0)
    return np.asarray(near_CC / near_CC.sum(1, keepdims=True))


def drawn(chance_CC: Floats, class_N: Classes, random: np.random.Generator) -> Classes:
    """For every item a class drawn from the row of its own: what `random.choice` draws for them one after the other."""
    below_CC = chance_CC.cumsum(1)
    below_CC /= below_CC[:, -1:]
    chance_N = random.random(len(class_N))
    drawn_N = np.empty(len(class_N), np.int64)
    for c, below_C in enumerate(below_CC):
        mine_N = class_N == c
        drawn_N[mine_N] = below_C.searchsorted(chance_N[mine_N], side="right")
    return drawn_N


def _levels(accuracy_KC: Floats, slope: float) -> Floats:
    """Log odds on an item of middling difficulty that make the mean over difficulties the accuracy asked for."""
    difficulty_D = np.linspace(-4, 4, 201)
    weight_D = np.exp(-(difficulty_D**2) / 2)
    weight_D /= weight_D.sum()
    low_KC, high_KC = np.full_like(accuracy_KC, -8.0), np.full_like(accuracy_KC, 12.0)
    for _ in range(50):
        middle_KC = (low_KC + high_KC) / 2
        below_KC = (weight_D * expit(middle_KC[..., None] - slope * difficulty_D)).sum(-1) < accuracy_KC
        low_KC, high_KC = np.where(below_KC, middle_KC, low_KC), np.where(below_KC, high_KC, middle_KC)
    return low_KC


def _believed(mean_NKC: Floats, random: np.random.Generator) -> Floats:
    """Cumulative beliefs, Dirichlet around their means."""
    weight_NKC = random.standard_gamma(np.maximum(_CONCENTRATION * mean_NKC, 1e-6)) + 1e-12
    belief_NKC = (weight_NKC / weight_NKC.sum(2, keepdims=True)).cumsum(2)
    belief_NKC[..., -1] = 1.0
    return np.asarray(belief_NKC)


def _steps(items: int, each: int) -> Iterator[slice]:
    """Slices of the items, so that a step's array has no more than `_AT_ONCE` numbers where one item has `each`."""
    step = max(1, _AT_ONCE // each)
    return (slice(start, start + step) for start in range(0, items, step))
