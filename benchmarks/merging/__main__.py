"""Seconds and peak memory of merging two models, and of an expert's difference, at the shape of Qwen2.5-7B or a part of its layers.

    python -m benchmarks.merging [--layers 28] [--methods linear ties] [--folder /where/there/is/room]

Both checkpoints are random bfloat16 (`shards.py`), 15.2 GB each at 28 layers; with `--holes` the student's is all zeros, which take no room
on the disk. Each line is a process of its own, whose peak is the system's figure (VmHWM of /proc). What it wrote is removed after it.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.forge.table import print_table
from benchmarks.merging.shards import Shape, write

GB = 1e9
METHODS = ("linear", "task_arithmetic", "ties", "dare_ties", "layer_swap", "slerp")
SMALL = Shape(layers=2, width=64, inner=128, attended=64, keys=32, words=512)


def main() -> None:
    """The table, on stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--layers", type=int, default=28)
    asked.add_argument("--methods", nargs="*", default=list(METHODS))
    asked.add_argument("--modules", nargs="+", default=["attn", "mlp"], help="of the difference")
    asked.add_argument("--folder", type=Path, help="null is the system's for temporary files")
    asked.add_argument("--holes", action="store_true")
    asked.add_argument("--smoke", action="store_true", help="seconds instead of minutes, too small to mean anything")
    given = asked.parse_args()
    shape = SMALL if given.smoke else replace(Shape(), layers=given.layers)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        measure(Path(name), shape, given.methods, given.modules, holes=given.holes)


def measure(folder: Path, shape: Shape, methods: list[str], modules: list[str], *, holes: bool) -> None:
    """A line for each method, and one for the difference."""
    whole = write(folder / "student", shape, prefix="model.language_model.", seed=0, holes=holes)
    write(folder / "expert", shape, prefix="model.", seed=1)
    print(f"two models of {shape.layers} layers, {whole / GB:.1f} GB of bfloat16 each{', the student all zeros' if holes else ''}\n")
    lines = (_line(method, _alone(_merge, folder, method)) for method in methods)
    print_table(("", "GB written", "seconds", "s/GB", "peak memory, GB"), lines)
    print_table(
        ("", "GB written", "seconds", "s/GB", "peak memory, GB"), [_line(f"delta of {', '.join(modules)}", _alone(_delta, folder, modules))]
    )


def _alone(function: Callable[..., float], *given: Any) -> dict[str, float]:
    """Figures of a function, which gives the bytes that it wrote, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        found = alone.submit(_measured, function, given).result()
    shutil.rmtree(given[0] / "merged", ignore_errors=True)
    return found


def _measured(function: Callable[..., float], given: tuple[Any, ...]) -> dict[str, float]:
    from cotforge.train.weights import delta, merging  # noqa: F401  (imported before the clock)

    begun = time.monotonic()
    found = {"bytes": function(*given), "seconds": time.monotonic() - begun}
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return found | {"peak": 1024.0 * int(status["VmHWM"].split()[0])}


def _merge(folder: Path, method: str) -> float:
    from cotforge.plan import Merge
    from cotforge.train.weights.merging import Merger

    density = {"density": 0.5} if method in ("ties", "dare_linear", "dare_ties") else {}
    layers = {"layers": "0-99"} if method == "layer_swap" else {}
    models = [{"model": "student", "weight": 0.7, **density}, {"model": "expert", "weight": 0.3, **density, **layers}]
    models = models[1:] if method in ("slerp", "layer_swap") else models
    stage = Merge.model_validate({"name": "merged", "kind": "merge", "method": method, "models": models})
    places = {key: folder / model for key, model in stage.reads().items()}
    (folder / "merged").mkdir()
    Merger(stage, folder / "student", places).write(folder / "merged")
    return float(sum(file.stat().st_size for file in (folder / "merged").glob("*.safetensors")))


def _delta(folder: Path, modules: list[str]) -> float:
    from cotforge.plan.modules import chosen
    from cotforge.train.weights.delta import WEIGHTS, delta

    found = delta(folder / "expert", folder / "student", wanted=chosen(modules), cache=folder / "cache")
    return float((found.folder / WEIGHTS).stat().st_size)


def _line(title: str, found: dict[str, float]) -> tuple[str, ...]:
    written = found["bytes"] / GB
    return title, f"{written:.1f}", f"{found['seconds']:,.0f}", f"{found['seconds'] / written:.2f}", f"{found['peak'] / GB:.2f}"


if __name__ == "__main__":
    main()
