"""Stages of kind `merge`: models merged into one student, in pieces, without a model in memory; then it is loaded once, to be sure."""

from pathlib import Path

import torch

from cotforge.atomic import replace_folder
from cotforge.errors import PipelineError
from cotforge.plan import Merge
from cotforge.train import ranks
from cotforge.train.report.record import count_progress
from cotforge.train.stage_run import StageRun, TrainingRun
from cotforge.train.students import loaded_student, processors
from cotforge.train.weights.checkpoint import PIECE
from cotforge.train.weights.merging import Merger, WholeModel
from cotforge.train.weights.models import demand_alike_models
from cotforge.train.weights.names import decoder_weights


def train(stage: Merge, work: StageRun) -> None:
    """The merged student in `work.weights`. Raises PipelineError where the models do not fit together."""
    ranks.from_first(lambda: _write_merged(stage, work, work.folders()))


def check(stage: Merge, training: TrainingRun) -> None:
    """See that the models which are there fit the student: by configuration, tokenizer, names and shapes of weights.

    Stages' weights are not there yet; they have the shape of the student. Raises PipelineError.
    """
    Merger(stage, training.begin, demand_alike_models(stage, training))


def _write_merged(stage: Merge, work: StageRun, models: dict[str, Path]) -> None:
    merger = Merger(stage, work.begin, models)
    work.record.begin(step=0, total=1)
    work.record.say(merger.line())

    with replace_folder(work.weights) as folder:
        processor = processors.load_processor(work.begin)
        if work.plan.student.max_pixels is not None:
            processors.bound_pixels(processor, work.plan.student.max_pixels)
        processors.save_processor(processor, folder)
        with count_progress(f"{stage.name}, weights written", len(merger.student.files.entries)) as tell:
            found = merger.write(folder, tell)
        work.record.row(0, {"distance": found.distance, "merged": found.weights})
        work.record.say(f"the merged weights differ from the student's by {found.distance:.3g} of its norm")
    _check_saved(stage, work)


def _check_saved(stage: Merge, work: StageRun) -> None:
    """Raises PipelineError where a weight of the decoder is another once it is loaded than it is in the files."""
    pupil = loaded_student.for_inference(work.plan.student, work.weights)
    files = WholeModel(work.weights, f"stage {stage.name!r}")
    for name, weight in decoder_weights(pupil.model).items():
        if files.shape(name) != tuple(weight.shape) or not _is_same(weight, files, name):
            raise PipelineError(f"{work.weights}: the weight {name!r} is another once it is loaded than in its file; is the disk sound?")
    loaded_student.release_memory()


def _is_same(weight: torch.Tensor, files: WholeModel, name: str) -> bool:
    flat, kind = weight.detach().cpu().reshape(-1), weight.dtype
    return all(torch.equal(flat[place * PIECE : (place + 1) * PIECE], piece.to(kind)) for place, piece in enumerate(files.pieces(name)))
