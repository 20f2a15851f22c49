"""Classes that the teachers do not see: they call nearly all of their samples something else, and agree on it.

Two things show it. Samples that people checked: the teachers' most frequent answer is another class than people's. And, where few are
checked, labels: of one class far more samples are called something else than labels are wrong elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from cotforge.consensus.claim import lower_bound
from cotforge.records import CuratedSample, Fault, Gold

MANY = 1_000
"""Most classes that are told apart: rows may bring options of their own, without end."""
LEAST = 1 / 3
"""Share of a class that must be called something else with 95 % confidence; the share itself is at least a half. Default chosen so that
3 of 3 checked samples are enough, and 3 of 4 are not."""
NOISE = 0.3
"""Share of wrong labels, over all classes, that is never taken for blindness: labels worse than that are told of by another line."""
MOSTLY = 0.5
"""Share of wrong labels elsewhere from which on labels tell nothing of any class."""
USUAL = 0.1
"""Share of wrong labels where nothing shows it: data sets are mostly right."""
FEWEST = 10
"""Samples of a class that must be labelled so before labels alone tell anything of it."""
UNEVEN = 2.0
"""How many times as often as elsewhere labels of one class may be wrong before that is taken for blindness."""
LONGEST = 34
"""Characters of a class name that a line shows."""
SELDOM = 0.05
"""Answers of a class per sample labelled so, below which no model of wrong labels is asked: the class is as good as never named."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A class that the teachers call something else."""

    name: str
    checked: bool
    """Whether people say so; else labels do, which may be wrong themselves."""
    otherwise: int
    """Samples of the class that were called something else."""
    of: int
    """Samples of the class: checked ones, or those labelled so on which an answer was agreed."""
    called: str
    """What they were called most often."""

    def line(self) -> str:
        """What a person should know, and can do about it."""
        name, share = _short_name(self.name), f"{self.otherwise:,} of {self.of:,}"
        told = f"called something else, mostly {_short_name(self.called)!r}"
        if self.checked:
            return f"the teachers do not see {name!r}: {share} checked ones were {told}; ask other teachers, or take the class out"
        return (
            f"the teachers do not see {name!r}, or its labels are wrong: {share} samples labelled so, where they agree, were {told}; "
            "check some (cotforge gold), ask other teachers, or take the class out"
        )


@dataclass(slots=True)
class _Class:
    """Counts of one class."""

    checked: int = 0
    labelled: int = 0
    """Samples that nobody checked, labelled so, on which an answer was agreed."""
    agreed: int = 0
    """Samples that nobody checked, with a label, whose agreed answer it is."""
    confirmed: int = 0
    """Of these, labelled so."""
    checked_as: Counter[str] = field(default_factory=Counter)
    """What the teachers called its checked samples instead."""
    labelled_as: Counter[str] = field(default_factory=Counter)
    """What they agreed on instead where it is the label."""


class Blindness:
    """Looks at the outcomes while they pass by; memory grows with the classes alone."""

    def __init__(self, gold: Gold) -> None:
        self._gold = gold
        self._classes: dict[str, _Class] = {}

    def watch(self, stream: Iterable[CuratedSample | Fault]) -> Iterator[CuratedSample | Fault]:
        """The stream as it is, having looked at it in passing."""
        for item in stream:
            if isinstance(item, CuratedSample):
                self.add(item)
            yield item

    def add(self, outcome: CuratedSample) -> None:
        """Count one Sample of a closed set."""
        sample, verdict = outcome.sample, outcome.verdict
        if not sample.options or sample.id in self._gold.ambiguous:
            return
        true = self._gold.answers.get(sample.id)
        if true is not None:
            self._add_checked(true, Counter(ballot.answer for ballot in verdict.ballots))
        elif (verdict.accepted or verdict.reason == "label_gate") and verdict.answer is not None and sample.label is not None:
            self._add_labelled(sample.label, verdict.answer)

    def unseen(self) -> list[Unseen]:
        """The classes, those that people told of first, then the largest; of labels alone nothing where they accuse most classes."""
        checked = [found for name in self._classes if (found := self._by_people(name))]
        told = {one.name for one in checked}
        labelled = [found for name in self._classes if name not in told and (found := self._by_labels(name))]
        if 2 * len(labelled) > len(self._classes):
            labelled = []
        return [*sorted(checked, key=_size_key), *sorted(labelled, key=_size_key)]

    def _add_checked(self, true: str, said: Counter[str]) -> None:
        if not said or (one := self._class_counts(true)) is None:
            return
        one.checked += 1
        others = sorted(((count, answer) for answer, count in said.items() if answer != true), key=lambda other: (-other[0], other[1]))
        if others and others[0][0] > said[true]:
            one.checked_as[others[0][1]] += 1

    def _add_labelled(self, label: str, answer: str) -> None:
        named, given = self._class_counts(label), self._class_counts(answer)
        if named is not None:
            named.labelled += 1
            if answer != label:
                named.labelled_as[answer] += 1
        if given is not None:
            given.agreed += 1
            given.confirmed += answer == label

    def _by_people(self, name: str) -> Unseen | None:
        one = self._classes[name]
        otherwise = one.checked_as.total()
        if 2 * otherwise < one.checked or lower_bound(otherwise, one.checked) < LEAST:
            return None
        return Unseen(name, True, otherwise, one.checked, _commonest_answer(one.checked_as))

    def _by_labels(self, name: str) -> Unseen | None:
        """What labels tell, unless people did: where a class was checked and found seen, the labels are what is wrong."""
        one = self._classes[name]
        otherwise = one.labelled_as.total()
        if one.checked >= FEWEST or one.labelled < FEWEST or 2 * otherwise < one.labelled:
            return None
        noise = UNEVEN * self._expected_noise(name) / one.labelled if one.agreed > SELDOM * one.labelled else 0.0
        if lower_bound(otherwise, one.labelled) < max(LEAST, noise):
            return None
        return Unseen(name, False, otherwise, one.labelled, _commonest_answer(one.labelled_as))

    def _expected_noise(self, name: str) -> float:
        """About how many samples of other classes carry this label by mistake, if labels err as elsewhere and towards each class alike."""
        own, others = self._classes[name], len(self._classes) - 1
        agreed, wrong = self._total_samples(lambda one: one.agreed), self._total_samples(lambda one: one.labelled_as.total())
        if others > 1:  # of answers other than this class, how often the label is a third one
            rest = agreed - own.agreed - own.labelled_as.total()
            third = wrong - own.labelled_as.total() - (own.agreed - own.confirmed)
            share = third / rest * others / (others - 1) if rest else USUAL
        else:
            share = 1 - own.confirmed / own.agreed if own.agreed >= FEWEST else USUAL
        if share > MOSTLY:
            return inf
        return min(share, NOISE) / max(others, 1) * (agreed - own.agreed)

    def _total_samples(self, count: Callable[[_Class], int]) -> int:
        return sum(map(count, self._classes.values()))

    def _class_counts(self, name: str) -> _Class | None:
        if name not in self._classes and len(self._classes) >= MANY:
            return None
        return self._classes.setdefault(name, _Class())


def _size_key(one: Unseen) -> tuple[int, str]:
    return -one.otherwise, one.name


def _commonest_answer(called: Counter[str]) -> str:
    return min(called, key=lambda name: (-called[name], name))


def _short_name(name: str) -> str:
    """One line of a class name, cut where it is long."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
