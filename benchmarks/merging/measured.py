"""What is measured, in a process of its own."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cotforge.plan import Merge
from cotforge.plan.modules import choose_modules
from cotforge.train.weights.delta import WEIGHTS, make_delta
from cotforge.train.weights.merging import Merger


def measured(function: Callable[..., float], given: tuple[Any, ...]) -> dict[str, float]:
    """Of a function `seconds`, `cpu` seconds and the `bytes` that it says it wrote; `peak` is that of this process's memory, in bytes."""
    begun, worked = time.monotonic(), time.process_time()
    found = {"bytes": function(*given), "seconds": time.monotonic() - begun, "cpu": time.process_time() - worked}
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return found | {"peak": 1024.0 * int(status["VmHWM"].split()[0])}


def merge(folder: Path, method: str) -> float:
    """Bytes of `merged`, of `student` and `expert`."""
    density = {"density": 0.5} if method in ("ties", "dare_linear", "dare_ties") else {}
    layers = {"layers": "0-99"} if method == "layer_swap" else {}
    models = [{"model": "student", "weight": 0.7, **density}, {"model": "expert", "weight": 0.3, **density, **layers}]
    models = models[1:] if method in ("slerp", "layer_swap") else models
    stage = Merge.model_validate({"name": "merged", "kind": "merge", "method": method, "models": models})
    places = {key: folder / model for key, model in stage.reads().items()}
    (folder / "merged").mkdir()
    Merger(stage, folder / "student", places).write(folder / "merged")
    return float(sum(file.stat().st_size for file in (folder / "merged").glob("*.safetensors")))


def difference(folder: Path, modules: list[str]) -> float:
    """Bytes of the expert's weights minus the student's."""
    found = make_delta(folder / "expert", folder / "student", wanted=choose_modules(modules), cache=folder / "cache")
    return float((found.folder / WEIGHTS).stat().st_size)
