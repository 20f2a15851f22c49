"""Why asking ended before all was asked, in a person's words: by a budget, by failures, or because a teacher was closed."""

from collections.abc import Iterator

from cotforge.endings import Closing, Stop
from cotforge.forge import Progress, TeacherCounts
from cotforge.pipeline import Loaded
from cotforge.sources.values import clean_value

_GO_ON = "what was paid for is kept and in the dataset, the same command goes on from here"
_RAISE = "what was paid for is kept and in the dataset, a higher bound in `budget` goes on from here"
CLOSED = {
    Closing.QUOTA: "paused: quota or credit is used up",
    Closing.ACCOUNT: "paused: its account is suspended or shut out",
    Closing.KEY: "its key is not accepted",
    Closing.MODEL: "its model is gone",
    Closing.FILES: "its server cannot read images by file; give it --allowed-local-media-path, or set images.via to data",
    Closing.ENGINE: "its engine has died again",
    Closing.TROUBLE: "its provider is in trouble",
    Closing.REPEATED: "paused: one call after another ended in the same words, and none was answered in between",
    Closing.COUNTS: "paused: its token counts cannot be right, and the budget could not hold",
    Closing.OUT_OF_REACH: "out of reach",
}
"""What a person is told of a teacher that was not asked to the end."""
_ENDS_THE_RUN = (Closing.QUOTA, Closing.ACCOUNT, Closing.KEY, Closing.REPEATED, Closing.COUNTS)
"""With these a person has to do something before the run can be complete: exit 3."""
_NO_KEY = "; no key was sent, for the teacher has no key_env: name the environment variable that holds it"
_NO_BATCHES = "there is no batch API at its url, or no such model"


def ended_early(loaded: Loaded, progress: Progress) -> tuple[list[str], list[str]]:
    """(lines because of which the run ends with exit 3, lines about teachers that the run went on without)."""
    why: list[str] = []
    told: list[str] = []
    if progress.stopped in (Stop.BUDGET, Stop.MINUTES, Stop.UNREACHABLE):
        why.append(f"{progress.told}; {_RAISE if progress.stopped is Stop.BUDGET else _GO_ON}")
    batched = {teacher.name for teacher in loaded.pipeline.teachers if teacher.batched}
    for name, meter in progress.teachers.items():
        if meter.closed in CLOSED and (meter.postponed or meter.failed or name in batched):
            (why if meter.closed in _ENDS_THE_RUN else told).append(_closed_early(loaded, name, meter, batched=name in batched))
    return [*why, *_too_many_failures(loaded, progress)], told


def _too_many_failures(loaded: Loaded, progress: Progress) -> Iterator[str]:
    bound = loaded.pipeline.max_failures
    if progress.lacking <= bound:
        return
    worst = max(progress.teachers.values(), key=lambda meter: meter.failed + meter.postponed)
    name = next(name for name, meter in progress.teachers.items() if meter is worst)
    postponed = sum(meter.postponed for meter in progress.teachers.values())
    yield (
        f"{progress.failed - progress.filtered + postponed:,} of {progress.asked + progress.had + postponed:,} calls were given up"
        f"{' or not asked' if postponed else ''}, more than max_failures {bound:g} allows; "
        f"the last of teacher {name!r}: {worst.last_error or worst.closing_words or worst.closed}"
    )


def _closed_early(loaded: Loaded, name: str, meter: TeacherCounts, *, batched: bool) -> str:
    """The line about a teacher that was not asked to the end, in its server's own words where it said any."""
    assert meter.closed is not None
    reason = _NO_BATCHES if batched and meter.closed is Closing.MODEL else CLOSED[meter.closed]
    words = f"; it said {clean_value(meter.closing_words)!r}" if meter.closing_words else ""
    words = f"; {meter.closing_words}" if meter.closed is Closing.COUNTS else words  # these are our own
    count = meter.postponed or meter.failed
    many = "1 call was" if count == 1 else f"{count:,} calls were" if count else "some calls were"
    lost = f"{many} not asked" if meter.postponed else f"{many} not answered"
    sent = any(one.name == name and one.key_env for one in loaded.pipeline.teachers)
    no_key = _NO_KEY if meter.closed is Closing.KEY and not sent else ""
    return f"teacher {name!r}: {reason}; {lost}: {_GO_ON}{words}{no_key}"
