"""A measure of the user's own, from a Python file beside the pipeline."""

import functools
import importlib.util
import math
import numbers
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from cotforge.errors import PipelineError, show_value
from cotforge.records import Sample, Trace, Verdict

Measure = Callable[..., float | None]
"""`(sample, trace, verdict, *, options) -> float or None`."""


def own_measure(name: str, root: Path) -> Measure:
    """The function `path/to/file.py:function` names, checked on every call.

    Raises PipelineError where there is none, and, when called, where it fails on a trace or gives no finite number.
    """
    path, _, called = name.rpartition(":")
    file = (root / path).resolve()
    function = getattr(_load_module(file, name), called, None)
    if not callable(function):
        raise PipelineError(f"{path}: has no function {show_value(called)}; a measure is named path/to/file.py:function")

    @functools.wraps(function)
    def checked(sample: Sample, trace: Trace, verdict: Verdict | None, **options: Any) -> float | None:
        where = f"{name}: sample {show_value(sample.id)}, trace of {show_value(trace.teacher)}"
        try:
            value = function(sample, trace, verdict, **options)
        except Exception as error:
            raise PipelineError(f"{where}: {type(error).__name__}: {_one_line(error)}; a measure gives a number or None") from error
        if value is not None and not (isinstance(value, numbers.Real) and math.isfinite(value)):
            raise PipelineError(f"{where}: gave {show_value(value)}; a measure gives a finite number or None")
        return None if value is None else float(value)

    return checked


def _load_module(file: Path, name: str) -> ModuleType:
    if file.suffix != ".py" or not file.is_file():
        raise PipelineError(f"{name}: no file {str(file)!r}; a measure of your own is named path/to/file.py:function")
    known = f"cotforge_own_{sha256(bytes(file)).hexdigest()[:16]}"
    if known in sys.modules:
        return sys.modules[known]
    spec = importlib.util.spec_from_file_location(known, file)
    if spec is None or spec.loader is None:
        raise PipelineError(f"{name}: {str(file)!r} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses of the user's file look their module up while it is being read.
    sys.modules[known] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[known]
        raise PipelineError(f"{name}: cannot be imported: {type(error).__name__}: {_one_line(error)}") from error
    return module


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
