"""What is told once of a teacher's replies: finish reasons that nobody knows, and token counts that cannot be."""

from collections.abc import Callable

from cotforge.replies.attempt import Attempt
from cotforge.replies.finish_reasons import Finish, read_finish

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
        if not attempt.outcome.has_text or read_finish(reason) is not Finish.UNKNOWN:
            return
        if (teacher, reason) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add((teacher, reason))
            self._tell(f"teacher {teacher!r}: finish_reason {reason!r} is unknown; its texts are read as whole")


class Overcounts:
    """Teachers of this run whose servers count more tokens than can be."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._told: set[str] = set()

    def saw(self, teacher: str, attempt: Attempt) -> None:
        """Tell of the first such count of a teacher."""
        if attempt.overcount and teacher not in self._told:
            self._told.add(teacher)
            self._tell(f"teacher {teacher!r}: {attempt.overcount}" + ("; an estimate counts instead" if attempt.detail else ""))
