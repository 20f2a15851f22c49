"""Tables of training: SFT, adapters, GRPO and its rollouts."""

import re
from collections.abc import Iterator
from typing import Any

from benchmarks.cells import FAULT, SAID, Figures
from benchmarks.gpu import models, trained
from benchmarks.gpu.bench import Bench, Line, Size, lacking


def sft(bench: Bench) -> Iterator[Line]:
    """Steps of SFT, cotforge's and TRL's."""
    size = bench.size
    stage = {"name": "sft", "kind": "sft", "batch": size.batch, "steps": size.steps, "learning_rate": trained.RATE}
    for name, dtype, who in _order(bench):
        cell = f"sft-{name}-{dtype}-{who}"
        if who == "TRL":
            given = {"dtype": dtype, "batch": size.batch, "steps": size.steps}
            found = bench.cells.run(cell, trained.plain_sft, bench.student(name), bench.dataset, bench.folder / "cells" / cell, **given)
        else:
            found = bench.train(cell, _student(bench, name, dtype), stage)
        yield size.shapes[name].title, dtype, who, *_taken(bench, name, found)


def qlora(bench: Bench) -> Iterator[Line]:
    """The weights below the adapters in four bits, and in bf16."""
    size, (*_, name) = bench.size, bench.size.shapes
    stage = {"name": "sft", "kind": "sft", "batch": size.batch, "steps": size.steps, "learning_rate": trained.RATE}
    for title, student in (("LoRA", {"lora": {}}), ("QLoRA", {"lora": {}, "qlora": True})):
        if "qlora" in student and (absent := lacking("bitsandbytes", gpu=bench.gpu)):
            yield size.shapes[name].title, title, "cotforge", absent, "", "", "", "", ""
            continue
        found = bench.train(f"adapters-{title}", {"model": str(bench.student(name)), **student}, stage)
        yield size.shapes[name].title, title, "cotforge", *_taken(bench, name, found, full=False)


def grpo(bench: Bench) -> Iterator[Line]:
    """Steps of GRPO with transformers' generation, cotforge's and TRL's."""
    size, steps = bench.size, min(bench.size.steps, 4)
    group = min(8, size.batch)
    stage = _grpo(size, steps=steps, group=group)
    for name, dtype, who in _order(bench):
        cell = f"grpo-{name}-{dtype}-{who}"
        if who == "TRL":
            given = {"dtype": dtype, "batch": size.batch, "group": group, "tokens": size.completion, "steps": steps}
            found = bench.cells.run(cell, trained.plain_grpo, bench.student(name), bench.dataset, bench.folder / "cells" / cell, **given)
        else:
            found = bench.train(cell, _student(bench, name, dtype), stage)
        yield size.shapes[name].title, dtype, who, *_taken(bench, name, found, full=False)


def rollouts(bench: Bench) -> Iterator[Line]:
    """The same student's steps of GRPO with many completions, by either engine in the same process."""
    size, name = bench.size, next(iter(bench.size.shapes))
    accumulate = max(1, size.rollout // size.batch)
    for engine in ("transformers", "vllm"):
        if engine == "vllm" and (absent := lacking("vllm", gpu=bench.gpu)):
            yield size.shapes[name].title, engine, absent, "", ""
            continue
        stage = _grpo(size, steps=min(size.steps, 3), group=min(8, size.batch)) | {"accumulate": accumulate, "rollouts": engine}
        found = bench.train(f"rollouts-{engine}", _student(bench, name, bench.size.dtypes[0]), stage)
        yield size.shapes[name].title, engine, *_taken(bench, name, found, full=False)[:2], _gb(found)


def _grpo(size: Size, *, steps: int, group: int) -> dict[str, Any]:
    return {
        "name": "reason", "kind": "grpo", "batch": size.batch, "accumulate": 1, "group": group, "steps": steps,
        "max_completion": size.completion, "learning_rate": trained.RATE, "rewards": [{"measure": "finish_ok"}],
        "rollouts": "transformers",
    }  # fmt: skip


def _order(bench: Bench) -> Iterator[tuple[str, str, str]]:
    """(student, dtype, trainer), what matters most first: later ones are left out where time ends."""
    names, dtypes = list(bench.size.shapes), bench.size.dtypes
    for dtype in dtypes:
        for name in names:
            yield name, dtype, "cotforge"
        yield names[0], dtype, "TRL"
    for dtype in dtypes:
        for name in names[1:]:
            yield name, dtype, "TRL"


def _student(bench: Bench, name: str, dtype: str) -> dict[str, Any]:
    """float32 is what cotforge takes by itself for weights that are trained."""
    return {"model": str(bench.student(name))} | ({"dtype": dtype} if dtype != "float32" else {})


def _taken(bench: Bench, name: str, found: Figures, *, full: bool = True) -> Line:
    """Seconds a step, tokens/s, TFLOP/s and the share of the card's rate, GB; the rate of training in full alone."""
    if FAULT in found:
        return found[FAULT], "", "", "", "", ""
    seconds, tokens = found["seconds"], found["tokens"]
    tflops = models.flops(bench.student(name), pictures=bench.size.batch, tokens=tokens) / seconds / 1e12 if full else 0.0
    share = f"{tflops / bench.tflops:.2f}" if full and bench.tflops else ""
    return f"{seconds:.3f}", f"{tokens / seconds:,.0f}", f"{tflops:.1f}" if full else "", share, _gb(found), _estimated(found)


def _gb(found: Figures) -> str:
    return f"{found['peak_gb']:.1f}" if found.get("peak_gb") else ""


def _estimated(found: Figures) -> str:
    """GB that cotforge told before it trained; TRL tells none."""
    said = re.search(r"estimate: memory ([0-9.,]+) (GB|MB)", found.get(SAID, ""))
    return "" if said is None else f"{float(said[1].replace(',', '')) / (1 if said[2] == 'GB' else 1e3):.1f}"
