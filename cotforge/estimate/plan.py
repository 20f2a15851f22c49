"""The figures of what is still to be asked: per teacher, in all, and against the budget."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from cotforge.budget import Amount, Budget
from cotforge.estimate.forecast import LESS, MORE, FollowUpForecast
from cotforge.estimate.outlook import Outlook, Range
from cotforge.history import History
from cotforge.records import Fault
from cotforge.sources.values import clean_value
from cotforge.teachers.kind import TeacherKind

RETRIED = 1.1
"""How much longer than a ceiling of requests allows a build may take, as some requests are made twice. Chosen by us."""


@dataclass(slots=True)
class Share:
    """What one teacher still has to do."""

    teacher: TeacherKind
    history: History
    calls: int = 0
    """At most."""
    open: int = 0
    """Of these, such as are made only if the answers of others demand it."""
    done: int = 0
    counted: int = 0
    """Input tokens of `calls`, as we count them."""
    held: int = 0
    """Calls of the pipeline to which the journal has a reply, whether or not it still settles them."""
    failed: int = 0
    """Probed Calls that brought no reply."""
    probed_with: int = 0
    """Calls in flight during the probe, where they were too few to tell the pace of a build; else 0."""
    last_error: str = ""
    """Of these."""
    outlook: Outlook | None = None
    """Known once the journal was looked through; of a teacher with calls to make."""

    same: int = 0
    """Of `calls`, those about a Sample to which the journal has as many replies that this pipeline does not ask for."""
    following: float = 0.0
    """Calls that will probably follow the vote."""
    following_counted: float = 0.0
    """Their input tokens, as we count them."""
    whole: bool = True
    """Whether the whole source is asked about: only then is it a change where replies of unknown Samples are not asked for any more."""

    @property
    def anew(self) -> int:
        """Calls to be made though their like is paid for."""
        return max(self.same, min(self.calls, self.history.untold - self.held) if self.whole else 0)

    @property
    def least(self) -> int:
        """Calls that are made in any case."""
        return self.calls - self.open

    def _likely_range(self, of_all: Range) -> Range:
        """What all of `calls` take, or, where some are open: the least that is likely, about the least, the most."""
        part = self.least / self.calls if self.open else 1.0
        return Range(part * of_all.low, part * of_all.about, of_all.high)

    @property
    def inputs(self) -> Range:
        """Tokens."""
        if self.outlook is None:
            return Range(0, 0, 0)
        return self._likely_range(self.outlook.inputs.times(self.counted)).plus(_later(self.outlook.inputs.times(self.following_counted)))

    @property
    def outputs(self) -> Range:
        """Tokens."""
        if self.outlook is None:
            return Range(0, 0, 0)
        return self._likely_range(self.outlook.outputs.times(self.calls)).plus(_later(self.outlook.outputs.times(self.following)))

    @property
    def tokens(self) -> Range:
        return Range(*map(sum, zip(self.inputs, self.outputs, strict=True)))

    @property
    def usd(self) -> Range:
        price = self.teacher.price
        return Range(*((price.input * begins + price.output * ends) / 1e6 for begins, ends in zip(self.inputs, self.outputs, strict=True)))

    @property
    def slots(self) -> int:
        """Most Calls that a build has in flight."""
        return min(max(1, ceil(self.calls + self.following)), self.teacher.concurrency * max(1, len(self.teacher.urls)))

    @property
    def hours(self) -> Range | None:
        """With `concurrency` in flight at every replica, and no faster than `rpm` and `tpm` let it; None where no call was timed."""
        if self.outlook is None:
            return Range(0, 0, 0)
        if self.outlook.seconds is None:
            return None
        teacher = self.teacher
        least = (self.calls + self.following) / teacher.rpm * 60 if teacher.rpm else 0.0
        by_calls = self._likely_range(Range(least, least, RETRIED * least))
        by_tokens = self.tokens.times(60 / teacher.tpm) if teacher.tpm else Range(0, 0, 0)
        each = self.outlook.seconds
        asking = self._likely_range(each.times(self.calls / self.slots)).plus(_later(each.times(self.following / self.slots)))
        return Range(*(max(bounds) / 3600 for bounds in zip(by_calls, asking, by_tokens, strict=True)))


class Reach(NamedTuple):
    """A budget that may not suffice."""

    name: str
    """`usd`, `tokens`, `calls` or `minutes`."""
    bound: float
    spent: float
    needed: Range

    @property
    def share(self) -> float:
        """Of what is needed that the budget still allows, probably; 1 or more where it is enough."""
        return max(0.0, self.bound - self.spent) / self.needed.about if self.needed.about else 1.0


@dataclass(slots=True)
class Estimate:
    """The difference between what a pipeline asks and what its journal holds."""

    shares: dict[str, Share]
    """By the teachers' names."""
    budget: Budget
    spent: Amount
    """Over the journal, as the budget counts it."""
    samples: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    """Rows that are none, by reason."""
    first_faults: dict[str, str] = field(default_factory=dict)
    """The first of each reason, with its place in the data."""
    firsts: int = 0
    """Samples about which one Call, whosoever, is made in any case."""
    forecast: FollowUpForecast | None = None
    """Of what follows the vote; None where nothing does."""

    def fault(self, fault: Fault) -> None:
        """Count a row that is none."""
        self.faults[fault.reason] = self.faults.get(fault.reason, 0) + 1
        self.first_faults.setdefault(fault.reason, clean_value(str(fault)))

    @property
    def calls(self) -> int:
        """At most."""
        return sum(share.calls for share in self.shares.values())

    @property
    def least(self) -> int:
        """Calls that are made in any case."""
        return sum(share.least for share in self.shares.values()) + self.firsts

    @property
    def following(self) -> float:
        """Calls that will probably follow the vote."""
        return sum(share.following for share in self.shares.values())

    @property
    def tokens(self) -> Range:
        return _sum_ranges(share.tokens for share in self.shares.values())

    @property
    def usd(self) -> Range:
        return _sum_ranges(share.usd for share in self.shares.values())

    @property
    def hours(self) -> Range | None:
        """Teachers are asked side by side: those of the slowest. None where one of them was never timed."""
        each = [share.hours for share in self.shares.values()]
        known = [hours for hours in each if hours is not None]
        return Range(*map(max, zip(*known, strict=True))) if len(known) == len(each) else None

    def short(self) -> Reach | None:
        """The budget that reaches least far, where one may not suffice."""
        later = Range(self.following, self.following, self.following)
        budget, calls = self.budget, Range(self.least, self.least, self.calls).plus(_later(later))
        minutes = self.hours.times(60) if self.hours else Range(0, 0, 0)
        bounds = (
            ("usd", budget.usd, self.spent.usd, self.usd),
            ("tokens", budget.tokens, self.spent.tokens, self.tokens),
            ("calls", budget.calls, self.spent.calls, calls),
            ("minutes", budget.minutes, 0.0, minutes),
        )
        tight = [Reach(name, bound, spent, needed) for name, bound, spent, needed in bounds if bound and spent + needed.high > bound]
        return min(tight, key=lambda reach: (reach.share, -reach.needed.high / reach.bound), default=None)


def _later(likely: Range) -> Range:
    """Of Calls that nobody can count yet."""
    return Range(LESS * likely.low, likely.about, MORE * likely.high)


def _sum_ranges(ranges: Iterable[Range]) -> Range:
    return Range(*map(sum, zip((0.0, 0.0, 0.0), *ranges, strict=True)))
