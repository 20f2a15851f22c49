"""Tables of asking: evaluation and local teachers."""

from collections.abc import Iterator, Sequence

from benchmarks.cells import FAULT, Figures
from benchmarks.gpu import asked
from benchmarks.gpu.bench import NO_GPU, Bench, Line, lacking
from benchmarks.train import ground

LITTLE_GB = 12.0
"""Of the card's memory, that is left to a teacher whose batch does not fit."""


def evaluation(bench: Bench) -> Iterator[Line]:
    """Held-out samples answered by a student."""
    size, name = bench.size, next(iter(bench.size.shapes))
    for engine in ("transformers", "vllm"):
        if engine == "vllm" and (absent := lacking("vllm", gpu=bench.gpu)):
            yield size.shapes[name].title, engine, absent, "", ""
            continue
        table = bench.folder / "rows.jsonl"
        ground.write_table(table, bench.pictures, size.held_out)
        sections = {"eval": {"split": "test", "engine": engine}, "source": {"kind": "table", "path": str(table)}}
        file, run = bench.project(f"eval-{engine}", {"model": str(bench.student(name))}, {"name": "sft", "kind": "sft"}, **sections)
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
        if kind == "vllm" and (absent := lacking("vllm", gpu=bench.gpu)):
            yield kind, "", absent, "", "", ""
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
