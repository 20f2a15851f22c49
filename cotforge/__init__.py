"""Labelled images in, agreed chain-of-thought lessons for a small vision-language model out."""

from cotforge.errors import CotforgeError, JournalError, PipelineError, SourceError, Stopped, TeacherError
from cotforge.records import Ballot, Call, CuratedSample, Fault, Judged, Lesson, Outcome, Picture, Reply, Sample, Trace, Verdict

__version__ = "0.1.0"

__all__ = [
    "Ballot",
    "Call",
    "CotforgeError",
    "CuratedSample",
    "Fault",
    "JournalError",
    "Judged",
    "Lesson",
    "Outcome",
    "Picture",
    "PipelineError",
    "Reply",
    "Sample",
    "SourceError",
    "Stopped",
    "TeacherError",
    "Trace",
    "Verdict",
    "__version__",
]
