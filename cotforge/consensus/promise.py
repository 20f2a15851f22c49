"""A promised precision: the least target at which checked answers show it, found by fixed-sequence testing.

Targets are tried from the strictest down, in fixed steps, and the walk ends at the first whose bound is below the wish. Each test may err
as often as the wish allows, and still all of them together err no oftener: to promise too much, the walk has to pass the first target at
which the wish is not true, and that is one test. A target at which too few answers are checked for any result to pass is no test.

So a wish may be refused where a stricter one is kept: the stricter one takes more checked answers to pass, so its first test comes later,
at a target with more of them, and an error among the few surest answers ends only the other walk. Both are right as often as they say,
each chosen before anybody looked. To take whichever of many wishes is kept would be wrong oftener, so no wish is kept for another's sake.

Source: Jung, Brahman and Choi 2024, Trust or Escalate, section 2.2 (arXiv 2407.18370), after Angelopoulos et al. 2021 (arXiv 2110.01052).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from cotforge.consensus.claim import Count, HeldOut, evenly_drawn, fewest_checked, lower_bound
from cotforge.spec import Spec

STEPS = tuple(step / 100 for step in range(99, 49, -1))
"""Targets that are tried, from the strictest."""
MOST = 100_000
"""Checked answers that a shortfall names at most: nobody checks more."""
_CLOSE = 1e-9
_FROM_ABOVE = "these few surest answers are tested first, and a stricter promise on more of them, so that one may hold where this does not"


class Wish(NamedTuple):
    """At least this precision of accepted answers that nobody checked, in so many of all runs; both in (0, 1)."""

    precision: float
    confidence: float

    def told(self) -> str:
        """It by the name of its key, as a sentence begins."""
        return f"consensus.promise (precision {self.precision:g}, confidence {self.confidence:g})"


class Promise(Spec):
    """The precision that accepted answers must have, and how surely, by answers that people
    checked."""

    precision: Annotated[float, Field(gt=0, lt=1)]
    """Smallest share of correct answers among the accepted samples that nobody checked."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Probability that the promise holds, over repeated runs."""

    @property
    def wish(self) -> Wish:
        """The same as a plain value."""
        return Wish(self.precision, self.confidence)


@dataclass(frozen=True, slots=True)
class Promised:
    """What became of a wish."""

    wish: Wish
    target: float | None
    """Confidence from which answers are accepted; None where no target keeps the promise: then no unchecked answer is accepted."""
    tried: float
    """The target that `shown` is of: the accepted one, else the first that was tested, else the lowest."""
    shown: Count
    """Checked answers that are accepted from there on while what people said of them is kept from the rule, and the right ones."""

    def allows(self, confidence: float) -> bool:
        """Whether an answer of this confidence can be accepted."""
        return self.target is not None and confidence >= self.target

    @property
    def kept(self) -> bool:
        """Whether answers can be accepted under the promise."""
        return self.target is not None

    @property
    def wanted(self) -> int | None:
        """Checked answers that would do if no more of them were wrong than now; None where more gold cannot help."""
        checked, right = self.shown
        least = needed_checks(self.wish)
        if checked < least:
            return least
        return needed_checks(self.wish, checked - right) if right / checked > self.wish.precision else None

    def left_out(self, count: int) -> str:
        """The line about so many answers that the rule accepts and the promise does not, with the checked answers that it lacks."""
        checked, right = self.shown
        answers = "1 answer" if count == 1 else f"{count:,} answers"
        told = f"{self.wish.told()} leaves out {answers} that the rule accepts"
        if self.target is not None:
            return f"{told}: it holds from confidence {self.target:g} on"
        if self.wanted is None:
            return f"{told}: {checked - right:,} of {checked:,} checked answers are wrong, and more checked answers do not help"
        more = needed_checks(self.wish, checked - right) - checked
        which = "1 more checked answer, if it is right" if more == 1 else f"{more:,} more checked answers, if all of them are right"
        return f"{told}: it needs {which}"

    def summary(self) -> dict[str, Any]:
        """As `summary.json` holds it."""
        return {
            "precision": self.wish.precision,
            "confidence": self.wish.confidence,
            "target": self.target,
            "checked": self.shown.checked,
            "right": self.shown.right,
            "wanted": None if self.kept else self.wanted,
        }

    def told(self) -> str:
        """The promise in one line, with the shortfall of checked answers where it cannot be given."""
        checked, right = self.shown
        wish = f"promise: precision of at least {self.wish.precision:g} with {100 * self.wish.confidence:.4g} % confidence"
        if self.target is not None:
            part = f" from confidence {self.target:g} on" if self.target else " for all that the rule accepts"
            return f"{wish} holds{part}: {right:,} of {checked:,} checked answers are right"
        none = f"{wish} cannot be given, so no answer that nobody checked is accepted"
        if checked < needed_checks(self.wish):
            return (
                f"{none}: {needed_checks(self.wish):,} checked without an error would do; {checked:,} are there; cotforge gold picks more"
            )
        wrong = f"{checked - right:,} of {checked:,} checked answers from confidence {self.tried:g} on are wrong"
        if self.wanted is None:
            told = f"{none}: {wrong}; that many errors need better teachers, not more gold"
        else:
            told = f"{none}: {wrong}; with {checked - right:,} wrong, {self.wanted:,} checked would do; cotforge gold picks more"
        return f"{told}; {_FROM_ABOVE}" if checked < needed_checks(self.wish, 1) else told


@cache
def needed_checks(wish: Wish, wrong: int = 0) -> int:
    """The fewest checked answers that show the wish with so many wrong ones among them; at most `MOST`."""
    if not wrong:
        return fewest_checked(wish.precision, sure=wish.confidence)
    low, high = wrong, 2 * wrong
    while high < MOST and not shows_wish(wish, Count(high, high - wrong)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows_wish(wish, Count(middle, middle - wrong)) else (middle, high)
    return min(high, MOST)


def shows_wish(wish: Wish, found: Count) -> bool:
    """Whether the exact lower bound reaches the wish. Source: Clopper and Pearson 1934."""
    low = lower_bound(found.right, found.checked, sure=wish.confidence)
    return found.checked >= needed_checks(wish) and low >= wish.precision - _CLOSE


def target_steps(least: float) -> Iterator[float]:
    """The targets to try down to `least`, which is the last."""
    yield from (step for step in STEPS if step > least)
    yield least


def make_promise(wish: Wish, held_out: Sequence[HeldOut], *, least: float) -> Promised:
    """What becomes of a wish by what a rule says of Samples that people checked, as if they had not; no target below `least` is tried."""

    even = evenly_drawn(held_out)  # the test is exact for what was drawn with equal probabilities

    def shown(target: float) -> Count:
        found = [one for one in even if one.accepted and one.confidence >= target]
        return Count(sum(one.times for one in found), sum(one.times for one in found if one.right))

    return walk_down(wish, shown, target_steps(least))


def walk_down(wish: Wish, shown: Callable[[float], Count], targets: Iterable[float]) -> Promised:
    """The last of the targets before the first that does not show the wish; `shown` counts what is checked at one, from the strictest."""
    passed: Promised | None = None
    for target in targets:
        found = shown(target)
        met = Promised(wish, None, target, found)
        if found.checked < needed_checks(wish):
            continue
        if not shows_wish(wish, found):
            return passed or met
        passed = Promised(wish, target, target, found)
    return passed or met
