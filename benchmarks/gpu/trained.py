"""Steps of `cotforge train` in a run folder, and of plain TRL on the same student, lessons and batch: each in a process of its own."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from benchmarks.cells import Figures
from benchmarks.train import ground
from cotforge.cli import main
from cotforge.train.data.lessons import find_lessons
from cotforge.train.students import processors

LOOK_S = 0.002
"""Seconds between two looks at the file of metrics."""
COUNTED_FROM = 2
"""Of the steps, the first whose seconds count: before it kernels are chosen and memory is taken."""
RATE = 1e-5


class Steps:
    """When each step was over, how many tokens there had been, and the most memory that was taken by then."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._tokens: list[float] = []
        self._peak = 0

    def over(self, tokens: float) -> None:
        """A step's metrics are there, and so its work on the GPU is done."""
        self._times.append(time.perf_counter())
        self._tokens.append(tokens)
        self._peak = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0

    def figures(self) -> Figures:
        """Median seconds and tokens of a step; GB at most."""
        first = min(COUNTED_FROM, len(self._times) - 1)
        if first < 1:
            raise RuntimeError(f"{len(self._times)} steps were taken; at least two are needed")
        pairs = [(later - sooner) for sooner, later in zip(self._times[first - 1 :], self._times[first:], strict=False)]
        tokens = [later - sooner for sooner, later in zip(self._tokens[first - 1 :], self._tokens[first:], strict=False)]
        return {"seconds": median(pairs), "tokens": median(tokens), "peak_gb": self._peak / 1e9}


class Clock(TrainerCallback):  # type: ignore[misc]
    """Tells Steps of the steps of a trainer of TRL's."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        """A row, or the summary at the end."""
        if "train_runtime" not in logs:
            self._steps.over(float(logs.get("num_tokens", 0)))


def cotforge(file: Path, run: Path, stage: str) -> Figures:
    """The steps of a stage of a pipeline, from nothing to the saved and checked student; `whole` is all of that in seconds."""
    steps, begun = Steps(), time.perf_counter()
    with _watched(run / "train" / f"01-{stage}" / "metrics.jsonl", steps):
        try:
            main(["train", str(file), "--out", str(run)])
        except SystemExit as end:
            if end.code:
                raise
    return steps.figures() | {"whole": time.perf_counter() - begun}


@contextmanager
def _watched(rows: Path, steps: Steps) -> Iterator[None]:
    """Tells of each row of metrics as it is written."""
    ended = threading.Event()

    def look() -> None:
        read = 0
        while not ended.wait(LOOK_S):
            if rows.exists() and rows.stat().st_size > read:
                with rows.open("rb") as opened:
                    opened.seek(read)
                    for line in opened:
                        if line.endswith(b"\n"):
                            read += len(line)
                            steps.over(_tokens(line))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _tokens(line: bytes) -> float:
    return float(json.loads(line).get("num_tokens", 0))


def plain_sft(student: Path, dataset: Path, out: Path, *, dtype: str, batch: int, steps: int) -> Figures:
    """TRL's own trainer, its weights in `dtype`, bf16 autocast beside float32 ones as TRL has it."""
    model, processor, counted = _loaded(student, dtype), processors.load_processor(student), Steps()
    config = SFTConfig(max_length=None, **_alike(out, batch=batch, steps=steps))
    rows = find_lessons(dataset, cache=out / "cache").dataset(["images", "prompt", "completion"])
    _train(SFTTrainer(model, config, train_dataset=rows, processing_class=processor), counted)
    return counted.figures()


def plain_grpo(student: Path, dataset: Path, out: Path, *, dtype: str, batch: int, group: int, tokens: int, steps: int) -> Figures:
    """TRL's own trainer with transformers' generation; completions that end are rewarded."""
    model, processor, counted = _loaded(student, dtype), processors.load_processor(student), Steps()
    words = processor.tokenizer
    end = words.convert_tokens_to_ids(ground.END)
    muted = sorted({*words.all_special_ids} - {end, words.pad_token_id})
    config = GRPOConfig(
        num_generations=group, max_completion_length=tokens, beta=0.0, generation_kwargs={"suppress_tokens": muted},
        **_alike(out, batch=batch, steps=steps),
    )  # fmt: skip

    def ended(completion_ids: Any, **_: Any) -> list[float]:
        return [float(end in ids) for ids in completion_ids]

    rows = find_lessons(dataset, cache=out / "cache").dataset(["images", "prompt"])
    _train(GRPOTrainer(model, [ended], args=config, train_dataset=rows, processing_class=processor), counted)
    return counted.figures()


def _loaded(student: Path, dtype: str) -> Any:
    return AutoModelForImageTextToText.from_pretrained(student, dtype=getattr(torch, dtype))


def _alike(out: Path, *, batch: int, steps: int) -> dict[str, Any]:
    """Fields of TRL's configuration that cotforge sets, too."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out), "per_device_train_batch_size": batch, "max_steps": steps, "learning_rate": RATE, "logging_steps": 1,
        "save_strategy": "no", "report_to": "none", "seed": 0, "data_seed": 0, "disable_tqdm": True, "remove_unused_columns": False,
        "use_cpu": not gpu, "bf16": gpu, "activation_checkpointing": gpu, "dataloader_pin_memory": gpu,
    }  # fmt: skip


def _train(trainer: Any, counted: Steps) -> None:
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock(counted))
    trainer.train()
