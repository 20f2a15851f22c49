"""Stages of kind `dpo`: TRL's trainer on pairs of a right and a wrong text about one sample, the dataset's or the student's own."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trl import DPOConfig, DPOTrainer

from cotforge.plan import Dpo
from cotforge.train import guards
from cotforge.train.data.learnable import Learnable, text_of
from cotforge.train.data.leftout import leave_out
from cotforge.train.data.lessons import Lessons
from cotforge.train.fields import explain_fields, make_config
from cotforge.train.rollouts.own_pairs import own_pairs
from cotforge.train.stage_run import StageRun, drive_trainer, trainer_settings
from cotforge.train.students import loaded_student
from cotforge.train.students.reload import check_saved
from cotforge.train.trl_seam import Resuming

RATE = 1e-6
"""Learning rate where the file gives none: TRL's own for DPO."""
COLUMNS = ("prompt", "images", "chosen", "rejected")


def train(stage: Dpo, work: StageRun) -> None:
    """The student's weights after learning which of two texts is the better, in `work.weights`. Raises PipelineError without pairs."""
    pairs = own_pairs(stage, work) if stage.makes_rollouts else work.data()  # before the student takes its memory
    pupil = loaded_student.load_pupil(work.student, work.begin, seed=stage.seed, numbers=work.precision, attention=stage.attention)
    learnable = Learnable.of(pupil, meant=work.prompts.student.text + work.prompts.completion.text)
    learned = leave_out(work, pair_faults(pairs.rows(), learnable), "pairs")
    rows = pairs.dataset(COLUMNS)
    rows = rows if learned is None else rows.select(learned)
    longest = _longest_tokens(pairs, pupil)
    guards.check_length(longest, pupil.positions, where=f"stage {stage.name!r}")
    ours: dict[str, Any] = {"max_length": None} | ({} if stage.beta is None else {"beta": stage.beta})
    config = make_config(DPOConfig, stage, ours | trainer_settings(work, stage, rate=RATE))
    work.record.say(guards.frozen_line(pupil.model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL 1.16 asks transformers by a name that 5.23 calls old
        with explain_fields(stage):
            trainer = DpoTrainer(model=pupil.model, args=config, train_dataset=rows, processing_class=pupil.processor)
        drive_trainer(trainer, work, pupil)
    del trainer
    check_saved(pupil, work, pairs)


class DpoTrainer(Resuming, DPOTrainer):  # type: ignore[misc]
    """TRL's, which never cuts a text."""


def pair_faults(rows: Iterable[Mapping[str, Any]], learnable: Learnable) -> Iterator[tuple[str, str]]:
    """The id and the fault of each pair; empty where it has none. Raises PipelineError where the chat template would harm any text."""
    for row in rows:
        texts = (
            learnable.completion_fault(row["prompt"], text_of(row[name]), name=f"{name} text", pictures=len(row["images"]))
            for name in ("chosen", "rejected")
        )
        yield str(row["id"]), learnable.prompt_fault(row) or next(filter(None, texts), "")


def _longest_tokens(pairs: Lessons, pupil: loaded_student.Pupil) -> int:
    """Tokens of the longest prompt and text, without pictures: a bound from below that costs little."""
    words = pupil.processor.tokenizer
    letters = 0
    longest = ""
    for row in pairs.rows(["prompt", "chosen", "rejected"]):
        for end in (row["chosen"], row["rejected"]):
            text = row["prompt"][-1]["content"] + end[-1]["content"]
            if len(text) > letters:
                letters, longest = len(text), text
    return len(words(longest)["input_ids"])
