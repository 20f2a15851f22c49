"""What is measured, part by part: each gives the lines of its table as they come."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.cells import FAULT, Cells, Figures
from benchmarks.gpu import asked, card, models, trained
from benchmarks.train import ground
from cotforge.plan import Eval, Grpo

Line = tuple[str, ...]

LITTLE_GB = 12.0
"""Of the card's memory, that is left to a teacher whose batch does not fit."""
NOT_INSTALLED, NO_GPU = "not installed", "needs a GPU"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    shapes: Mapping[str, models.Shape]
    dtypes: tuple[str, ...]
    """Of weights that are trained in full."""
    side: int
    """Of the matrices whose product is timed."""
    lessons: int
    tokens: int
    """Of a lesson's text."""
    batch: int
    steps: int
    completion: int
    """Tokens of a completion."""
    rollout: int
    """Completions of a rollout that is timed for itself."""
    held_out: int
    answer: int
    """Tokens of an answer."""
    together: int
    """Answers at a time."""
    pictures: int
    """That a teacher is asked about."""


WHOLE = Size(
    shapes={"1b": models.ONE, "3b": models.THREE}, dtypes=("float32", "bfloat16"), side=8192, lessons=96, tokens=512, batch=16, steps=6,
    completion=128, rollout=64, held_out=2_000, answer=32, together=128, pictures=512,
)  # fmt: skip
SMOKE = Size(
    shapes={"tiny": models.TINY}, dtypes=("float32",), side=256, lessons=8, tokens=24, batch=2, steps=2, completion=4, rollout=4,
    held_out=4, answer=4, together=4, pictures=4,
)  # fmt: skip


@dataclass
class Bench:
    """What the parts share."""

    size: Size
    folder: Path
    cells: Cells
    gpu: bool = False
    tflops: float = 0.0
    """Of the card's matrix unit, measured; 0 where that was left out."""
    kept: dict[str, Figures] = field(default_factory=dict)
    """Figures that a later part shows again."""

    def student(self, name: str) -> Path:
        return self.folder / "students" / name

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    def project(self, cell: str, student: Mapping[str, Any], *stages: dict[str, Any], **sections: Any) -> tuple[Path, Path]:
        """The pipeline file of a cell, and its run folder."""
        place = self.folder / "cells" / cell
        place.mkdir(parents=True, exist_ok=True)
        file = ground.project(place, *stages, student=dict(student), data=str(self.dataset), sections=sections)
        return file, place / "run"


# what all others need


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


# training


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
            file, run = bench.project(cell, _student(bench, name, dtype), stage)
            found = bench.cells.run(cell, trained.cotforge, file, run, "sft", {})
        bench.kept[cell] = found
        yield size.shapes[name].title, dtype, who, *_taken(bench, name, found)


def qlora(bench: Bench) -> Iterator[Line]:
    """The weights below the adapters in four bits, and in bf16."""
    size, (*_, name) = bench.size, bench.size.shapes
    stage = {"name": "sft", "kind": "sft", "batch": size.batch, "steps": size.steps, "learning_rate": trained.RATE}
    for title, student in (("LoRA", {"lora": {}}), ("QLoRA", {"lora": {}, "qlora": True})):
        if "qlora" in student and (lacking := _lacking("bitsandbytes", gpu=bench.gpu)):
            yield size.shapes[name].title, title, "cotforge", lacking, "", "", "", "", ""
            continue
        file, run = bench.project(f"adapters-{title}", {"model": str(bench.student(name)), **student}, stage)
        found = bench.cells.run(f"adapters-{title}", trained.cotforge, file, run, "sft", {})
        bench.kept[f"adapters-{title}"] = found
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
            file, run = bench.project(cell, _student(bench, name, dtype), stage)
            found = bench.cells.run(cell, trained.cotforge, file, run, "reason", {})
        bench.kept[cell] = found
        yield size.shapes[name].title, dtype, who, *_taken(bench, name, found, full=False)


def rollouts(bench: Bench) -> Iterator[Line]:
    """The same student's steps of GRPO with many completions, by either engine in the same process."""
    size, name = bench.size, next(iter(bench.size.shapes))
    accumulate = max(1, size.rollout // size.batch)
    for engine in ("transformers", "vllm"):
        if engine == "vllm" and (lacking := _lacking("vllm", gpu=bench.gpu)):
            yield size.shapes[name].title, engine, lacking, "", ""
            continue
        stage = _grpo(size, steps=min(size.steps, 3), group=min(8, size.batch)) | {"accumulate": accumulate} | _engine(engine)
        file, run = bench.project(f"rollouts-{engine}", _student(bench, name, bench.size.dtypes[0]), stage)
        found = bench.cells.run(f"rollouts-{engine}", trained.cotforge, file, run, "reason", {})
        yield size.shapes[name].title, engine, *_taken(bench, name, found, full=False)[:2], _gb(found)


def _grpo(size: Size, *, steps: int, group: int) -> dict[str, Any]:
    once = {"resample": 0} if "resample" in Grpo.model_fields else {}
    once |= _engine("transformers")
    return {
        "name": "reason", "kind": "grpo", "batch": size.batch, "accumulate": 1, "group": group, "steps": steps,
        "max_completion": size.completion, "learning_rate": trained.RATE, "rewards": [{"measure": "finish_ok"}], **once,
    }  # fmt: skip


def _engine(name: str) -> dict[str, Any]:
    if "rollouts" in Grpo.model_fields:
        return {"rollouts": name}
    colocated = {"use_vllm": True, "vllm_mode": "colocate", "vllm_max_model_length": models.CONTEXT, "vllm_enable_sleep_mode": True}
    return {"trl": colocated} if name == "vllm" else {}


# asking


def evaluation(bench: Bench) -> Iterator[Line]:
    """Held-out samples answered by a student."""
    size, name = bench.size, next(iter(bench.size.shapes))
    for engine in ("transformers", "vllm"):
        if engine == "vllm" and (lacking := _lacking("vllm", gpu=bench.gpu)):
            yield size.shapes[name].title, engine, lacking, "", ""
            continue
        if engine == "vllm" and "engine" not in Eval.model_fields:
            yield size.shapes[name].title, engine, "not in this version", "", ""
            continue
        held = {"split": "test"} | ({"engine": engine} if "engine" in Eval.model_fields else {})
        table = bench.folder / "rows.jsonl"
        ground.write_table(table, bench.pictures, size.held_out)
        sections = {"eval": held, "source": {"kind": "table", "path": str(table)}}
        file, run = bench.project(f"eval-{engine}", _student(bench, name, "float32"), {"name": "sft", "kind": "sft"}, **sections)
        found = bench.cells.run(
            f"eval-{engine}", asked.evaluated, file, run, bench.student(name), sets=(), tokens=size.answer, batch=size.together
        )
        told = found.get(FAULT) or f"{found['count'] / found['seconds']:.1f}"
        yield (
            size.shapes[name].title,
            engine,
            told,
            *([f"{found['seconds']:.1f}", f"{found['whole']:.1f}"] if FAULT not in found else ["", ""]),
        )


def teachers(bench: Bench) -> Iterator[Line]:
    """Local teachers: alone, in turns on one card, and with a batch that does not fit."""
    size = bench.size
    places = {name: bench.student(name) for name in size.shapes}
    for kind in ("transformers", "vllm"):
        if kind == "vllm" and (lacking := _lacking("vllm", gpu=bench.gpu)):
            yield kind, "", lacking, "", "", ""
            continue
        given = {"asked": size.pictures, "tokens": size.answer, "concurrency": size.together}
        found = bench.cells.run(f"teachers-{kind}", asked.taught, kind, list(places.values()), bench.pictures, **given, spare_gb=0.0)
        yield from _turns(kind, [size.shapes[name].title for name in places], found)
    if not bench.gpu:
        yield "transformers, little memory", "", NO_GPU, "", "", ""
        return
    name, many = next(iter(places)), size.pictures // 2
    given = {"asked": many, "tokens": size.answer, "concurrency": many}
    found = bench.cells.run("teachers-little", asked.taught, "transformers", [places[name]], bench.pictures, **given, spare_gb=LITTLE_GB)
    yield from _turns(f"transformers, {LITTLE_GB:g} GB left", [size.shapes[name].title], found)


def _turns(kind: str, titles: Sequence[str], found: Figures) -> Iterator[Line]:
    if FAULT in found:
        yield kind, "", found[FAULT], "", "", ""
        return
    for title, turn in zip(titles, found["turns"], strict=True):
        lost = f"{turn['lost']} of {turn['asked']}" + (f": {turn['why']}" if turn["lost"] else "")
        yield kind, title, f"{turn['asked'] / turn['asking']:.1f}", f"{turn['ready']:.1f}", f"{turn['gone']:.1f}", lost


# lines


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
    said = re.search(r"estimate: memory ([0-9.,]+) (GB|MB)", found.get("said", ""))
    return "" if said is None else f"{float(said[1].replace(',', '')) / (1 if said[2] == 'GB' else 1e3):.1f}"


def _lacking(library: str, *, gpu: bool) -> str:
    """Why a row has no figures; empty where it can have some."""
    if find_spec(library) is None:
        return NOT_INSTALLED
    return "" if gpu else NO_GPU


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
    "rate": Part("The card", 30, ("", ""), rate),
    "students": Part("Students of random weights, made here; millions of weights", 45, ("", "millions"), students),
    "sft": Part("SFT", 130, _TRAINED, sft),
    "grpo": Part("GRPO, completions by transformers", 100, _TRAINED, grpo),
    "qlora": Part("Adapters", 45, _TRAINED, qlora),
    "rollouts": Part("GRPO with larger rollouts", 60, ("", "rollouts by", "s a step", "tokens/s", "peak GB"), rollouts),
    "eval": Part("Evaluation", 60, ("", "engine", "samples/s", "s", "s with start"), evaluation),
    "teachers": Part("Local teachers, in turns", 70, ("", "", "images/s", "s to be ready", "s to be gone", "lost"), teachers),
}
"""In their order; the first two are what the others stand on, and are done for each of them."""
