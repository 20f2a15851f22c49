"""What follow-ups find out about traces, and how many Calls that took."""

from dataclasses import dataclass
from typing import NamedTuple

from cotforge.plain_record import Record


@dataclass(frozen=True, slots=True)
class Finding(Record):
    """One thing that a follow-up found out: a figure about a teacher's trace, by the teacher that was asked for it."""

    kind: str
    """`verify`, `probe`, `hint`, `seen` or `judge`."""
    about: str
    """The teacher that wrote the trace."""
    by: str
    """The teacher that was asked."""
    value: float
    """1 or 0 for yes or no; a mark of the rubric for `judge`."""
    detail: str = ""
    """What of it: `picture` or `no_picture`; `blank` or `swap`; the dimension of a mark."""
    trace: str = ""
    """Key of the trace's Call, where marks of several judges belong together."""


class FollowUpCounts(NamedTuple):
    """What one follow-up asked about one Sample, or about all."""

    calls: int = 0
    """Those with an outcome, answered or given up."""
    failed: int = 0
    """Of these, given up."""
    skipped: tuple[str, ...] = ()
    """Why there was nothing to do: `weave:one_trace`, ..."""
