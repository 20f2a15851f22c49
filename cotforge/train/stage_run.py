"""What a stage is given, and what all stages that train have in common: settings, checkpoints, signals, and the weights they leave."""

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from cotforge.answers import Task
from cotforge.atomic import replace_folder
from cotforge.errors import PipelineError
from cotforge.plan import SMOKE_STEPS, EntropyBand, Eval, Plan, Stage, Student, TrlStage
from cotforge.prompts import Family
from cotforge.train import ranks, sharding
from cotforge.train.data.lessons import Lessons
from cotforge.train.evaluation.best import Best
from cotforge.train.evaluation.trials import Trials
from cotforge.train.explained_errors import BatchWatch, explain_fsdp, explain_memory, explain_pictures
from cotforge.train.fields import explain_fields, rate_of, to_fit
from cotforge.train.guards import Guarding, MetricGuards
from cotforge.train.moved import Moved
from cotforge.train.report.record import MetricsLog
from cotforge.train.students.loaded_student import Pupil, model_folder, weights_fingerprint
from cotforge.train.students.precision import Precision, choose_precision
from cotforge.train.students.student_folder import STUDENT
from cotforge.train.trl_seam import is_sharded, load_weights

SAVED = 100
"""Optimizer steps between checkpoints (ours)."""
KEPT = 2
"""Checkpoints: while one is written, the one before is whole."""
NEW_NAMES = {f"gradient_checkpointing{end}": f"activation_checkpointing{end}" for end in ("", "_kwargs")}
"""Fields that transformers still takes by their old names, with a warning."""
WHOLE = "whole.json"
"""Written into a checkpoint last; says what is in it."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What all stages of a run are given."""

    plan: Plan
    begin: Path
    """The folder of the student's first weights."""
    out: Path
    """`train` of the run folder."""
    lessons: Callable[[], Lessons]
    """The dataset's. Raises PipelineError where there are none."""
    source: Callable[[], Lessons]
    """The raw source, written down at the first call."""
    task: Task
    prompts: Family
    held_out: Eval | None
    cache: Path
    root: Path = Path()
    """Of the pipeline file: a user's own rewards are named from there."""
    trials: Trials | None = None
    """On what is held out; None tries nothing."""
    tell: Callable[[str], object] = bool
    page: Callable[[], object] = bool
    """Brings up to date what shows how the run goes."""
    apart: Callable[[Lessons], object] = bool
    """Raises PipelineError where lessons or pairs are made of what is held out."""
    pass_rates: Callable[[], Mapping[str, float]] = dict
    """Shares of right answers by a sample's id, as `difficulty.parquet` of the run folder has them; empty where it is not there."""
    card: Callable[[], str] = str
    """The text of the student's card, once all stages are done."""

    def learned_by(self, stage: Stage) -> Lessons | None:
        """The data that a stage reads; None where it reads none."""
        if stage.learns_from is None:
            return None
        if stage.learns_from == "source":
            return self.source()
        return self.lessons().pairs() if stage.learns_from == "pairs" else self.lessons()

    def fingerprint(self, model: str, *, key: str = STUDENT) -> str:
        """A hash of the weights of a model, named by that key of the file: a folder or Hub id. Raises PipelineError where it is none."""
        return weights_fingerprint(model_folder(model, self.root, key=key))


@dataclass(frozen=True, kw_only=True)
class StageRun(TrainingRun):
    """What one stage is given: the run's own, and what is the stage's."""

    stage: Stage
    begin: Path
    """The folder of the weights it starts from."""
    out: Path
    """The stage's own folder; `weights` in it is what it leaves."""
    smoke: bool
    """Two steps are enough."""
    resume_from: Path | None
    """The newest whole checkpoint of an interrupted run of this stage."""
    record: MetricsLog
    models: Mapping[str, Path] = field(default_factory=dict)
    """Folders of weights that it reads beside, by the key that names each: those of stages, and of the student before any stage."""

    def folders(self) -> dict[str, Path]:
        """Of all models that it reads beside the weights it starts from, by the key that names each. Raises PipelineError."""
        return {
            key: self.models[key] if key in self.models else model_folder(model, self.root, key=f"stage {self.stage.name!r}: {key}")
            for key, model in self.stage.reads().items()
        }

    @property
    def weights(self) -> Path:
        """Where the stage leaves its student; it appears by rename, whole."""
        return self.out / "weights"

    @property
    def run(self) -> str:
        """The name of the run's folder."""
        return next((folder.name for folder in self.out.parents if folder.name not in ("train", "smoke")), "") or "cotforge"

    @property
    def student(self) -> Student:
        """The plan's, with the parts frozen that are so in this stage."""
        return self.stage.student_of(self.plan.student) if isinstance(self.stage, TrlStage) else self.plan.student

    @property
    def precision(self) -> Precision:
        """In which numbers the stage trains its student on this machine."""
        return choose_precision(self.student, self.stage.trl_fields, gpu=torch.cuda.is_available())

    def data(self) -> Lessons:
        """What the stage learns from. Raises PipelineError where there is nothing of it."""
        found = self.learned_by(self.stage)
        assert found is not None, f"a stage of kind {self.stage.kind!r} reads no data"
        return found


def trainer_settings(work: StageRun, stage: TrlStage, *, rate: float) -> dict[str, Any]:
    """Fields of the trainer's configuration that all kinds share; `rate` is the learning rate where the file gives none."""
    gpu = torch.cuda.is_available()
    adapted = work.plan.student.lora is not None
    length: dict[str, Any] = {"max_steps": stage.steps} if stage.steps else {"num_train_epochs": stage.epochs or 1.0}
    if work.smoke:
        length = {"max_steps": SMOKE_STEPS}
    return {
        "output_dir": str(work.out / "checkpoints"),
        **length,
        "per_device_train_batch_size": stage.batch,
        "gradient_accumulation_steps": stage.accumulate,
        "learning_rate": stage.learning_rate if isinstance(stage.learning_rate, float) else rate * (10 if adapted else 1),
        "seed": stage.seed,
        "data_seed": stage.seed,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": SAVED,
        "save_total_limit": KEPT,
        "remove_unused_columns": False,
        "report_to": list(work.plan.report_to) or "none",
        "run_name": f"{work.run}/{work.out.name}",
        "project": work.run,
        "disable_tqdm": True,
        "use_cpu": not gpu,
        "bf16": work.precision.autocast is torch.bfloat16,
        "fp16": False,
        "activation_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
        **{NEW_NAMES.get(name, name): value for name, value in stage.trl.items()},
    }


class Recording(TrainerCallback):  # type: ignore[misc]
    """Tells a Record what a trainer logs, marks checkpoints that are whole, and has a trainer save and end when told to."""

    def __init__(self, record: MetricsLog) -> None:
        self.record = record
        self.told_to_end = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The step to resume from is known."""
        state.compute_steps(args, state.max_steps)  # a checkpoint brings the save_steps and logging_steps that it was made with
        self.record.begin(step=state.global_step, total=state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """A row, unless it is the summary at the end."""
        if "train_runtime" not in logs:
            self.record.row(state.global_step, dict(logs))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is there, that of every process."""
        ranks.any_process(False)
        if ranks.is_first():
            mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}")
            shutil.rmtree(replaced_folder(Path(args.output_dir).parent), ignore_errors=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A whole optimizer step is done."""
        self.told_to_end = ranks.any_process(self.told_to_end)
        if self.told_to_end:
            control.should_save = control.should_training_stop = True


class GatheringHead(TrainerCallback):  # type: ignore[misc]
    """Has the head of a split student gathered for each forward pass."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """The student is split."""
        sharding.gather_head(model)


def drive_trainer(trainer: Any, work: StageRun, pupil: Pupil, watch: MetricGuards | None = None, *, last: Any = None) -> None:
    """Train from where the stage stands to its end, and leave the student's weights; `last` is a callback after all others.

    SIGTERM and SIGINT end the step, save and raise KeyboardInterrupt.
    """
    assert isinstance(work.stage, TrlStage)
    recording = Recording(work.record)
    pupil.is_sharded = is_sharded(trainer)
    _have_whole_adapters(pupil)
    trainer.remove_callback(PrinterCallback)
    check_resumed(work, sharded=is_sharded(trainer))
    best = _choose_best(trainer, work, pupil)
    gathering = None
    if is_sharded(trainer):
        sharding.split_by_layers(trainer.accelerator.state.fsdp_plugin, pupil.model)
        gathering = GatheringHead()
    guarding = Guarding(watch or MetricGuards(work.record.say))
    for callback in (best, gathering, recording, guarding, Moved(work.record.say), last):
        if callback is not None:
            trainer.add_callback(callback)
    trainer.rate_of = rate_of(work.stage, trainer.args.learning_rate)
    batches = BatchWatch(pupil.model)
    short = explain_memory(
        work.stage.name, to_fit(work.stage, work.plan.student), lambda: f"at step {trainer.state.global_step + 1:,} {batches}"
    )
    with _handle_signals(recording), short:
        over = _steps_of(work.resume_from) if work.resume_from else 0
        if over:
            work.record.begin(step=over, total=over)
            load_weights(trainer, str(work.resume_from))
        else:
            with explain_pictures(work.stage.name), explain_fsdp(pupil.model), explain_fields(work.stage, trainer):
                trainer.train(resume_from_checkpoint=str(work.resume_from) if work.resume_from else None)
        if recording.told_to_end and trainer.state.global_step < trainer.state.max_steps:
            raise KeyboardInterrupt
        check_trained(over or trainer.state.global_step, work)
        if best is not None:
            best.take(trainer)
        whole = trainer.accelerator.get_state_dict(trainer.model_wrapped) if is_sharded(trainer) else None
        ranks.from_first(lambda: leave_weights(pupil, work, whole))
    batches.remove()


def _have_whole_adapters(pupil: Pupil) -> None:
    """Adapters in float32 again: over four bits TRL casts them to bfloat16, in which small steps are lost (huggingface/trl#7268)."""
    if pupil.spec.qlora and pupil.precision.trained == torch.float32:
        for weight in pupil.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()


def _choose_best(trainer: Any, work: StageRun, pupil: Pupil) -> Best | None:
    """Who chooses among the checkpoints, where `eval.best` says by what."""
    metric = work.held_out.best_metric if work.held_out is not None else None
    if work.held_out is None or metric is None or work.trials is None or work.smoke:
        return None
    if is_sharded(trainer):
        raise PipelineError("eval.best: a student that is spread over processes (FSDP) is tried after a stage only; leave best out")
    band = work.held_out.best if isinstance(work.held_out.best, EntropyBand) else None
    return Best(work.trials, metric, pupil, work.out, work.record, band)


def _steps_of(checkpoint: Path) -> int:
    """How many steps a stage had whose last checkpoint this is, else nought: resumed there, a trainer would do one step too many."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return int(state["global_step"]) if state["global_step"] >= state["max_steps"] else 0


def check_trained(step: int, work: StageRun) -> None:
    """Raises PipelineError where not one step was done: transformers ends without a word where a step takes more rows than there are."""
    if not step:
        fewer = f", or use fewer GPUs than {ranks.process_count()}" if ranks.process_count() > 1 else ""
        raise PipelineError(
            f"stage {work.stage.name!r}: not one step could be done, because a step takes more rows than there are; "
            f"lower batch or accumulate{fewer}"
        )


def check_resumed(work: StageRun, *, sharded: bool) -> None:
    """Raises PipelineError where a checkpoint is of whole students and this run of split ones, or the other way round."""
    if work.resume_from is not None and any(work.resume_from.glob("pytorch_model_fsdp*")) != sharded:
        raise PipelineError(
            f"{work.resume_from}: was saved {'whole' if sharded else 'by processes that held a part of the student each'}, and cannot be "
            f"resumed {'by such as hold a part each' if sharded else 'otherwise'}; use the GPUs of then, or --from {work.stage.name}"
        )


def leave_weights(pupil: Pupil, work: StageRun, whole: dict[str, Any] | None = None) -> None:
    """Put the student's weights in place by rename; they are `whole` where the processes hold parts of them."""
    if work.plan.student.lora is not None:
        with replace_folder(work.out / "adapter") as folder:
            pupil.save_adapters(folder, whole)
    with replace_folder(work.weights) as folder:
        pupil.save(folder, whole)


def mark_whole(checkpoint: Path) -> None:
    """Say that a checkpoint is whole."""
    files = [file for file in sorted(checkpoint.rglob("*")) if file.is_file() and file.name != WHOLE]
    sizes = {str(file.relative_to(checkpoint)): file.stat().st_size for file in files}
    (checkpoint / WHOLE).write_text(json.dumps(sizes), encoding="utf-8")


def replaced_folder(folder: Path) -> Path:
    """Where a stage's folder stands that is to be replaced, until the new one has a checkpoint."""
    return folder.with_name(f".{folder.name}.old")


def newest_whole(checkpoints: Path) -> Path | None:
    """The newest checkpoint that is whole; those cut short are removed."""
    found = sorted(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    whole = [checkpoint for checkpoint in found if _is_whole(checkpoint)]
    for checkpoint in set(found) - set(whole):
        shutil.rmtree(checkpoint)
    return whole[0] if whole else None


def _is_whole(checkpoint: Path) -> bool:
    try:
        sizes: dict[str, int] = json.loads((checkpoint / WHOLE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all((file := checkpoint / name).is_file() and file.stat().st_size == size for name, size in sizes.items())


@contextmanager
def _handle_signals(recording: Recording) -> Iterator[None]:
    """SIGTERM and SIGINT tell the trainer to end; the second SIGINT interrupts at once."""

    def end(number: int, frame: Any) -> None:
        if recording.told_to_end and number == signal.SIGINT:
            raise KeyboardInterrupt
        recording.told_to_end = True
        recording.record.say("finishing this step and saving; once more drops it")

    ours = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, end) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
