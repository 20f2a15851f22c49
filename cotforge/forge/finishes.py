"""Finish reasons that nobody knows: each is told once, for a text that is not whole may stand behind it."""

from collections.abc import Callable

from cotforge.replies.attempt import Attempt
from cotforge.replies.finish_reasons import Finish, finish

MOST_TOLD = 10
"""Lines about them in one run, at most (chosen by us)."""


class UnknownFinishes:
    """Finish reasons of this run that are in no table."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._told: set[tuple[str, str]] = set()

    def saw(self, teacher: str, attempt: Attempt) -> None:
        """Tell of the reason of a text that came, where it is unknown and new."""
        reason = attempt.finish_reason
        if not attempt.outcome.has_text or finish(reason) is not Finish.UNKNOWN:
            return
        if (teacher, reason) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add((teacher, reason))
            self._tell(f"teacher {teacher!r}: finish_reason {reason!r} is unknown; its texts are read as whole")
