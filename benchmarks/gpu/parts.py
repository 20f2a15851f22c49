"""The parts of the benchmark, in their order: each gives the lines of its table as they come."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.cells import FAULT
from benchmarks.gpu import card, models
from benchmarks.gpu.asking import evaluation, teachers
from benchmarks.gpu.bench import Bench, Line
from benchmarks.gpu.training import grpo, qlora, rollouts, sft
from benchmarks.train import ground


def rate(bench: Bench) -> Iterator[Line]:
    """The card and its measured rates."""
    found = bench.cells.run("rate", card.rate, bench.size.side)
    if FAULT in found:
        yield "rate", found[FAULT]
        return
    bench.tflops = found["tflops"]
    yield "card", found["name"] + (f", {found['gb']:.0f} GB" if found["gb"] else "")
    yield "torch", found["torch"]
    kind = "bf16" if bench.gpu else "float32"
    yield f"{kind} product of {bench.size.side:,} squared, TFLOP/s", f"{found['tflops']:.2f}"
    yield "copy within it, GB/s, read and written", f"{found['copy']:,.0f}"


def students(bench: Bench) -> Iterator[Line]:
    """Made on the card, with the lessons and pictures."""
    if not bench.dataset.exists():
        tokens = bench.size.tokens
        ground.write(bench.dataset, bench.size.lessons, tokens=(tokens, tokens))
        ground.write_pictures(bench.pictures, min(64, bench.size.pictures))
    for name, shape in bench.size.shapes.items():
        found = bench.cells.run(f"student-{name}", models.build, bench.student(name), shape)
        yield shape.title, found.get(FAULT) or f"{found['millions']:,.1f}"


@dataclass(frozen=True)
class Part:
    """One table."""

    title: str
    seconds: float
    """It may take, before its other lines are left out."""
    head: Line
    lines: Callable[[Bench], Iterator[Line]]


_TRAINED = ("", "weights", "trainer", "s a step", "tokens/s", "TFLOP/s", "of the card's", "peak GB", "estimated GB")
PARTS = {
    "rate": Part("The card", 15, ("", ""), rate),
    "students": Part("Students of random weights, made here; millions of weights", 40, ("", "millions"), students),
    "sft": Part("SFT", 150, _TRAINED, sft),
    "grpo": Part("GRPO, completions by transformers", 90, _TRAINED, grpo),
    "qlora": Part("Adapters", 35, _TRAINED, qlora),
    "rollouts": Part("GRPO with larger rollouts", 45, ("", "rollouts by", "s a step", "tokens/s", "peak GB"), rollouts),
    "eval": Part("Evaluation", 45, ("", "engine", "samples/s", "s", "s with start"), evaluation),
    "teachers": Part("Local teachers, in turns", 50, ("", "", "images/s", "s to be ready", "s to be gone", "lost"), teachers),
}
"""In their order; the first two are what the others stand on, and are done for each of them."""
