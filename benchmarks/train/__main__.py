"""Seconds of one epoch: ours, TRL with its default sampler, TRL with grouped lengths; all in one run, in turns, on one thread.

Lessons of 60 to 600 tokens, uniform, each with a JPEG of 448 pixels; a tiny LLaVA that sees 448 pixels in 14 x 14 patches of 32.
"""

import argparse
import io
import random
import resource
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import PrinterCallback
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer

from cotforge.export.columns import lessons, schema, table
from cotforge.plan import Student
from cotforge.train import student, tiny
from cotforge.train.lessons import find
from cotforge.train.prepared import prepare
from cotforge.train.sft import Trainer

BATCH = 16
SENTENCE = "the light falls on it from left and a dark edge runs down so what we see must be near to us"
WORDS = SENTENCE.split()


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--lessons", type=int, default=320)
    asked.add_argument("--times", type=int, default=3)
    asked.add_argument("--width", type=int, default=128)
    given = asked.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), given.lessons, given.times, given.width)


def _compare(folder: Path, count: int, times: int, width: int) -> None:
    size = tiny.Size(width=width, side=448, patch=32, vocabulary=600, context=1024)
    begin = tiny.llava(folder / "student", [SENTENCE] * 4, size)
    _write(folder / "dataset", count)
    found = find(folder / "dataset", cache=folder / "cache")
    rows = found.dataset(["images", "prompt", "completion"])
    start = time.perf_counter()
    pupil = student.load(Student(model=str(begin)), begin)
    prepared = prepare(found, pupil.processor, cache=folder / "made", cache_gb=20, kind=torch.float32, tell=lambda line: None)
    made = time.perf_counter() - start
    print(f"{count} lessons of {min(prepared.lengths)} to {max(prepared.lengths)} tokens, batch {BATCH}; median of {times}\n")
    seconds: dict[str, list[float]] = {"TRL": [], "TRL, grouped lengths": [], "cotforge": []}
    for _ in range(times):
        for name, taken in seconds.items():
            config = _config(folder, grouped=name == "TRL, grouped lengths", bare=name == "cotforge")
            again = student.load(Student(model=str(begin)), begin)
            if name == "cotforge":
                trainer: Any = Trainer(prepared, list(range(count)), again, config)
            else:
                dated = rows.add_column("length", prepared.lengths) if "grouped" in name else rows
                trainer = SFTTrainer(again.model, config, train_dataset=dated, processing_class=again.processor)
            trainer.remove_callback(PrinterCallback)
            begun = time.perf_counter()
            trainer.train()
            taken.append(time.perf_counter() - begun)
    plain = median(seconds["TRL"])
    print("|  | s an epoch | of TRL's |\n|---|---:|---:|")
    for name, taken in seconds.items():
        print(f"| {name} | {median(taken):.1f} | {median(taken) / plain:.2f} |")
    print(f"| making the lessons, once | {made:.1f} | {made / plain:.2f} |")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")


def _config(folder: Path, *, grouped: bool, bare: bool) -> Any:
    return SFTConfig(
        output_dir=str(folder / "out"), max_length=None, use_cpu=True, bf16=False, activation_checkpointing=False, report_to="none",
        per_device_train_batch_size=BATCH, num_train_epochs=1, logging_steps=1, save_strategy="no", disable_tqdm=True,
        remove_unused_columns=False, dataloader_pin_memory=False, dataset_kwargs={"skip_prepare_dataset": True} if bare else None,
        train_sampling_strategy="group_by_length" if grouped else "random",
    )  # fmt: skip


def _write(folder: Path, count: int) -> None:
    draw, columns = random.Random(0), lessons([])
    noise = np.random.default_rng(0)
    shape = schema(columns)
    (folder / "data").mkdir(parents=True)
    with pq.ParquetWriter(folder / "data" / "train-00000-a.parquet", shape) as writer:
        for number in range(count):
            tile = Image.fromarray(noise.integers(0, 255, (56, 56, 3), np.uint8)).resize((448, 448))
            file = io.BytesIO()
            tile.save(file, "JPEG", quality=90)
            said = " ".join(draw.choices(WORDS, k=draw.randint(60, 600)))
            images = ((file.getvalue(), f"{number}.jpg"),)
            fields = (f"row-{number}", images, "What is it?", said, "x", "x", False, 1.0, (), "one", "model", "solve", 5, f"call-{number}")
            writer.write_table(table([fields], columns, shape))


if __name__ == "__main__":
    main()
