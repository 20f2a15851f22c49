"""What a run may spend: a bound that holds for what is in flight too, because nothing is sent that could pass it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, fsum
from typing import NamedTuple

from pydantic import Field

from cotforge.endings import Stop
from cotforge.history import History, teacher_histories
from cotforge.journal import Journal
from cotforge.records import Call
from cotforge.replies.attempt import Attempt
from cotforge.spec import Spec
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import UNBOUNDED_OUTPUT, believable_input, input_tokens, longest_output, most_output

UNKNOWN_INPUT = 4096
"""Input tokens of an earlier attempt that nobody ever counted (ours): a prompt and a picture of three million pixels."""
FEW = 4
"""Calls of a teacher that are out at most, under a budget of tokens or dollars, until its first reply (default chosen by us)."""
ENOUGH = 8
"""Replies after which it is known well enough how a server counts (default chosen by us)."""
MARGIN = 4
"""Times the most that such a server has counted so far that is set aside for a Call (default chosen by us)."""


class Budget(Spec):
    """Limits on what a run may spend. A limit that is left out does not apply."""

    usd: float | None = Field(default=None, gt=0)
    """Most US dollars, over all commands in the run folder, computed from `teachers[].price`. Null:
    no limit."""
    tokens: int | None = Field(default=None, gt=0)
    """Most input and output tokens, over all commands in the run folder. Null: no limit."""
    calls: int | None = Field(default=None, gt=0)
    """Most calls that were answered or may have been, over all commands in the run folder. Refused
    requests (429, 500) do not count. Null: no limit."""
    minutes: float | None = Field(default=None, gt=0)
    """Most minutes of one command. After that nothing new is sent; calls in flight are finished.
    Null: no limit."""

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


@dataclass(slots=True)
class _TokenCounts:
    """How one teacher's server counts, and how many of its Calls are out."""

    out: int = 0
    replies: int = 0
    ratio: float = 1.0
    """The most that it counted of input tokens, as a multiple of our own number."""
    most_input: int = 0
    most_output: int = 0

    def count_attempt(self, own: int, attempt: Attempt) -> None:
        self.replies += 1
        self.ratio = max(self.ratio, attempt.input_tokens / max(1, own))
        self.most_input = max(self.most_input, attempt.input_tokens)
        self.most_output = max(self.most_output, attempt.output_tokens)


class Hold:
    """What is set aside for one attempt, until it is known what it took. Only the first `settle` or `drop` counts."""

    __slots__ = ("_bound", "_counting", "_expected", "_hard", "_own", "_purse")

    def __init__(self, purse: "Purse", counting: _TokenCounts, own: int, expected: Amount, bound: Amount, *, hard: bool) -> None:
        """With `hard`, what an attempt says to have taken beyond the bound is not taken from the purse."""
        self._purse: Purse | None = purse
        self._counting, self._own, self._expected, self._bound, self._hard = counting, own, expected, bound, hard
        counting.out += 1

    def settle(self, attempt: Attempt) -> None:
        """The attempt ended so. One that may have been charged for, though nobody can tell, takes what it was expected to take at most."""
        if attempt.may_be_charged:
            self._end_hold(self._expected)
        else:
            if attempt.outcome.has_text and self._purse is not None:
                self._learn_usage(attempt)
            self._end_hold(Amount(attempt.cost_usd, attempt.input_tokens + attempt.output_tokens, int(attempt.outcome.has_text)))

    def _learn_usage(self, attempt: Attempt) -> None:
        if attempt.input_tokens + attempt.output_tokens > self._bound.tokens:
            self._counting.replies = 0  # it counts otherwise than it did
        self._counting.count_attempt(self._own, attempt)

    def drop(self) -> None:
        """Nothing was sent."""
        self._end_hold(NOTHING)

    def _end_hold(self, spent: Amount) -> None:
        if self._hard:
            spent = Amount(min(spent.usd, self._bound.usd), min(spent.tokens, self._bound.tokens), spent.calls)
        if self._purse is not None:
            self._counting.out -= 1
            self._purse.take(self._bound, spent)
            self._purse = None


class Purse:
    """The budget of one invocation: asked before every attempt, told after it. One thread's alone; every method is O(1).

    What was spent never passes the budget, whatever servers count: for each attempt there is set aside the most that its server can be
    believed to count, which is what was sent and `max_tokens` can weigh, and less once it is known how it counts. Where that is more than
    what is left, one Call goes alone.
    """

    def __init__(self, budget: Budget, *, spent: Amount = NOTHING, clock: Callable[[], float] = time.monotonic) -> None:
        """`spent_so_far` by earlier invocations; `clock` gives seconds, and the budget's minutes begin now."""
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
        self._counting: dict[str, _TokenCounts] = {}

    @classmethod
    def of(cls, budget: Budget, teachers: Iterable[Teacher], journal: Journal) -> "Purse":
        """With what the run folder's journal has spent; it is read through where there is a budget of it."""
        past = budget.usd is not None or budget.tokens is not None or budget.calls is not None
        return cls(budget, spent=spent_so_far(teachers, teacher_histories(journal)) if past else NOTHING)

    def bounds_tokens(self, teacher: Teacher) -> bool:
        """Whether the teacher's tokens are bounded."""
        return self.budget.tokens is not None or (self.budget.usd is not None and teacher.price.given)

    def admit(self, teacher: Teacher, call: Call, *, in_batch: bool = False) -> Hold | None:
        """Set aside what the Call may take at most; None, and `over` says why, where that would pass the budget.

        None as well, and `over` as before, while it has to be found out from a few Calls how the teacher's server counts. What goes out
        `in_batch`, before anybody can know that, counts with what is expected of it.
        """
        own, expected, bound = 0, Amount(0.0, 0, 1), Amount(0.0, 0, 1)
        counting = self._counting.setdefault(teacher.name, _TokenCounts())
        if weighs := self.bounds_tokens(teacher):
            own = input_tokens(call)
            expected, bound = self._call_bounds(teacher, call, own, counting)
            if in_batch:
                bound = expected
            elif not counting.replies and counting.out >= FEW:
                return None
        if not self._fits_budget(expected):
            self._note_refusal(expected)
            return None
        if self._until is not None and self._clock() >= self._until:
            self.stop, self.over = Stop.MINUTES, minutes_over(self.budget.minutes or 0)
            return None
        if not self._fits_budget(bound):
            bound = self._left_of(bound)
        usd, tokens, calls = self.in_flight
        self.in_flight = Amount(usd + bound.usd, tokens + bound.tokens, calls + 1)
        return Hold(self, counting, own, expected, bound, hard=weighs and not in_batch)

    def _call_bounds(self, teacher: Teacher, call: Call, own: int, counting: _TokenCounts) -> tuple[Amount, Amount]:
        """(what the Call is expected to take at most, what it can take at most)."""
        most_in, most_out = believable_input(own, pictures=len(call.sample.pictures)), longest_output(teacher)
        begins = min(ceil(own * counting.ratio), most_in)
        ends = min(max(most_output(teacher), counting.most_output), most_out)
        if counting.replies >= ENOUGH:
            most_in = min(most_in, MARGIN * max(begins, counting.most_input))
            most_out = min(most_out, max(ends, MARGIN * counting.most_output))
        return _amount_of_attempts(teacher, begins, ends), _amount_of_attempts(teacher, most_in, most_out)

    def _left_of(self, amount: Amount) -> Amount:
        """The amount, or as much of it as is neither spent nor set aside."""
        spent, flying = self.spent, self.in_flight
        usd, tokens = self._usd - spent.usd - flying.usd, self._tokens - spent.tokens - flying.tokens
        return Amount(min(amount.usd, usd), int(min(amount.tokens, tokens)), amount.calls)

    def _fits_budget(self, amount: Amount) -> bool:
        spent, flying = self.spent, self.in_flight
        return (
            spent.calls + flying.calls + amount.calls <= self._calls
            and spent.tokens + flying.tokens + amount.tokens <= self._tokens
            and spent.usd + flying.usd + amount.usd <= self._usd
        )

    def take(self, bound: Amount, spent: Amount) -> None:
        """For a Hold: what was set aside is free again, and so much was spent."""
        usd, tokens, calls = self.in_flight
        left = calls - bound.calls
        self.in_flight = Amount(usd - bound.usd if left else 0.0, tokens - bound.tokens, left)  # rounding errors do not pile up
        self.spent = Amount(self.spent.usd + spent.usd, self.spent.tokens + spent.tokens, self.spent.calls + spent.calls)

    def _note_refusal(self, bound: Amount) -> None:
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
                f"budget: usd {budget.usd:,.10g} reached: {format_usd(spent.usd)} spent, {format_usd(flying.usd)} in flight; "
                f"the next call may take {format_usd(bound.usd)}"
            )


def spent_so_far(teachers: Iterable[Teacher], past: Mapping[tuple[str, str], History]) -> Amount:
    """What a journal has spent. Attempts of unknown outcome count with the bound of the longest request to their teacher."""
    asked = {teacher.name: teacher for teacher in teachers}
    most = max((history.most_input for history in past.values()), default=0) or UNKNOWN_INPUT
    amounts = []
    for (name, _), history in past.items():
        begins, teacher = history.most_input or most, asked.get(name)
        bound = _amount_of_attempts(teacher, begins, most_output(teacher)) if teacher else Amount(0.0, begins + UNBOUNDED_OUTPUT, 1)
        known = Amount(history.cost_usd, history.input_tokens + history.output_tokens, history.replies)
        amounts += [known, bound.times(history.unknown)]
    return Amount(fsum(amount.usd for amount in amounts), sum(amount.tokens for amount in amounts), sum(amount.calls for amount in amounts))


def _amount_of_attempts(teacher: Teacher, begins: int, ends: int) -> Amount:
    return Amount(teacher.price.usd(begins, ends), begins + ends, 1)


def minutes_over(minutes: float) -> str:
    """The line that says so."""
    return f"budget: minutes {minutes:g} are over"


def format_usd(usd: float) -> str:
    """In cents, or with two digits that say something where it is less than ten of them."""
    return f"${usd:,.2f}" if usd >= 0.1 or not usd else f"${usd:.2g}"
