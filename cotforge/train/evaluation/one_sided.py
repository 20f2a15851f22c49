"""What accuracy alone hides: a student that gives one answer to everything, or never one of the classes.

All of it follows from the figures of `eval/*.json`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cotforge.errors import show_value
from cotforge.scores import UNREAD

NEARLY, MORE = 0.95, 0.05
"""An answer is said to nearly everything from this share of the answers on, where it is right that much more seldom than it is given."""
NAMED = 5
"""Classes that one line names, at most."""


@dataclass(frozen=True)
class Commonest:
    """The commonest label, given to everything: what every figure of accuracy has to be held against."""

    label: str
    share: float
    """Of the samples, in [0, 1]: its accuracy."""
    classes: int
    """How many labels occur."""

    @property
    def name(self) -> str:
        """In one phrase."""
        return f"always {show_value(self.label)}"

    @property
    def macro_recall(self) -> float:
        """Of whoever always says it."""
        return 1 / self.classes

    @property
    def row(self) -> str:
        """As a row among students."""
        return f"{self.name}, the commonest label"

    def figures(self, samples: int) -> dict[str, Any]:
        """Of whoever always says it, as `eval/*.json` has them; what has no meaning is null."""
        nothing = dict.fromkeys(("format_rate", "truncated_rate", "reasoning_words"))
        return {"n": samples, "accuracy": self.share, "macro_recall": self.macro_recall, **nothing}

    def is_beaten_by(self, found: Mapping[str, Any]) -> bool:
        """Whether the whole interval of a student's accuracy, on the same samples, lies above it."""
        return bool(found["accuracy_interval"][0] > self.share)


def commonest_label(found: Mapping[str, Any]) -> Commonest | None:
    """Of some figures; of labels that are equally common, the first. None where there is only one, which nobody can miss."""
    support: dict[str, int] = {label: count for label, count in found.get("support", {}).items() if count}
    if len(support) < 2:
        return None
    label = max(support, key=support.__getitem__)
    return Commonest(label, support[label] / sum(support.values()), len(support))


def never_answered(found: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    """The labels of a closed set that are right for some samples and were the answer to none; empty where no answer could be read."""
    given = _given_answers(found)
    return [label for label in labels if found["support"].get(label) and not given[label]] if given else []


def one_answer(found: Mapping[str, Any]) -> str | None:
    """What a student answers to all questions, or to nearly all and mostly wrongly; None where it tells them apart."""
    given = _given_answers(found)
    read = sum(given.values())
    if read < 2 or commonest_label(found) is None:
        return None
    label, times = given.most_common(1)[0]
    share, right = times / read, found["support"].get(label, 0) / found["n"]
    return label if times == read or (share >= NEARLY and share - right > MORE) else None


def one_sided(found: Mapping[str, Any]) -> Iterator[str]:
    """A line each for what makes a figure look better than the student is."""
    given, always = _given_answers(found), commonest_label(found)
    read = sum(given.values())
    if "confusion" in found and not read:
        yield f"none of its {found['n']:,} answers can be read"
    elif always is not None and (label := one_answer(found)) is not None:
        everything = f"all {read:,}" if given[label] == read else f"{given[label]:,} of {read:,}"
        unread = f" that can be read (of {found['n']:,})" if read < found["n"] else ""
        baseline = f"{always.name} is right for {always.share:.3f} of the samples"
        yield f"it answers {show_value(label)} in {everything} answers{unread}; {baseline}"
    elif never := found.get("never_answered"):
        named = ", ".join(f"{show_value(each)} (right for {found['support'][each]:,})" for each in never[:NAMED])
        more = f" and {len(never) - NAMED:,} more" if len(never) > NAMED else ""
        yield f"it never answers {named}{more} of the {found['n']:,} samples"


def _given_answers(found: Mapping[str, Any]) -> Counter[str]:
    """How often each answer was given."""
    given: Counter[str] = Counter()
    for row in found.get("confusion", {}).values():
        given.update({answer: count for answer, count in row.items() if answer != UNREAD})
    return given
