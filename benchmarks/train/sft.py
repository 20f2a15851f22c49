"""Seconds of one epoch of `sft`: ours, TRL with its default sampler, TRL with grouped lengths; in turns, in one process on one thread.

    python -m benchmarks.train.sft [--lessons 320] [--times 3] [--width 128]

Lessons of 60 to 600 tokens, uniform, each with a JPEG of 448 pixels, which a tiny LLaVA sees as 14 x 14 patches of 32. Ours has its
guards and its record; its lessons are made before, once for all epochs and stages, for the time that stands below.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from benchmarks.forge.table import print_table
from benchmarks.train import ground
from cotforge.plan import Sft, Student
from cotforge.train.data.prepared import Prepared, collate_lessons, prepare_lessons
from cotforge.train.kinds import sft
from cotforge.train.stage_run import StageRun, drive_trainer
from cotforge.train.students import loaded_student

BATCH = 16
STAGE = Sft(name="inject", kind="sft", batch=BATCH)
NAMES = ("TRL", "TRL, grouped lengths", "cotforge")
ALIKE = 2
"""Batches whose losses are compared."""


class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds, and those of CPU, from the first step's begin to the last one's end."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Loading and saving lie outside."""
        self._begun = _now()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The last one counts."""
        self.taken = _since(self._begun)


def main() -> None:
    """The tables, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--lessons", type=int, default=320)
    asked.add_argument("--times", type=int, default=3)
    asked.add_argument("--width", type=int, default=128, help="of the student's hidden states")
    given = asked.parse_args()
    measure(given.lessons, given.times, given.width)


def measure(count: int, times: int, width: int) -> None:
    """Epochs in turns, the order turned each time; then how far losses are apart, and what a frozen tower takes."""
    ground.quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin, dataset = ground.student(folder / "student", width=width), ground.write(folder / "dataset", count)
        work = ground.work(folder / "stage", begin, STAGE, dataset)
        pupil = loaded_student.load_pupil(Student(model=str(begin)), begin)
        lessons = work.data()
        lessons.dataset()  # TRL's trainer has its rows from there, too
        begun = _now()
        prepared = prepare_lessons(lessons, pupil.processor, cache=folder / "made", cache_gb=20, kind=torch.float32, tell=lambda line: None)
        made = _since(begun)
        said = [length - len(prepared[row][0]["prompt"]) for row, length in enumerate(prepared.lengths)]
        print(f"{count} lessons of {min(said)} to {max(said)} tokens after {len(prepared[0][0]['prompt'])} of picture and question, batch")
        print(f"{BATCH}, width {width}; median of {times}\n")
        taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in NAMES}
        for place in range(times * len(NAMES)):
            name = NAMES[(place + place // len(NAMES)) % len(NAMES)]
            taken[name].append(_epoch(name, work, prepared))
        middle = {name: tuple(median(figures) for figures in zip(*each, strict=True)) for name, each in taken.items()}
        middle["making the lessons, once for all epochs"] = made
        lines, (whole, all_cpu) = [], middle["TRL"]
        for name, (seconds, cpu) in middle.items():
            lines.append((name, f"{seconds:.1f}", f"{seconds / whole:.2f}", f"{cpu:.1f}", f"{cpu / all_cpu:.2f}"))
        print_table(("", "s an epoch", "of TRL's", "CPU s", "of TRL's"), lines)
        print(f"\nA lesson's loss is at most {_apart(work, prepared, pupil):.1e} from TRL's on the same batch (wanted: 1e-05).")
        tower, whole = _frozen(work, prepared)
        print(f"With `freeze: [vision]` the tower takes {tower:.3f} of the {whole:.3f} s of a step: {tower / whole:.2f}.")


def _now() -> tuple[float, float]:
    """Seconds passed, and those of CPU of this process and its ended children."""
    return time.perf_counter(), sum(os.times()[:4])


def _since(begun: tuple[float, float]) -> tuple[float, ...]:
    return tuple(now - before for now, before in zip(_now(), begun, strict=True))


def _epoch(name: str, work: StageRun, prepared: Prepared) -> tuple[float, ...]:
    """Seconds, and those of CPU, of one of the three, from the first weights."""
    pupil, clock = loaded_student.load_pupil(work.plan.student, work.begin), Clock()
    if name == "cotforge":
        trainer: Any = _ours(work, prepared, pupil)
        with work.record:
            drive_trainer(trainer, work, pupil, last=clock)
        return clock.taken
    trainer = _plain(work, pupil, prepared.lengths if "grouped" in name else None)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    trainer.train()
    return clock.taken


def _ours(work: StageRun, prepared: Prepared, pupil: loaded_student.Pupil) -> sft.SftTrainer:
    return sft.SftTrainer(prepared, list(range(len(prepared.lengths))), pupil, sft.config_of(STAGE, work, prepared))


def _plain(work: StageRun, pupil: loaded_student.Pupil, lengths: list[int] | None) -> Any:
    """TRL's trainer of the same lessons; with their lengths, in groups of about one."""
    rows = work.data().dataset(["images", "prompt", "completion"])
    config = SFTConfig(
        output_dir=str(work.out / "plain"), max_length=None, use_cpu=True, bf16=False, activation_checkpointing=False, report_to="none",
        per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=sft.RATE, logging_steps=1, save_strategy="no", seed=0,
        data_seed=0, disable_tqdm=True, remove_unused_columns=False, dataloader_pin_memory=False,
        train_sampling_strategy="group_by_length" if lengths else "random",
    )  # fmt: skip
    rows = rows.add_column("length", lengths) if lengths else rows
    return SFTTrainer(pupil.model, config, train_dataset=rows, processing_class=pupil.processor)


def _apart(work: StageRun, prepared: Prepared, pupil: loaded_student.Pupil) -> float:
    """The largest difference of a lesson's loss between our batch and TRL's own of the same lessons, batches of one and of sixteen."""
    plain, pad = _plain(work, pupil, None), pupil.processor.tokenizer.pad_token_id
    rows = list(range(min(len(prepared.lengths), ALIKE * BATCH)))
    batches = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)] + [[row] for row in rows]
    apart = 0.0
    for batch in batches:
        ours, theirs = (
            collate_lessons([prepared[row] for row in batch], pad),
            plain.data_collator([plain.train_dataset[row] for row in batch]),
        )
        with torch.no_grad():
            one, other = (plain.compute_loss(plain.model, dict(each)).item() for each in (ours, theirs))
        apart = max(apart, abs(one - other))
    return apart


def _frozen(work: StageRun, prepared: Prepared) -> tuple[float, float]:
    """Seconds that a frozen vision tower takes of a step, and of the whole step; medians over the batches of an epoch."""
    pupil = loaded_student.load_pupil(work.plan.student.model_copy(update={"freeze": ("vision",)}), work.begin)
    trainer = _ours(work, prepared, pupil)
    towers: list[float] = []
    tower = next(module for name, module in pupil.model.named_modules() if name.endswith("vision_tower"))
    tower.register_forward_pre_hook(lambda *_: towers.append(-time.perf_counter()))
    tower.register_forward_hook(lambda *_: towers.append(towers.pop() + time.perf_counter()))
    clock = Clock()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    trainer.train()
    return median(towers), clock.taken[0] / len(towers)


if __name__ == "__main__":
    main()
