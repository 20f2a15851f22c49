"""A Call on its way, and what the lines of a forge share."""

import random
from dataclasses import dataclass, field
from typing import Protocol

from cotforge.budget import Hold
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import TeacherCounts
from cotforge.forge.replica import Replica
from cotforge.forge.tries import Tries
from cotforge.journal import Journal
from cotforge.records import Call, Fault
from cotforge.replies.attempt import Attempt
from cotforge.teachers.teacher import Teacher


@dataclass(slots=True, eq=False)
class Job:
    """A Call on its way."""

    call: Call
    work: PendingSample
    attempt: int = 0
    tries: Tries = field(default_factory=Tries)
    last: Replica | None = None
    """Where it was asked last: another attempt goes elsewhere, if it can."""
    counted: bool = True
    """Whether it takes of its line's `room`."""


class ForgeHooks(Protocol):
    """What the lines of a forge share."""

    journal: Journal
    chance: random.Random

    @property
    def stopped(self) -> bool:
        """Whether the run is coming to its end, and what is left will be asked by the next one."""

    def admit(self, teacher: Teacher, call: Call) -> Hold | None:
        """Set aside what the Call may cost; None where the budget does not allow for it (now)."""

    def bounded(self, teacher: Teacher) -> bool:
        """Whether a budget bounds the tokens of the teacher, and so its counts have to be right."""

    def retry_in(self) -> float:
        """Seconds until the run's retry budget has room for one more attempt, which is taken from it."""

    def settled(self, meter: TeacherCounts, job: Job, attempt: Attempt | None) -> None:
        """A Call has ended, or (None) will not be asked in this run."""

    def lost(self, job: Job, fault: Fault) -> None:
        """A Call cannot be sent: its picture is not there any more."""

    def tell(self, line: str) -> object:
        """A line for a person."""

    def broke(self, fault: Exception) -> None:
        """A bug, or a journal that can keep no more."""

    def look(self) -> None:
        """Something has ended: see whether all is over."""
