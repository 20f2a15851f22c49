"""Calls that are about to be paid for although their like is paid for already: asked in other words, or answered in another run folder."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

from cotforge.estimate.estimate_text import changed_line
from cotforge.forge import PendingSample
from cotforge.history import History, teacher_histories
from cotforge.journal import Journal
from cotforge.journal.subjects import Subjects
from cotforge.pipeline import Loaded
from cotforge.records import Fault
from cotforge.teachers.kind import TeacherKind

LOOKED_AT = 200
"""Samples, from the first, at which a build looks before it says whether what it asks has changed; more would keep teachers waiting."""


class Anew:
    """Finds, Sample by Sample, the Calls to be made of teachers that answered other Calls about the same Sample."""

    def __init__(self, loaded: Loaded, journal: Journal, past: Mapping[str, History]) -> None:
        """`past`: by the teachers' names."""
        self._subjects, self._task = Subjects(journal.path), loaded.pipeline.task
        self._suspects = {(one.name, one.model) for one in loaded.pipeline.teachers if past[one.name].calls > past[one.name].untold}

    def of(self, work: PendingSample) -> Counter[str]:
        """How many of a Work's Calls, by teacher."""
        missing = Counter(teacher.name for teacher, _ in work.calls if (teacher.name, teacher.model) in self._suspects)
        if not missing:
            return missing
        asked_now = {call.key for _, call in work.calls} | {call.key for call, _ in work.had}
        own = work.sample.question != self._task.question or work.sample.options != self._task.options()
        lost = Counter(
            found.teacher[0]
            for found in self._subjects.answered(work.sample)
            if found.teacher in self._suspects and found.key not in asked_now and (found.same_question or not own)
        )
        return missing & lost

    def close(self) -> None:
        """Let go of the journal."""
        self._subjects.close()


def asked_anew(loaded: Loaded, works: Iterable[PendingSample | Fault], journal: Journal, *, limited: bool = False) -> list[str]:
    """Lines about teachers that are asked anew, in other words, what they have answered about the same Samples: it is paid for again.

    Looks at the first `LOOKED_AT` of `works` alone, so that a build can say so before it pays; `check` counts.
    `limited`: whether only a part of the source is read; then nothing is known of replies from before the journal noted their Samples.
    """
    past = teacher_histories(journal)
    shares = {teacher.name: past_of(past, teacher) for teacher in loaded.pipeline.teachers}
    anew, again, made = Anew(loaded, journal, shares), Counter[str](), Counter[str]()
    suspected = {name for name, history in shares.items() if history.calls}
    looked, first = 0, islice(works, LOOKED_AT) if suspected else ()
    for work in first:
        looked += 1
        if isinstance(work, PendingSample):
            stale = journal.replies(call.key for _, call in work.calls)
            again += anew.of(work)
            made += Counter(teacher.name for teacher, _ in work.calls)
            suspected -= {call.teacher for call, stored in work.had if stored.error is None}
            suspected -= {call.teacher for _, call in work.calls if call.key in stale and stale[call.key].error is None}
    anew.close()
    untold = () if limited else [name for name in suspected if shares[name].calls == shares[name].untold and made[name]]
    least = "at least " if looked == LOOKED_AT else ""
    return [
        changed_line(name, "its calls" if name in suspected else f"{least}{again[name]:,} calls")
        for name in shares
        if again[name] or name in untold
    ]


def past_of(past: Mapping[tuple[str, str], History], teacher: TeacherKind) -> History:
    """What a journal says of a teacher."""
    return past.get((teacher.name, teacher.model), History())
