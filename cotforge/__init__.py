"""Labelled images in, agreed chain-of-thought lessons for a small vision-language model out.

Every public name is here; `docs/python.md` shows them at work. Nothing heavy is imported before it is used.
"""

from typing import TYPE_CHECKING, Any

import cotforge.train as _train  # before the function of that name: imported later, the package would take its place  # noqa: F401
from cotforge.errors import CotforgeError, HubError, JournalError, PipelineError, SourceError, Stopped, TeacherError
from cotforge.face import (
    CheckResult,
    Evaluation,
    Run,
    RunSummary,
    SampleView,
    TrainingResult,
    build,
    build_async,
    check,
    curate,
    evaluate,
    push,
    train,
)
from cotforge.records import Ballot, Call, CuratedSample, Fault, Judged, Lesson, Outcome, Picture, Reply, Sample, Trace, Verdict
from cotforge.version import __version__

if TYPE_CHECKING:
    from cotforge.consensus import Decisions, decide, what_if
    from cotforge.hub.pushed import Pushed
    from cotforge.pipeline import Pipeline

__all__ = [
    "Ballot",
    "Call",
    "CheckResult",
    "CotforgeError",
    "CuratedSample",
    "Decisions",
    "Evaluation",
    "Fault",
    "HubError",
    "JournalError",
    "Judged",
    "Lesson",
    "Outcome",
    "Picture",
    "Pipeline",
    "PipelineError",
    "Pushed",
    "Reply",
    "Run",
    "RunSummary",
    "Sample",
    "SampleView",
    "SourceError",
    "Stopped",
    "TeacherError",
    "Trace",
    "TrainingResult",
    "Verdict",
    "__version__",
    "build",
    "build_async",
    "check",
    "curate",
    "decide",
    "evaluate",
    "push",
    "train",
    "what_if",
]

_LAZY = {
    "Decisions": "cotforge.consensus",
    "decide": "cotforge.consensus",
    "what_if": "cotforge.consensus",
    "Pipeline": "cotforge.pipeline",
    "Pushed": "cotforge.hub.pushed",
}
"""Names whose modules take long to import, and the module of each. PEP 562."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'cotforge' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
