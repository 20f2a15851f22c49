"""Refusals that are about the teacher, in whatever words: the same one for Call after Call, and no answer in between.

Providers refuse a key, an account, a balance, a quota or a model with any status and in any words. Those that are known close a teacher
at once (`replies.refusal_codes`); these are the others. They are not final for their Calls: the next build asks them again.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from math import inf
from typing import NamedTuple

from cotforge.journal import Journal
from cotforge.records import Outcome, OutcomeKind
from cotforge.replies.attempt import outcome_of_row
from cotforge.replies.refusals import LONGEST_WAIT_S

ENOUGH = 5
"""Calls in a row. Chosen by us: one picture that cannot be read is no news, five in a row in the same words are about something else."""
MOST_UNREADABLE = 2 * ENOUGH
"""Attempts in a row that bring bodies nobody can read (chosen by us): each was probably generated, and charged."""
_VARYING = re.compile(r"\S*\d\S*|\s+")

_FINAL = """
    SELECT asked.teacher, replies.id, replies.status, replies.error, replies.detail, replies.passing, replies.finish_reason,
           CASE WHEN replies.error IS NULL THEN '' ELSE replies.body END, asked.begun_at, asked.begun_at + COALESCE(replies.seconds, 0)
    FROM replies JOIN asked ON asked.id = replies.id WHERE replies.final ORDER BY replies.id
"""


class RefusalStreak:
    """The Calls of one teacher that ended last, as long as they ended in the same words."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        """Their attempts in the journal, the latest last."""
        self._words = ""
        self._unreadable = 0
        self._long_waits = 0

    def saw_body(self, outcome: Outcome) -> bool:
        """Count one more attempt, also one that is made again. Returns whether as many as MOST_UNREADABLE in a row could not be read."""
        self._unreadable = self._unreadable + 1 if outcome.error == "bad_body" else 0
        return self._unreadable >= MOST_UNREADABLE

    def saw_wait(self, outcome: Outcome) -> bool:
        """Count one more attempt. Returns whether ENOUGH asked for a wait of hours, without a reply in between: an allowance is used up."""
        asked_long = outcome.busy and (outcome.asked_wait or 0.0) > LONGEST_WAIT_S
        self._long_waits = 0 if outcome.has_text else self._long_waits + asked_long
        return self._long_waits >= ENOUGH

    def saw(self, status: int | None, outcome: Outcome, number: int) -> bool:
        """Count the end of one more Call; `number` is that of its attempt. Returns whether as many as ENOUGH in a row ended so.

        An answer only ends what was begun before it: one that took its time, while others were refused, says nothing of them.
        """
        if outcome.has_text:
            self.numbers = [refused for refused in self.numbers if refused > number]
            self._words = self._words if self.numbers else ""
        elif status is not None and may_be_about_the_teacher(outcome):
            words = words_of(outcome)
            self.numbers = [*self.numbers, number] if words == self._words else [number]
            self._words = words
        return len(self.numbers) >= ENOUGH


def words_of(outcome: Outcome) -> str:
    """What makes two failures the same: the words, without numbers and ids. Of a body nobody can read, that alone: it shows its text."""
    return _VARYING.sub(" ", f"{outcome.error} {'' if outcome.error == 'bad_body' else outcome.detail}".casefold())


def may_be_about_the_teacher(outcome: Outcome) -> bool:
    """Whether a failure that came to every Call in the same words would not be about the Calls: a refusal that is not known to be about
    this very request, or a body nobody can read. Timeouts, overloads and 5xx are left to pacing and `max_failures`.
    """
    if outcome.kind is OutcomeKind.REFUSED:
        return not outcome.of_request
    return outcome.error == "bad_body" or (outcome.kind is OutcomeKind.PASSING and not outcome.retry and not outcome.unreached)


class Refusal(NamedTuple):
    """One that a journal holds."""

    number: int
    begun: float
    ended: float
    """Seconds since the epoch, both."""


def repeated_refusals(journal: Journal) -> frozenset[int]:
    """The attempts in a journal that were refused for good, and yet are about their teacher. Reads the rows of the journal once."""
    found: set[int] = set()
    streaks: dict[int, RefusalStreak] = {}
    alike: dict[tuple[int, str], list[Refusal]] = {}
    for teacher, number, status, error, detail, passing, reason, body, begun, end in journal.rows(_FINAL):
        outcome = outcome_of_row(status, error, detail or "", passing=bool(passing), finish_reason=reason or "", body=body or "")
        streak = streaks.setdefault(teacher, RefusalStreak())
        if streak.saw(status, outcome, number) and streak.numbers[-1] == number:
            found.update(streak.numbers)
            streak.numbers = streak.numbers[-ENOUGH:]  # the others are known: a journal may hold 100,000 of them
        if outcome.kind is OutcomeKind.REFUSED and may_be_about_the_teacher(outcome):
            alike.setdefault((teacher, words_of(outcome)), []).append(Refusal(number, begun, end))
    for refusals in alike.values():
        found.update(list(overlapping_refusals(refusals, found)))
    return frozenset(found)


def overlapping_refusals(refusals: Sequence[Refusal], found: Collection[int]) -> Iterator[int]:
    """Those of one teacher in the same words, in the order of their attempts, that were in flight together with a streak.

    With many in flight, the first that are refused and the last that are answered come in any order.
    """
    latest, earliest = -inf, inf
    for refusal in refusals:
        if refusal.number in found or refusal.begun <= latest:
            latest = max(latest, refusal.ended)
            yield refusal.number
    for refusal in reversed(refusals):
        if refusal.number in found or refusal.ended >= earliest:
            earliest = min(earliest, refusal.begun)
            yield refusal.number
