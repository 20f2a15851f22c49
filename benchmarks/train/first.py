"""Seconds from the start of `cotforge train` to its first optimizer step, where the lessons are prepared already and nothing is evaluated.

    python -m benchmarks.train.first [--times 3]

The first run, which prepares the lessons, is not counted.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.forge.table import print_table
from benchmarks.train import ground

LESSONS = 64
STAGES: dict[str, dict[str, Any]] = {
    "sft": {"kind": "sft"},
    "grpo": {"kind": "grpo", "accumulate": 1, "max_completion": 64, "rewards": [{"measure": "finish_ok"}]},
}
IMPORTS = "import torch, transformers, trl, peft; from trl import SFTTrainer; from transformers import AutoModelForImageTextToText"
BARE = "the libraries' imports alone"
WANTED = 15


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--times", type=int, default=3)
    measure(asked.parse_args().times)


def measure(times: int, kinds: Sequence[str] = tuple(STAGES), *, warm: bool = True) -> None:
    """Each kind of stage; `warm` after a run that prepared all, and with the libraries' imports alone beside them."""
    print(f"{LESSONS} lessons, batch 16; median of {times}, {'after a run that is not counted' if warm else 'the first'}\n")
    taken: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ground.student(folder / "student", width=32)
        ground.write(folder / "run" / "dataset", LESSONS)
        for turn in range(0 if warm else 1, times + 1):
            for kind in kinds:
                file = ground.project(folder, {"name": kind, "steps": 1, **STAGES[kind]})
                spent = _first(file, folder / "run", kind)
                if turn:
                    taken.setdefault(kind, []).append(spent)
            if warm and turn:
                taken.setdefault(BARE, []).append(_imports())
    lines = []
    for name, each in taken.items():
        seconds, cpu = (median(figures) for figures in zip(*each, strict=True))
        lines.append((name, f"{seconds:.1f}", f"{cpu:.1f}", f"under {WANTED}" if name in STAGES else ""))
    print_table(("", "s", "CPU s", "wanted"), lines)


def _first(file: Path, run: Path, stage: str) -> tuple[float, float]:
    """Seconds, and those of CPU, until the row of the first step is written. Raises RuntimeError where there is none."""
    rows = run / "train" / f"01-{stage}" / "metrics.jsonl"
    rows.unlink(missing_ok=True)
    command = [sys.executable, "-c", "from cotforge.cli import main; main()", "train", str(file), "--out", str(run), "--from", stage]
    begun, taken = time.perf_counter(), None
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        watched = psutil.Process(child.pid)
        while child.poll() is None:
            if taken is None and rows.exists() and rows.read_text().endswith("\n"):
                taken = time.perf_counter() - begun, sum(watched.cpu_times()[:2])
            time.sleep(0.02)
        assert child.stderr is not None
        words = child.stderr.read()
    if taken is None:
        raise RuntimeError(f"{' '.join(command)}: exit {child.returncode}: {words[-2000:]}")
    return taken


def _imports() -> tuple[float, float]:
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
