"""What a stage was estimated to need beside what it needed: memory and disk, on students of random weights, each in a process of its own.

    python -m benchmarks.train.estimates [--smoke]

Memory is the most that the process held of its own less what it held after a stage of a tiny student; disk is the most that the stage's
folder held at once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.forge.table import print_table

STEPS = 5


@dataclass(frozen=True)
class Case:
    """A student and a stage."""

    title: str
    width: int
    stage: dict[str, Any]
    student: dict[str, Any]
    tokens: tuple[int, int] = (60, 600)


CASES = (
    Case("sft, 6 M weights, batch 16", 384, {"kind": "sft", "batch": 16}, {}),
    Case("sft, 24 M weights, batch 4", 768, {"kind": "sft", "batch": 4}, {}),
    Case("sft, 24 M weights, batch 4 x 2", 768, {"kind": "sft", "batch": 4, "accumulate": 2}, {}),
    Case("sft, 24 M weights, batch 16, checkpointing", 768, {"kind": "sft", "batch": 16, "trl": {"activation_checkpointing": True}}, {}),
    Case("sft, 24 M weights, vision frozen", 768, {"kind": "sft", "batch": 16}, {"freeze": ["vision"]}),
    Case("sft, 24 M weights, lora", 768, {"kind": "sft", "batch": 8}, {"lora": {"rank": 16}}),
    Case("sft, 24 M weights, bf16 autocast", 768, {"kind": "sft", "batch": 8, "trl": {"bf16": True}}, {}),
    Case("sft, 98 M weights, batch 2", 1536, {"kind": "sft", "batch": 2}, {}, (300, 400)),
    Case("grpo, 24 M weights, beta", 768, {"kind": "grpo", "batch": 8, "group": 4, "max_completion": 128, "beta": 0.01}, {}),
)


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--smoke", action="store_true", help="one small student")
    asked.add_argument("--one", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.one:
        print(json.dumps(one(Case(**json.loads(given.one)))))
    else:
        measure(CASES[:1] if given.smoke else CASES)


def measure(cases: tuple[Case, ...]) -> None:
    """A line for each case."""
    print("estimated and measured need of a stage, MB\n")
    lines = []
    for case in cases:
        words = [sys.executable, "-m", "benchmarks.train.estimates", "--one", json.dumps(vars(case))]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        cells = [f"{found[name] / 1e6:,.0f}" for name in ("memory", "peak", "disk", "held")]
        ratios = [f"{found[told] / found[real]:.2f}" for told, real in (("memory", "peak"), ("disk", "held"))]
        lines.append((case.title, *cells[:2], ratios[0], *cells[2:], ratios[1]))
    print_table(("", "memory", "measured", "ratio", "disk", "measured", "ratio"), lines)


def one(case: Case) -> dict[str, float]:
    """The estimate, and what a stage of STEPS steps came to."""
    from benchmarks.train import ground
    from cotforge.plan import Grpo, Plan, Sft
    from cotforge.train.data.extent import extent_of
    from cotforge.train.footprint import stage_footprint
    from cotforge.train.kinds import grpo, sft
    from cotforge.train.students import processors
    from cotforge.train.students.precision import choose_precision
    from cotforge.train.students.shape import shape_of

    ground.quiet()
    kind = case.stage["kind"]
    trl = {"save_steps": 1, **case.stage.get("trl", {})}
    keys = {"name": "measured", "steps": STEPS, **case.stage, "trl": trl}
    stage: Sft | Grpo = Sft(**keys) if kind == "sft" else Grpo(rewards=({"measure": "finish_ok"},), **keys)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = ground.student(folder / "student", width=case.width)
        job = ground.work(folder / "stage", begin, stage, ground.write(folder / "dataset", 64, tokens=case.tokens))
        plan = Plan.model_validate({"student": {"model": str(begin), **case.student}, "stages": [stage]})
        job = type(job)(**vars(job) | {"plan": plan})
        processor, shape = processors.load_processor(begin), shape_of(begin)
        assert shape is not None
        texts = ("completion",) if kind == "sft" else ()
        extent = extent_of(job.lessons(), processor, texts=texts, patch=shape.patch)
        assert extent is not None
        numbers = choose_precision(plan.student, stage.trl, gpu=False)
        checkpointing = bool(trl.get("activation_checkpointing"))
        told = stage_footprint(shape, plan.student, stage, extent, numbers, checkpointing=checkpointing, steps=STEPS)
        tiny = ground.student(folder / "tiny", width=16)  # what the first use of anything takes is no student's
        warm = ground.work(folder / "warm", tiny, Sft(name="warm", kind="sft", steps=1, batch=1), folder / "dataset")
        with warm.record:
            sft.train(warm.stage, warm)  # type: ignore[arg-type]
        before = _own()
        with _Watched(job.out) as watched, job.record:
            sft.train(stage, job) if isinstance(stage, Sft) else grpo.train(stage, job)
        return {"memory": told.memory, "peak": watched.memory - before, "disk": told.disk, "held": watched.disk}


def _own() -> float:
    """Bytes that the process holds of its own: pages of files that are mapped, which the system drops when it needs room, do not count."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024


class _Watched:
    """The most bytes that the process and a folder held."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._done = folder, threading.Event()
        self.memory = self.disk = 0.0

    def __enter__(self) -> "_Watched":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.memory = max(self.memory, _own())
            held = 0.0
            for file in self._folder.rglob("*"):
                try:
                    held += file.stat().st_size
                except OSError:  # gone meanwhile
                    continue
            self.disk = max(self.disk, held)


if __name__ == "__main__":
    main()
