"""The models that a stage reads beside its student, held to the student's shape before anything is trained."""

from pathlib import Path

from cotforge.plan import Stage
from cotforge.plan.branches import read_by
from cotforge.train.stage_run import TrainingRun
from cotforge.train.students.loaded_student import model_folder
from cotforge.train.weights.model_layout import demand_alike


def demand_alike_models(stage: Stage, training: TrainingRun) -> dict[str, Path]:
    """Their folders, by the key that names each; for a stage, whose weights may not be there yet, that of the student before any stage.

    Raises PipelineError where one is not of the student's shape, by configuration and tokenizer.
    """
    stages, found = read_by(training.plan.expanded(), stage), dict[str, Path]()
    for key, model in stage.reads().items():
        where = f"stage {stage.name!r}: {key}"
        found[key] = training.begin if key in stages else model_folder(model, training.root, key=where)
        for line in [] if key in stages else demand_alike(found[key], training.begin, key=where):
            training.tell(line)
    return found
