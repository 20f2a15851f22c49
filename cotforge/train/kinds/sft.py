"""Stages of kind `sft`: TRL's trainer on lessons that are made once, never cut, and batched with others of their length."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from trl import SFTConfig, SFTTrainer

from cotforge.errors import PipelineError
from cotforge.gold.csv_cells import guard_cell
from cotforge.plan import Sft
from cotforge.train import ranks
from cotforge.train.curriculum.of_stage import of_lessons
from cotforge.train.curriculum.orders import FirstRow, InPasses
from cotforge.train.curriculum.samplers import InOrder, RowSampler
from cotforge.train.curriculum.saving import Saving
from cotforge.train.data.data_part import demand_part, part_rows
from cotforge.train.data.grouped import Grouped
from cotforge.train.data.learnable import Learnable
from cotforge.train.data.leftout import leave_out
from cotforge.train.data.lessons import Lessons
from cotforge.train.data.prepared import Prepared, collate_lessons, prepare_lessons, shared_heap, workers_here
from cotforge.train.data.short_form import with_short
from cotforge.train.data.shuffled import demand_reasoning, list_shuffled, with_shuffled_answers
from cotforge.train.fields import explain_fields, make_config
from cotforge.train.prior.gradient import GradientPrior
from cotforge.train.prior.make_prior import EACH_PASS, demand_chosen, of_stage
from cotforge.train.sharding import asked_for
from cotforge.train.stage_run import StageRun, TrainingRun, drive_trainer, trainer_settings
from cotforge.train.students import loaded_student
from cotforge.train.students.reload import check_saved
from cotforge.train.trl_seam import SftHooks
from cotforge.train.weights.models import demand_alike_models

RATE = 2e-5
"""Learning rate where the file gives none: that of the code of arXiv 2509.03321."""


def train(stage: Sft, work: StageRun) -> None:
    """The student's weights after learning the lessons' completions, in `work.weights`."""
    pupil = loaded_student.load_pupil(work.student, work.begin, seed=stage.seed, numbers=work.precision, attention=stage.attention)
    prior = of_stage(stage, work, pupil)
    lessons = own_lessons(stage, work)
    if absent := absent_from(lessons, work.task.options()):
        work.record.say(f"no lesson has the answer {', '.join(map(repr, absent))}; the student will hardly give it")
    prepared = prepare_lessons(
        lessons, pupil.processor, cache=work.cache / "prepared", cache_gb=work.plan.cache_gb, kind=pupil.precision.computed,
        tell=work.record.say,
        learnable=Learnable.of(pupil, meant=work.prompts.student.text + work.prompts.completion.text),
    )  # fmt: skip
    leave_out(work, ((str(row["id"]), fault) for row, fault in zip(lessons.rows(["id"]), prepared.faults(), strict=True)), "lessons")
    longest = stage.longest or pupil.positions
    short = fitting_lessons(prepared, longest)
    if len(short) < prepared.learned:
        ranks.from_first(lambda: _tell_of_long(stage, work, lessons, prepared, longest or 0))
    short = within_part(stage, work, lessons, short)
    config = config_of(stage, work, prepared)
    sampler = of_lessons(stage, work, config, lessons, [(row, prepared.lengths[row]) for row in short])
    with explain_fields(stage):
        trainer = SftTrainer(prepared, short, pupil, config, prior=prior, sampler=sampler)
    if prior is not None and asked_for(os.environ) == "DeepSpeed":
        prior.attach(pupil.model, passes=config.gradient_accumulation_steps)
        work.record.say(EACH_PASS)
    with shared_heap(config.dataloader_num_workers):
        drive_trainer(trainer, work, pupil)
    if prior is not None:
        work.record.say(f"prior: the tensors that were bent end {prior.distance(trainer.model):.4g} from the expert's")
    del trainer, prior
    check_saved(pupil, work, lessons)


def check(stage: Sft, training: TrainingRun) -> None:
    """See that its part holds rows, and that the models of a prior fit the student. Raises PipelineError."""
    demand_reasoning(stage, training.prompts)
    demand_part(stage, training.learned_by)
    demand_alike_models(stage, training)
    demand_chosen(stage, training)


def fitting_lessons(prepared: Prepared, longest: int | None) -> list[int]:
    """The lessons, by their row, that are not left out, of at most so many tokens."""
    return [row for row, length in enumerate(prepared.lengths) if length and (longest is None or length <= longest)]


def own_lessons(stage: Sft, work: StageRun) -> Lessons:
    """The stage's data as it learns them. Raises PipelineError where answers are to be exchanged and cannot be."""
    lessons = work.data()
    if stage.short_answers:
        twice = with_short(lessons, stage.short_answers, seed=stage.seed)
        work.record.say(f"{len(twice.again):,} of {len(lessons):,} lessons are learned in short form too")
        return twice
    if not stage.shuffle_answers:
        return lessons
    mixed = with_shuffled_answers(lessons, stage.shuffle_answers, seed=stage.seed)
    if not (line := ranks.from_first(lambda: list_shuffled(mixed, work.out))):
        raise PipelineError(
            f"stage {stage.name!r}: shuffle_answers: no completion can get the answer of another sample: none ends with its answer, or all "
            "have options of their own; leave shuffle_answers out"
        )
    work.record.say(line)
    return mixed


def within_part(stage: Sft, work: StageRun, lessons: Lessons, rows: list[int]) -> list[int]:
    """Of some rows of the data, those that are in the stage's part. Raises PipelineError where there are none."""
    if stage.part is None:
        return rows
    own = part_rows(lessons, stage.part)
    kept = [row for row in rows if row in own]
    if not kept:
        raise PipelineError(f"stage {stage.name!r}: none of the {len(own):,} lessons of {stage.part.words} can be learned; lower part.of")
    work.record.say(f"{stage.part.words}: {len(kept):,} of {len(rows):,} lessons")
    return kept


def absent_from(lessons: Lessons, options: Sequence[str]) -> list[str]:
    """The options that are the answer of no lesson."""
    left = dict.fromkeys(options)
    for row in lessons.rows(["answer"]) if left else ():
        left.pop(row["answer"], None)
        if not left:
            break
    return list(left)


@dataclass(frozen=True)
class Collate:
    """Rows to a batch; goes to the loader's workers."""

    prepared: Prepared
    pad: int

    def __call__(self, rows: list[dict[str, int]]) -> dict[str, Any]:
        return collate_lessons([self.prepared[row["row"]] for row in rows], self.pad)


class SftTrainer(SftHooks, SFTTrainer):  # type: ignore[misc]
    """TRL's, with lessons that are made already, and batches of about one length, or of the lessons that a curriculum chooses."""

    def __init__(
        self,
        prepared: Prepared,
        rows: list[int],
        pupil: loaded_student.Pupil,
        config: Any,
        *,
        prior: GradientPrior | None = None,
        sampler: RowSampler | None = None,
    ) -> None:
        self._prior = prior
        self._lengths = [prepared.lengths[row] for row in rows]
        self._rows, self._collate = rows, Collate(prepared, pupil.processor.tokenizer.pad_token_id)
        self._in_order = sampler.order if isinstance(sampler, InOrder) else None
        self._sampler = None if isinstance(sampler, InOrder) else sampler
        self.wants_losses = self._sampler is not None
        self._losses: list[float] = []
        super().__init__(
            model=pupil.model,
            args=config,
            train_dataset=datasets.Dataset.from_dict({"row": rows, "length": self._lengths}),
            data_collator=list if self._sampler else self._collate,
            processing_class=pupil.processor,
            callbacks=[Saving(self._sampler)] if self._sampler else None,
        )

    def after_backward(self) -> Mapping[str, float]:
        """Bends the gradient, where the stage has a prior."""
        if self._prior is None:
            return {}
        self._prior.bend(self.model)
        return self._prior.metrics(self.model, self.state.global_step)

    def trial(self) -> dict[str, Any] | None:
        """The shortest lesson and the next longer one."""
        length, shortest = min(zip(self._lengths, self._rows, strict=True))
        longer = min((one for one in zip(self._lengths, self._rows, strict=True) if one[0] > length), default=None)
        return self._collate([{"row": shortest}, {"row": longer[1]}]) if longer else None

    def order(self, rows_per_batch: int) -> Any:
        """Batches of about one length, unless `trl:` names another way of sampling."""
        if self._in_order is not None:
            return InPasses(self._in_order)
        if self._sampler is not None:
            return FirstRow(len(self._rows))
        if self.args.train_sampling_strategy != "random":
            return None
        accumulate = self.args.gradient_accumulation_steps  # a step has the same lessons however it is split into forward passes
        return Grouped(self._lengths, rows_per_batch * accumulate, self.args.seed)

    def chosen(self, batches: int, size: int) -> Iterator[dict[str, Any]] | None:
        """This process's batches of lessons that the curriculum chooses."""
        if self._sampler is None:
            return None
        processes, process = self.accelerator.num_processes, self.accelerator.process_index
        rows = [self._rows[place] for place in self._sampler.draw(batches * size * processes)]
        self._losses, self._wanted = [], len(rows)
        starts = range(process * size, len(rows), processes * size)
        return (self._collate([{"row": row} for row in rows[start : start + size]]) for start in starts)

    def after_losses(self, losses_B: torch.Tensor) -> None:
        """Once those of a step are there, from all processes, the curriculum is told of them."""
        if self._sampler is None:
            return
        self._losses += self.accelerator.gather(losses_B).tolist()
        if len(self._losses) == self._wanted:
            self._sampler.see(self._losses)
            for name, value in self._sampler.metrics().items():
                self.note(name, value)


def config_of(stage: Sft, work: StageRun, prepared: Prepared) -> Any:
    """TRL's configuration. Raises PipelineError where it does not take what stands under `trl:`."""
    # On a CPU, workers that read kept pictures would take the time of the cores that train.
    workers = 0 if prepared.keeps_pictures and not torch.cuda.is_available() else workers_here()
    if stage.curriculum is not None and stage.curriculum.how != "easy_first":
        workers = 0  # a step's lessons are chosen by the losses of the step before, so nothing can be prepared ahead
    ours = {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}, "dataloader_num_workers": workers}
    return make_config(SFTConfig, stage, ours | trainer_settings(work, stage, rate=RATE))


def _tell_of_long(stage: Sft, work: StageRun, lessons: Lessons, prepared: Prepared, longest: int) -> None:
    """List what is too long. Raises PipelineError where nothing else is left, or the file says so."""
    file = work.out / "too-long.csv"
    count = _list_lost(file, lessons, prepared, longest)
    whole = f"{count:,} of {prepared.learned:,} lessons have more than {longest:,} tokens, {max(prepared.lengths):,} at most"
    if stage.too_long == "fail" or count == prepared.learned:
        raise PipelineError(
            f"stage {stage.name!r}: {whole}; {file} lists them. Raise longest where the student can hold more, shorten them by a filter"
            + ("" if count == prepared.learned else ", or leave them out by too_long: drop")
        )
    work.record.say(f"{whole}; they are left out, and listed in {file}")


def _list_lost(file: Path, lessons: Lessons, prepared: Prepared, longest: int) -> int:
    count = 0
    with file.open("w", newline="", encoding="utf-8") as opened:
        write = csv.writer(opened)
        write.writerow(("id", "tokens"))
        for row, length in zip(lessons.rows(["id"]), prepared.lengths, strict=True):
            if length > longest:
                write.writerow((guard_cell(row["id"]), length))
                count += 1
    return count
