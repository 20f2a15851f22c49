"""What is still to be asked: the difference between what a pipeline asks and what its journal holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cotforge.journal import Journal, Stored
from cotforge.pipeline import Loaded
from cotforge.records import Call, Fault, Sample
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import data_url


@dataclass(slots=True)
class Work:
    """One Sample with the Calls it still lacks."""

    sample: Sample
    calls: list[tuple[Teacher, Call]]
    had: list[tuple[Call, Stored]]
    """Those already answered."""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """data URLs by digest, made once for all teachers."""
    left: int = 0


def missing(
    loaded: Loaded, samples: Iterator[Sample | Fault], journal: Journal, refreshed: Mapping[str, int] | None = None
) -> Iterator[Work | Fault]:
    """Per sound Sample what is still to be asked. `refreshed` maps a teacher's name to the last attempt that does not count any more."""
    for sample in samples:
        if isinstance(sample, Fault):
            yield sample
            continue
        try:
            pairs = loaded.calls(sample)
            stored = journal.replies(call.key for _, call in pairs)
        except Fault as fault:
            yield fault
            continue
        calls, had = [], []
        for teacher, call in pairs:
            found = stored.get(call.key)
            if found is not None and found.settles(teacher.max_tokens) and found.attempt > (refreshed or {}).get(teacher.name, 0):
                had.append((call, found))
            else:
                calls.append((teacher, call))
        yield Work(sample, calls, had)


def ready(work: Work | Fault) -> Work | Fault:
    """The Work with its pictures in the form in which they are sent; a Fault where one of them cannot be read any more."""
    if isinstance(work, Work) and any(teacher.kind == "openai" for teacher, _ in work.calls):
        try:
            work.images = {picture.digest: data_url(picture) for picture in work.sample.pictures}
        except Fault as fault:
            return fault
    return work
