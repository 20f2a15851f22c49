"""What came of prompts, by the rewards and answers of their completions."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, pvariance
from typing import Any

from cotforge.plan.curriculum import By


def of_prompts(
    by: By, columns: Mapping[str, Sequence[Any]], rewards: Sequence[Sequence[float]], weights: Sequence[float], *, group: int
) -> list[float]:
    """A value of each prompt, `group` of whose completions follow one another: the higher, the more there is to learn.

    By `reward_variance` that of the weighted sum of the `rewards`, each a list over completions; NaN is a reward that does not apply, and a
    prompt without any has NaN. Else the share of wrong answers in [0, 1], by the columns `answer` and `truth`.
    """
    if by == "reward_variance":
        totals = [_weighted_total(values, weights) for values in zip(*rewards, strict=True)]
        return [_sample_variance(totals[start : start + group]) for start in range(0, len(totals), group)]
    wrong = [answer is None or answer != truth for answer, truth in zip(columns["answer"], columns["truth"], strict=True)]
    return [fmean(wrong[start : start + group]) for start in range(0, len(wrong), group)]


def _weighted_total(values: Sequence[float], weights: Sequence[float]) -> float:
    """NaN where no reward applies."""
    known = [value * weight for value, weight in zip(values, weights, strict=True) if not math.isnan(value)]
    return math.fsum(known) if known else math.nan


def _sample_variance(totals: Sequence[float]) -> float:
    known = [total for total in totals if not math.isnan(total)]
    return pvariance(known) if known else math.nan
