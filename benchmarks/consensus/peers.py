"""Other people's rules, each a function of a world that says what it accepts, what that cost, and how sure it is of it.

What a rule does not ask costs nothing: of a rule that stops, only the calls until then are charged. "Best" is the teacher that is the
most accurate in truth, which a user would first have to find out.

Shapes: N items, K teachers, J calls about an item in the order made, C classes.
"""
# ruff: noqa: N803, N806
# Arrays end in their axes.

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene

from benchmarks.consensus.score import Bools, Result
from benchmarks.consensus.worlds import Classes, Floats, World


def majority(world: World, *, least: float, label: bool = False) -> Result:
    """All teachers once; accepted from so large a share on, and with `label` only where it says the same. Claims the mean share."""
    answer_N, share_N = _modal(world.answer_NKS[:, :, 0])
    accepted_N = share_N >= least - 1e-9
    if label:
        accepted_N &= answer_N == world.label_N
    return _whole(world, answer_N, accepted_N, None if label else share_N)


def crowd_kit(world: World, *, model: Callable[[], Any], label: bool = False, least: float = 0.95) -> Result:
    """All teachers once, and with `label` it as one more worker; accepted from so high a posterior on. Claims their mean."""
    answers = [world.answer_NKS[:, :, 0], *([world.label_N[:, None]] if label else [])]
    answer_NJ = np.concatenate(answers, axis=1).astype(np.int64)
    items, workers = answer_NJ.shape
    votes = {"task": np.repeat(np.arange(items), workers), "worker": np.tile(np.arange(workers), items), "label": answer_NJ.ravel()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls pandas in ways that are going away
        posterior = model().fit_predict_proba(pd.DataFrame(votes)).reindex(range(items))
    posterior_NC = posterior.to_numpy()
    answer_N = posterior.columns.to_numpy()[posterior_NC.argmax(1)]
    return _whole(world, answer_N, posterior_NC.max(1) >= least, posterior_NC.max(1))


def self_consistency(world: World, *, samples: int, least: float = 0.8) -> Result:
    """The best teacher so many times; accepted from so large a share on. Claims the mean share. Source: Wang 2022."""
    best = world.by_skill[0]
    answer_N, share_N = _modal(world.answer_NKS[:, best, :samples])
    accepted_N = share_N >= least - 1e-9
    calls = samples * world.items
    return Result(answer_N, accepted_N, calls, calls * float(world.price_K[best]), _mean(share_N[accepted_N]))


def adaptive_consistency(world: World, *, over_teachers: bool, most: int = 10, sure: float = 0.95) -> Result:
    """Asks until the leading answer beats the next with so high a probability, Beta(a + 1, b + 1) above a half; accepted where it does.

    Asked is the best teacher again and again, or all in turn, the best first. Claims the mean share of the answer.
    Source: Aggarwal 2023, arXiv 2305.11860, section 3.
    """
    turns = world.by_skill if over_teachers else world.by_skill[:1]
    order = [(turns[j % len(turns)], j // len(turns)) for j in range(most)]
    answer_NJ = np.stack([world.answer_NKS[:, k, s] for k, s in order], axis=1)
    count_NJC = (answer_NJ[..., None] == np.arange(world.classes)).cumsum(1)
    second_NJ, first_NJ = np.moveaxis(np.partition(count_NJC, -2, axis=-1)[..., -2:], -1, 0)
    stops_NJ = _ahead(most)[first_NJ, second_NJ] >= sure
    accepted_N = stops_NJ.any(1)
    asked_N = np.where(accepted_N, stops_NJ.argmax(1) + 1, most)
    at_end = np.arange(world.items), asked_N - 1
    answer_N, share_N = count_NJC[at_end].argmax(1), first_NJ[at_end] / asked_N
    price = _price(world, [k for k, _ in order], asked_N)
    return Result(answer_N, accepted_N, int(asked_N.sum()), price, _mean(share_N[accepted_N]))


def best_until_label(world: World, *, tries: int) -> Result:
    """The best teacher until it says what the label says, at most so many times. Makes no claim. Source: Zelikman 2022 (STaR)."""
    return _until_label(world, [(world.by_skill[0], s) for s in range(tries)])


def cascade_until_label(world: World) -> Result:
    """Every teacher once, the cheapest first, until one says what the label says. Makes no claim."""
    return _until_label(world, [(int(k), 0) for k in np.argsort(world.price_K, kind="stable")])


PEERS: tuple[tuple[str, Callable[[World], Result]], ...] = (
    ("unanimous", partial(majority, least=1.0)),
    ("majority, at least 4/5", partial(majority, least=0.8)),
    ("majority, at least 3/5", partial(majority, least=0.6)),
    ("majority, at least 3/5, and the label", partial(majority, least=0.6, label=True)),
    ("self-consistency, best x 5, at least 0.8", partial(self_consistency, samples=5)),
    ("self-consistency, best x 10, at least 0.8", partial(self_consistency, samples=10)),
    ("adaptive-consistency, best, up to 10", partial(adaptive_consistency, over_teachers=False)),
    ("adaptive-consistency, teachers in turn, up to 10", partial(adaptive_consistency, over_teachers=True)),
    ("crowd-kit Dawid-Skene, at least 0.95", partial(crowd_kit, model=DawidSkene)),
    ("crowd-kit one-coin, at least 0.95", partial(crowd_kit, model=OneCoinDawidSkene)),
    ("crowd-kit Dawid-Skene, the label a worker", partial(crowd_kit, model=DawidSkene, label=True)),
    ("best x 1, and the label", partial(best_until_label, tries=1)),
    ("best up to 4 times until the label", partial(best_until_label, tries=4)),
    ("cheapest to dearest until the label", cascade_until_label),
)


def _modal(answer_NJ: npt.NDArray[Any]) -> tuple[Classes, Floats]:
    """The most frequent answer, of several the one given first, and its share."""
    count_NJ = (answer_NJ[:, :, None] == answer_NJ[:, None, :]).sum(2)
    n = np.arange(len(answer_NJ))
    first_N = count_NJ.argmax(1)
    return answer_NJ[n, first_N].astype(np.int64), count_NJ[n, first_N] / answer_NJ.shape[1]


def _ahead(most: int) -> Floats:
    """P(Beta(a + 1, b + 1) > 1/2) for all counts a, b up to `most`: that of a + b + 1 fair coins, at most a show heads."""
    return np.array(
        [[sum(math.comb(a + b + 1, heads) for heads in range(a + 1)) / 2 ** (a + b + 1) for b in range(most + 1)] for a in range(most + 1)]
    )


def _until_label(world: World, order: list[tuple[int, int]]) -> Result:
    """Teachers and their samples in this order until the label is repeated."""
    same_NJ = np.stack([world.answer_NKS[:, k, s] for k, s in order], axis=1) == world.label_N[:, None]
    accepted_N: Bools = same_NJ.any(1)
    asked_N = np.where(accepted_N, same_NJ.argmax(1) + 1, len(order))
    return Result(world.label_N, accepted_N, int(asked_N.sum()), _price(world, [k for k, _ in order], asked_N))


def _price(world: World, teachers: list[int], asked_N: Classes) -> float:
    """Of the first so many of these calls, summed over the items."""
    return float(world.price_K[teachers].cumsum()[asked_N - 1].sum())


def _whole(world: World, answer_N: Classes, accepted_N: Bools, sure_N: Floats | None) -> Result:
    """The result of asking every teacher once about everything."""
    claim = None if sure_N is None else _mean(sure_N[accepted_N])
    return Result(answer_N, accepted_N, world.items * len(world.price_K), world.items * float(world.price_K.sum()), claim)


def _mean(numbers: Floats) -> float | None:
    return float(numbers.mean()) if len(numbers) else None
