"""The Python face: what `import cotforge` offers beside the records. Every name of it that people may use is named there.

`calls`: a function for each command, with a typed result. `run`: a run folder, seen. Importing this brings nothing heavy.
"""

from cotforge.face.calls import build, build_async, check, curate, evaluate, train
from cotforge.face.publishing import push
from cotforge.face.run import Run
from cotforge.face.run_summary import RunSummary
from cotforge.face.sample_view import SampleView
from cotforge.face.typed_results import CheckResult, Evaluation, TrainingResult

__all__ = [
    "CheckResult",
    "Evaluation",
    "Run",
    "RunSummary",
    "SampleView",
    "TrainingResult",
    "build",
    "build_async",
    "check",
    "curate",
    "evaluate",
    "push",
    "train",
]
