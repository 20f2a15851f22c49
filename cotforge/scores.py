"""What a model's answers on held-out labels come to: accuracy, recall, confusion, and how sure each figure is."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cotforge.plain_record import Record

UNREAD = "(unread)"
"""In a confusion, where an answer could not be read."""
DRAWS, LEVEL = 2_000, 0.95
"""Resamples of a bootstrap, and the share of them within its interval (ours)."""


@dataclass(frozen=True, slots=True)
class AnsweredSample(Record):
    """One held-out Sample and what a model said about it."""

    truth: str
    """The held-out label, canonical."""
    answer: str | None
    """As read; None where nothing could be."""
    well_formed: bool = False
    truncated: bool = False
    """Cut off by the limit of tokens."""
    words: int = 0
    """Of the reasoning."""
    rescued: bool = False
    """The answer was asked for after its thought had been cut off."""


def score_answers(answers: Iterable[AnsweredSample], labels: Sequence[str] = (), *, seed: int = 0) -> dict[str, Any]:
    """All figures of an evaluation, ready for JSON; shares in [0, 1], null where there is nothing to divide by.

    `labels` are those of a closed set, in their order; truths outside of it (or, without it, all of them, sorted) come after them.
    An answer that cannot be read is wrong. `macro_recall` is the mean over the labels that occur among the truths. The intervals are
    percentiles of a bootstrap over Samples, the same for the same answers in any order; for a figure of 0 or 1 they are a point, which
    only many Samples justify.
    """
    said = list(answers)
    counts = Counter((each.truth, each.answer) for each in said)
    names = [*labels, *sorted({each.truth for each in said} - set(labels))]
    hits = {name: counts[name, name] for name in names}
    support = {name: sum(count for (truth, _), count in counts.items() if truth == name) for name in names}
    recall = {name: _share_of(hits[name], support[name]) for name in names}
    intervals = _bootstrap_intervals([(support[name], hits[name]) for name in names if support[name]], seed=seed)
    return {
        "n": len(said),
        "accuracy": _share_of(sum(hits.values()), len(said)),
        "accuracy_interval": intervals[0],
        "macro_recall": macro_mean(recall),
        "macro_recall_interval": intervals[1],
        "recall": recall,
        "support": support,
        "confusion": _confusion_table(counts, names),
        "format_rate": _mean_of(each.well_formed for each in said),
        "truncated_rate": _mean_of(each.truncated for each in said),
        "unread_rate": _mean_of(each.answer is None for each in said),
        "rescued_rate": _mean_of(each.rescued for each in said),
        "reasoning_words": _mean_of(each.words for each in said),
    }


def macro_mean(recall: Mapping[str, float | None]) -> float | None:
    """The mean of what is known; None where nothing is."""
    known = [share for share in recall.values() if share is not None]
    return fmean(known) if known else None


def wilson_interval(count: int, of: int) -> list[float] | None:
    """The interval of 95 % of a share, `count` of `of`, which has a width at 0 and 1 too; None of nothing. Source: Wilson 1927."""
    if not of:
        return None
    z = 1.959964
    middle, half = count + z * z / 2, z * math.sqrt(count * (of - count) / of + z * z / 4)
    return [max(0.0, (middle - half) / (of + z * z)), min(1.0, (middle + half) / (of + z * z))]


def _share_of(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean_of(values: Iterable[float]) -> float | None:
    given = [float(value) for value in values]
    return fmean(given) if given else None


def _confusion_table(counts: Mapping[tuple[str, str | None], int], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Truth to answer to count, without zeros; rows and columns in the order of the names, others after them, what was unread last."""
    place = {name: number for number, name in enumerate(names)}
    rows: dict[str, dict[str, int]] = {name: {} for name in names}
    for (truth, answer), count in sorted(counts.items(), key=lambda item: (place.get(item[0][1] or "", math.inf), item[0][1] or "")):
        if answer is not None:
            rows[truth][answer] = count
    for truth, row in rows.items():
        if unread := counts.get((truth, None)):
            row[UNREAD] = unread
    return {truth: row for truth, row in rows.items() if row}


def _bootstrap_intervals(classes: Sequence[tuple[int, int]], *, seed: int) -> tuple[list[float] | None, list[float] | None]:
    """Intervals of accuracy and macro recall, from (how many, how many right) of each class that occurs.

    n Samples drawn with replacement are, for these figures, one draw of a multinomial over (class, right or wrong).
    """
    import numpy as np  # half the time that importing the package may take

    total = sum(many for many, _ in classes)
    if not total:
        return None, None
    cells = np.array([(right, many - right) for many, right in classes], float)
    drawn = np.random.default_rng(seed).multinomial(total, (cells / total).ravel(), DRAWS).reshape(DRAWS, len(classes), 2)
    right, many = drawn[:, :, 0], drawn.sum(2)
    present = many > 0
    recall = np.divide(right, many, out=np.zeros(right.shape), where=present).sum(1) / present.sum(1)
    ends = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    accuracy, macro_recall = (np.percentile(figures, ends).tolist() for figures in (right.sum(1) / total, recall))
    return accuracy, macro_recall
