"""Stages of kind `eval`: the student as it stands, tried on what is held out. Its weights stay as they are."""

from cotforge.errors import PipelineError
from cotforge.plan import Try
from cotforge.train.stage_run import StageRun
from cotforge.train.students.loaded_student import weights_fingerprint


def train(stage: Try, work: StageRun) -> None:
    """`eval/<stage's folder>.json`, of a smoke in its own folder. Raises PipelineError where the pipeline holds nothing out."""
    if work.trials is None:
        raise PipelineError(f"stage {stage.name!r}: eval: is missing from the pipeline file; it says what the student is tried on")
    work.trials.of(work.out.name, work.begin, weights_fingerprint(work.begin), work.tell, whole=True, probe=stage.probe)
