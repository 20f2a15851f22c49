"""What is still to be asked: the difference between what a pipeline asks and what its journal holds."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from cotforge.forge.repeated import repeated_refusals
from cotforge.forge.sample_path import SamplePath
from cotforge.images import Urls
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Fault, OutcomeKind, Reply, Sample
from cotforge.replies.attempt import Attempt
from cotforge.teachers.teacher import Teacher

Again = Callable[[Call, Attempt], bool]
"""Whether a Call whose reply is known is to be asked anew in this invocation."""


class Script(Protocol):
    """What follows where the Calls about a Sample are not all asked at once."""

    def ended(self, work: "PendingSample", call: Call, attempt: Attempt | None) -> None:
        """A Call has ended, and is in the journal; or (None) it will not be asked, as its line is closed."""

    def lost(self, work: "PendingSample", call: Call) -> None:
        """A Call cannot be sent: the picture is not there any more."""


@dataclass(slots=True)
class PendingSample:
    """One Sample with the Calls it still lacks."""

    sample: Sample
    calls: list[tuple[Teacher, Call]]
    had: list[tuple[Call, Attempt]]
    """Those already answered."""
    stale: int = 0
    """How many of `calls` have a reply that does not settle them."""
    left: int = 0
    """Calls that are under way."""
    images: Urls | None = None
    """What is sent of its pictures, where they are sent: made once, however many teachers and samples ask."""
    script: Script | None = None
    """Told of the end of every Call; None where all are asked at once."""
    walk: SamplePath | None = None
    """Where a script has come to."""


class SettledReplies:
    """Which replies of the journal settle their Calls in one invocation; the others are asked again."""

    def __init__(
        self,
        loaded: Loaded,
        journal: Journal,
        refreshed: Mapping[str, int] | None = None,
        *,
        again: Again | None = None,
        since: int | None = None,
    ) -> None:
        """See `missing_work`."""
        self._journal, self._refreshed, self._again, self._since = journal, refreshed or {}, again, since
        self._teachers = {teacher.name: teacher for teacher in loaded.pipeline.teachers}
        self._about_teacher = cache(lambda: repeated_refusals(journal))  # read through only where anything was refused for good

    def replies(self, calls: Sequence[Call]) -> dict[str, Reply]:
        """By the Call's key, the replies and errors with which some Calls have ended."""
        stored = self._journal.replies(call.key for call in calls)
        return {call.key: found.reply for call in calls if (found := stored.get(call.key)) is not None and self.settles(call, found)}

    def settles(self, call: Call, found: Attempt) -> bool:
        """Whether what the journal has of a Call settles it."""
        teacher = self._teachers[call.teacher]
        if found.number <= self._refreshed.get(teacher.name, 0):
            return False
        if self._since is not None and found.number > self._since:
            return True
        if self._again is not None:
            return not self._again(call, found)
        if found.outcome.kind is OutcomeKind.REFUSED and found.number in self._about_teacher():
            return False
        return found.settles(teacher.max_tokens)


def missing_work(
    loaded: Loaded,
    samples: Iterator[Sample | Fault],
    journal: Journal,
    refreshed: Mapping[str, int] | None = None,
    *,
    teachers: Collection[str] | None = None,
    again: Again | None = None,
    since: int | None = None,
) -> Iterator[PendingSample | Fault]:
    """Per sound Sample what is still to be asked, of `teachers` alone where they are named.

    `refreshed` maps a teacher's name to the last attempt that does not count any more, `again` has Calls asked anew that ended before,
    and what ended after the attempt `since` has had its chance in this invocation.
    """
    settled = SettledReplies(loaded, journal, refreshed, again=again, since=since)
    for sample in samples:
        if isinstance(sample, Fault):
            yield sample
            continue
        try:
            pairs = [pair for pair in loaded.calls(sample) if teachers is None or pair[0].name in teachers]
            stored = journal.replies(call.key for _, call in pairs)
        except Fault as fault:
            yield fault
            continue
        work = PendingSample(sample, [], [])
        for teacher, call in pairs:
            found = stored.get(call.key)
            if found is not None and settled.settles(call, found):
                work.had.append((call, found))
            else:
                work.calls.append((teacher, call))
                work.stale += found is not None
        yield work
