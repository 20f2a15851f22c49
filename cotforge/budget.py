"""What a run may spend: a bound that holds for what is in flight too, because nothing is sent that could pass it."""

import time
from collections.abc import Callable, Iterable, Mapping
from math import ceil, fsum
from typing import NamedTuple

from pydantic import Field

from cotforge.history import History, histories
from cotforge.journal import Journal
from cotforge.records import Call, Stop
from cotforge.replies.attempt import Attempt
from cotforge.spec import Spec
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import input_tokens

UNBOUNDED_OUTPUT = 8192
"""Output tokens that a Call counts with where its teacher has no `max_tokens` (ours)."""
UNKNOWN_INPUT = 4096
"""Input tokens of an earlier attempt that nobody ever counted (ours): a prompt and a picture of three million pixels."""
MOST_OFF = 32.0
"""Times (ours) that a server's count of input tokens may lead us to expect more than we count ourselves."""


class Budget(Spec):
    """What a run may spend at most; what is left out is not bounded."""

    usd: float | None = Field(default=None, gt=0)
    """Dollars, over all invocations in the run folder, by the teachers' `price`."""
    tokens: int | None = Field(default=None, gt=0)
    """Input and output tokens, over all invocations."""
    calls: int | None = Field(default=None, gt=0)
    """Calls that were answered, or may have been, over all invocations. Being turned away (429, 500) is no call."""
    minutes: float | None = Field(default=None, gt=0)
    """Of this invocation: nothing is sent later; what is in flight then is finished."""

    @property
    def given(self) -> bool:
        return any(bound is not None for bound in (self.usd, self.tokens, self.calls, self.minutes))


class Amount(NamedTuple):
    """What was, or may be, spent."""

    usd: float = 0.0
    tokens: int = 0
    calls: int = 0

    def times(self, count: int) -> "Amount":
        return Amount(self.usd * count, self.tokens * count, self.calls * count)


NOTHING = Amount()


class Hold:
    """What is set aside for one attempt, until it is known what it took. Only the first `settle` or `drop` counts."""

    __slots__ = ("_bound", "_counted", "_purse", "_teacher")

    def __init__(self, purse: "Purse", teacher: str, counted: int, bound: Amount) -> None:
        self._purse: Purse | None = purse
        self._teacher, self._counted, self._bound = teacher, counted, bound

    def settle(self, attempt: Attempt) -> None:
        """The attempt ended so. One that may have been charged for, though nobody can tell, keeps its bound as spent.

        A `connection` counts as such: it broke after sending; where none was made, `drop`.
        """
        if attempt.may_be_charged or attempt.error == "connection":
            self._end(self._bound)
        else:
            if attempt.outcome.has_text and self._purse is not None:
                self._purse.counted(self._teacher, attempt.input_tokens / max(1, self._counted))
            self._end(Amount(attempt.cost_usd, attempt.input_tokens + attempt.output_tokens, int(attempt.outcome.has_text)))

    def drop(self) -> None:
        """Nothing was sent."""
        self._end(NOTHING)

    def _end(self, spent: Amount) -> None:
        if self._purse is not None:
            self._purse.take(self._bound, spent)
            self._purse = None


class Purse:
    """The budget of one invocation: asked before every attempt, told after it. One thread's alone; every method is O(1).

    What was spent never passes the budget, as long as no attempt takes more than its bound: our own count of its input tokens, or
    more where its server has counted more before, and its `max_tokens`.
    """

    def __init__(self, budget: Budget, *, spent: Amount = NOTHING, clock: Callable[[], float] = time.monotonic) -> None:
        """`spent` by earlier invocations; `clock` gives seconds, and the budget's minutes begin now."""
        self.budget, self.spent = budget, spent
        self.in_flight = NOTHING
        self.over = ""
        """One line that says which budget refused a Call last; empty as long as none did."""
        self.stop = Stop.BUDGET
        """The kind of that."""
        self._clock = clock
        self._until = None if budget.minutes is None else clock() + 60 * budget.minutes
        self._usd = float("inf") if budget.usd is None else budget.usd
        self._tokens = float("inf") if budget.tokens is None else budget.tokens
        self._calls = float("inf") if budget.calls is None else budget.calls
        self._counts = budget.usd is not None or budget.tokens is not None
        self._ratios: dict[str, float] = {}

    @classmethod
    def of(cls, budget: Budget, teachers: Iterable[Teacher], journal: Journal) -> "Purse":
        """With what the run folder's journal has spent; it is read through where there is a budget of it."""
        past = budget.usd is not None or budget.tokens is not None or budget.calls is not None
        return cls(budget, spent=spent(teachers, histories(journal)) if past else NOTHING)

    def admit(self, teacher: Teacher, call: Call) -> Hold | None:
        """Set aside what the Call may take at most; None, and `over` says why, where that would pass the budget."""
        counted, bound = 0, Amount(0.0, 0, 1)
        if self._counts:
            counted = input_tokens(call)
            bound = _bound(teacher, ceil(counted * self._ratios.get(teacher.name, 1.0)))
        usd, tokens, calls = self.in_flight
        usd, tokens, calls = usd + bound.usd, tokens + bound.tokens, calls + 1
        if self.spent.calls + calls > self._calls or self.spent.tokens + tokens > self._tokens or self.spent.usd + usd > self._usd:
            self._refuse(bound)
            return None
        if self._until is not None and self._clock() >= self._until:
            self.stop, self.over = Stop.MINUTES, minutes_over(self.budget.minutes or 0)
            return None
        self.in_flight = Amount(usd, tokens, calls)
        return Hold(self, teacher.name, counted, bound)

    def take(self, bound: Amount, spent: Amount) -> None:
        """For a Hold: what was set aside is free again, and so much was spent."""
        usd, tokens, calls = self.in_flight
        left = calls - bound.calls
        self.in_flight = Amount(usd - bound.usd if left else 0.0, tokens - bound.tokens, left)  # rounding errors do not pile up
        self.spent = Amount(self.spent.usd + spent.usd, self.spent.tokens + spent.tokens, self.spent.calls + spent.calls)

    def counted(self, teacher: str, ratio: float) -> None:
        """For a Hold: a server counted so many times our number of input tokens."""
        if ratio > self._ratios.get(teacher, 1.0):
            self._ratios[teacher] = min(ratio, MOST_OFF)

    def _refuse(self, bound: Amount) -> None:
        self.stop = Stop.BUDGET
        spent, flying, budget = self.spent, self.in_flight, self.budget
        if spent.calls + flying.calls + 1 > self._calls:
            self.over = f"budget: calls {budget.calls:,} reached: {spent.calls:,} made, {flying.calls:,} in flight"
        elif spent.tokens + flying.tokens + bound.tokens > self._tokens:
            self.over = (
                f"budget: tokens {budget.tokens:,} reached: {spent.tokens:,} spent, {flying.tokens:,} in flight; "
                f"the next call may take {bound.tokens:,}"
            )
        else:
            self.over = (
                f"budget: usd {budget.usd:,.10g} reached: {dollars(spent.usd)} spent, {dollars(flying.usd)} in flight; "
                f"the next call may take {dollars(bound.usd)}"
            )


def spent(teachers: Iterable[Teacher], past: Mapping[tuple[str, str], History]) -> Amount:
    """What a journal has spent. Attempts of unknown outcome count with the bound of the longest request to their teacher."""
    asked = {teacher.name: teacher for teacher in teachers}
    most = max((history.most_input for history in past.values()), default=0) or UNKNOWN_INPUT
    amounts = []
    for (name, _), history in past.items():
        begins, teacher = history.most_input or most, asked.get(name)
        bound = _bound(teacher, begins) if teacher else Amount(0.0, begins + UNBOUNDED_OUTPUT, 1)
        known = Amount(history.cost_usd, history.input_tokens + history.output_tokens, history.replies)
        amounts += [known, bound.times(history.unknown)]
    return Amount(fsum(amount.usd for amount in amounts), sum(amount.tokens for amount in amounts), sum(amount.calls for amount in amounts))


def most_output(teacher: Teacher) -> int:
    """Output tokens of one Call, at most: `max_tokens`, or the name that newer servers have for it, else a bound of ours."""
    limit = teacher.max_tokens or teacher.body.get("max_completion_tokens")
    return limit if isinstance(limit, int) and limit > 0 else UNBOUNDED_OUTPUT


def _bound(teacher: Teacher, begins: int) -> Amount:
    ends = most_output(teacher)
    return Amount(teacher.price.usd(begins, ends), begins + ends, 1)


def minutes_over(minutes: float) -> str:
    """The line that says so."""
    return f"budget: minutes {minutes:g} are over"


def dollars(usd: float) -> str:
    """In cents, or with two digits that say something where it is less than ten of them."""
    return f"${usd:,.2f}" if usd >= 0.1 or not usd else f"${usd:.2g}"
