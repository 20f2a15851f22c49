"""Seconds and peak memory of merging two models, and of an expert's difference, at the shape of Qwen2.5-7B or a part of its layers.

    python -m benchmarks.merging [--layers 28] [--methods linear ties] [--folder /where/there/is/room]

Both checkpoints are random bfloat16 (`shards.py`), 15.2 GB each at 28 layers; with `--holes` the student's is all zeros, which take no room
on the disk. Each line is a process of its own, whose peak is the system's figure (VmHWM of /proc). What it wrote is removed after it.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.forge.table import print_table
from benchmarks.merging.measured import difference, measured, merge
from benchmarks.merging.shards import Shape, write

GB = 1e9
HEAD = ("", "GB written", "seconds", "s/GB", "CPU s/GB", "peak memory, GB")
METHODS = ("linear", "task_arithmetic", "ties", "dare_linear", "dare_ties", "layer_swap", "slerp")
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
    shape = SMALL if given.smoke else Shape().of_layers(given.layers)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        measure(Path(name), shape, given.methods, given.modules, holes=given.holes)


def measure(folder: Path, shape: Shape, methods: list[str], modules: list[str], *, holes: bool) -> None:
    """A line for each method, and one for the difference."""
    whole = write(folder / "student", shape, prefix="model.language_model.", seed=0, holes=holes)
    write(folder / "expert", shape, prefix="model.", seed=1)
    print(f"two models of {shape.layers} layers, {whole / GB:.1f} GB of bfloat16 each{', the student all zeros' if holes else ''}\n")
    lines = [_line(method, _alone(merge, folder, method)) for method in methods]
    print_table(HEAD, [*lines, _line(f"delta of {', '.join(modules)}", _alone(difference, folder, modules))])


def _alone(function: Callable[..., float], *given: Any) -> dict[str, float]:
    """Figures of a function, which gives the bytes that it wrote, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        found = alone.submit(measured, function, given).result()
    shutil.rmtree(given[0] / "merged", ignore_errors=True)
    return found


def _line(title: str, found: dict[str, float]) -> tuple[str, ...]:
    written = found["bytes"] / GB
    paces = (f"{found[name] / written:.2f}" for name in ("seconds", "cpu"))
    return title, f"{written:.1f}", f"{found['seconds']:,.0f}", *paces, f"{found['peak'] / GB:.2f}"


if __name__ == "__main__":
    main()
